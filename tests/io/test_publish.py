"""A published checkpoint has what inference needs, and nothing of the training or its author."""

import hashlib
import socket
from collections import OrderedDict

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from mmhadaptive.io.publish import publish, publishable

CFG = """\
work_dir = '/home/alice/work_dirs/demo'
load_from = 'https://example.org/start.pth'
windows = 'C:\\\\Users\\\\alice\\\\start.pth'
data_root = '~/data/digits/'
separator = '/'
kept = 'annotations/val.json'
test_dataloader = dict(
    dataset=dict(ann_file='/home/alice/data/val.json', scale=(
        128,
        96,
    )), also=['/home/alice/a', '/home/alice/b'])
"""


@pytest.fixture
def checkpoint():
    state = OrderedDict(w=torch.full((3,), 1 / 3), steps=torch.tensor(70_000))
    state._metadata = {"": dict(version=2)}
    return dict(
        meta=dict(
            cfg=CFG,
            dataset_meta=dict(classes=("a", "b"), palette=[(1, 2, 3), (4, 5, 6)]),
            epoch=7,
            iter=70,
            seed=0,
            experiment_name="demo_20260101_000000",
            host_name=socket.gethostname(),
            time="20260101_000000",
            mmengine_version="0.10.7",
            mmdet_version="3.4.0",
        ),
        state_dict=state,
        ema_state_dict={"module.w": torch.zeros(3), "steps": torch.tensor(7)},
        optimizer=dict(state={}),
        param_schedulers=[],
        message_hub=dict(log_scalars=dict(loss=HistoryBuffer([1.0], [1]))),
    )


@pytest.fixture
def in_file(checkpoint, tmp_path):
    torch.save(checkpoint, tmp_path / "epoch_7.pth")
    return tmp_path / "epoch_7.pth"


def test_what_is_published(checkpoint, in_file, tmp_path):
    path = publish(in_file, tmp_path / "zoo" / "net_v1.5.pth")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path == tmp_path / "zoo" / f"net_v1.5-{digest[:8]}.pth"
    # The same checkpoint under the same name, with or without the suffix.
    assert publish(in_file, tmp_path / "zoo" / "net_v1.5") == path
    assert list(path.parent.iterdir()) == [path]
    published = torch.load(path, weights_only=True)
    assert published.keys() == {"meta", "state_dict"}
    kept = {"cfg", "dataset_meta", "epoch", "iter", "mmengine_version", "mmdet_version"}
    assert published["meta"].keys() == kept
    for key in kept - {"cfg"}:
        assert published["meta"][key] == checkpoint["meta"][key]
    for name, value in checkpoint["state_dict"].items():
        assert torch.equal(published["state_dict"][name], value)
        assert published["state_dict"][name].dtype == value.dtype
    assert published["state_dict"]._metadata == {"": dict(version=2)}
    loaded = CheckpointLoader.load_checkpoint(str(path), map_location="cpu")
    assert loaded["meta"] == published["meta"]


def test_the_config_says_nothing_of_the_author(checkpoint):
    text = publishable(checkpoint)["meta"]["cfg"]
    assert "alice" not in text
    cfg = Config.fromstring(text, ".py")
    expected = Config.fromstring(CFG, ".py")
    expected.merge_from_dict(
        dict(
            work_dir="demo",
            windows="start.pth",
            data_root="digits",
            test_dataloader=dict(dataset=dict(ann_file="val.json"), also=["a", "b"]),
        )
    )
    assert cfg.to_dict() == expected.to_dict()
    assert len(text.splitlines()) == len(CFG.splitlines())


def test_trained_weights_in_place_of_their_average(checkpoint):
    # mmengine swaps them: state_dict has the average.
    assert torch.equal(publishable(checkpoint)["state_dict"]["w"], torch.full((3,), 1 / 3))
    state = publishable(checkpoint, averaged=False)["state_dict"]
    assert torch.equal(state["w"], torch.zeros(3))
    assert state["steps"] == 70_000
    del checkpoint["ema_state_dict"]
    with pytest.raises(KeyError, match="ema_state_dict"):
        publishable(checkpoint, averaged=False)


def test_half_precision_where_it_holds_the_value(checkpoint):
    checkpoint["state_dict"]["variance"] = torch.tensor([1e6])
    state = publishable(checkpoint, half=True)["state_dict"]
    assert {name: value.dtype for name, value in state.items()} == dict(
        w=torch.float16, steps=torch.int64, variance=torch.float32
    )


@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        (["state_dict", "weights"], KeyError, "no weights; it has .*message_hub"),
        (["meta", "message_hub"], ValueError, "HistoryBuffer"),
    ],
)
def test_what_cannot_be_published_leaves_no_file(in_file, tmp_path, keys, error, message):
    with pytest.raises(error, match=message) as raised:
        publish(in_file, tmp_path / "zoo" / "net.pth", keys=keys)
    assert str(in_file) in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_7.pth"]
