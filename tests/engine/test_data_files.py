"""Whether the data are there: what is missing is named, and nothing else is complained about."""

from importlib import import_module

import pytest
from mmengine.config import Config

from mmhadaptive.engine.data_files import check_data_files

from ..paths import ROOT


def coco(root, **keys):
    """A COCO-format set in ``root``, which need not hold it."""
    return dict(
        **dict(type="CocoDataset", data_root=str(root), ann_file="train.json"),
        **dict(data_prefix=dict(img="images/")) | keys,
    )


def config(dataset, scope="mmdet", **keys):
    return Config(dict(train_dataloader=dict(dataset=dataset), default_scope=scope, **keys))


def missing(dataset, **keys):
    """What the check says of a data set that is not there."""
    with pytest.raises(FileNotFoundError) as error:
        check_data_files(config(dataset, **keys), ("train",))
    return str(error.value)


def test_missing_annotation_file_and_folder_are_named(tmp_path):
    message = missing(coco(tmp_path))
    assert f"{tmp_path}/train.json" in message
    assert f"{tmp_path}/images" in message
    (tmp_path / "images").mkdir()
    (tmp_path / "train.json").touch()
    check_data_files(config(coco(tmp_path)), ("train", "val"))


@pytest.mark.parametrize("suffix", ["", "_stock"])
def test_a_missing_folder_without_annotation_file_is_named(suffix, tmp_path):
    cfg = Config.fromfile(ROOT / f"configs/classification/cifar100/hadaptive_s_cifar100{suffix}.py")
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.get("dataset", loader.dataset).data_root = str(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        check_data_files(cfg, ("train", "val"))
    (tmp_path / "nowhere").mkdir()
    check_data_files(cfg, ("train", "val"))


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("ssd_hadaptive_l_coco.py", "cocodataset.org"),
        ("detection/ssd_hadaptive_s_bccd.py", "BCCD_Dataset"),
        ("detection/ssd_hadaptive_s_digits.py", "make_digits.py"),
        ("classification/cifar100/hadaptive_s_cifar100.py", "cifar-100-python.tar"),
        ("classification/imagenet/hadaptive_s_imagenet.py", "image-net.org"),
    ],
)
def test_missing_data_say_where_they_come_from(name, address, tmp_path, monkeypatch):
    cfg = Config.fromfile(ROOT / "configs" / name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=address) as error:
        check_data_files(cfg, ("train", "val"))
    # Neither is the address of a set quoted from which the config inherits.
    addresses = ("cocodataset.org", "BCCD_Dataset", "make_digits.py")
    assert sum(each in str(error.value) for each in addresses) <= 1


def test_a_set_of_ones_own_has_nobodys_address(tmp_path):
    cfg = Config.fromfile(ROOT / "configs" / "detection" / "ssd_hadaptive_s_bccd.py")
    cfg.train_dataloader.dataset.data_root = f"{tmp_path}/"
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path}/train\.json") as error:
        check_data_files(cfg, ("train",))
    assert "BCCD" not in str(error.value).partition("\n")[2]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda dataset: [dataset],
        lambda dataset: dict(type="RepeatDataset", times=2, dataset=dataset),
        lambda dataset: dict(type="ClassBalancedDataset", oversample_thr=0.1, dataset=dataset),
        lambda dataset: dict(type="MultiImageMixDataset", pipeline=[], dataset=dataset),
        lambda dataset: dict(type="ConcatDataset", datasets=[dataset]),
        lambda dataset: dict(
            type="RepeatDataset", times=2, dataset=dict(type="ConcatDataset", datasets=[dataset])
        ),
    ],
)
def test_wrapped_sets_are_looked_into(wrap, tmp_path):
    assert f"{tmp_path}/train.json" in missing(wrap(coco(tmp_path)))


def test_lists_of_files_and_folders(tmp_path):
    from mmengine.dataset import BaseDataset

    class Lists(BaseDataset):
        def _join_prefix(self):
            self.ann_file = [f"{self.data_root[0]}/{name}" for name in self.ann_file]

    dataset = dict(
        type=Lists,
        data_root=[str(tmp_path)],
        ann_file=["a.json", "b.json"],
        data_prefix=dict(img=[str(tmp_path), f"{tmp_path}/pictures"]),
    )
    message = missing(dataset)
    assert [line.strip() for line in message.splitlines()[1:]] == [
        *(f"{tmp_path}/a.json", f"{tmp_path}/b.json", f"{tmp_path}/pictures")
    ]
    # What a class does not take at all is the class's to refuse.
    check_data_files(config(dict(dataset, type="CocoDataset")), ("train",))


@pytest.mark.parametrize(
    "keys",
    [
        dict(data_root="s3://bucket/set/"),
        dict(data_root="http://example.org/set/"),
        dict(data_root="cluster:s3://bucket/set/"),
        dict(data_root="nowhere", backend_args=dict(backend="petrel")),
        dict(
            data_root="nowhere",
            pipeline=[dict(type="LoadImageFromFile", backend_args=dict(backend="petrel"))],
        ),
    ],
)
def test_files_elsewhere_are_not_looked_for(keys):
    check_data_files(config(coco("") | keys), ("train",))


def test_a_local_backend_is_looked_at(tmp_path):
    assert "train.json" in missing(coco(tmp_path, backend_args=dict(backend="local")))


def test_sets_that_download_themselves(tmp_path):
    dataset = dict(type="CIFAR100", data_root=f"{tmp_path}/nowhere")
    check_data_files(config(dataset, "mmpretrain"), ("train",))
    assert "nowhere" in missing(dict(dataset, download=False), scope="mmpretrain")


def test_a_tilde_is_expanded_where_the_set_expands_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pictures").mkdir()
    expands = dict(type="CustomDataset", data_prefix="~/pictures")
    check_data_files(config(expands, "mmpretrain"), ("train",))
    absent = missing(dict(expands, data_prefix="~/nowhere"), scope="mmpretrain")
    assert f"{tmp_path}/nowhere" in absent
    import_module("mmhadaptive.datasets")
    ours = dict(type="CIFAR100Files", data_root="~/pictures")
    check_data_files(config(ours, "mmpretrain"), ("train",))
    assert f"{tmp_path}/nowhere" in missing(dict(ours, data_root="~/nowhere"), scope="mmpretrain")
    (tmp_path / "train.json").touch()
    message = missing(coco("~", data_prefix=dict(img="pictures")))
    assert "~/train.json (CocoDataset does not expand ~" in message
    assert "~/pictures" in message


def test_the_file_that_the_evaluator_reads(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "train.json").touch()
    evaluators = [dict(type="CocoMetric", ann_file=f"{tmp_path}/val.json"), dict(type="VOCMetric")]
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path}/val\.json"):
        check_data_files(config(coco(tmp_path), train_evaluator=evaluators), ("train",))
