"""``init_cfg=dict(type='Pretrained')`` loads something, or says what would."""

from unittest.mock import Mock

import pytest
import torch
from mmengine.model import BaseModule, PretrainedInit
from torch import nn

import mmhadaptive.engine  # noqa: F401


class Net(BaseModule):
    def __init__(self, width=4, **kwargs):
        super().__init__(**kwargs)
        self.conv = nn.Conv2d(3, width, 1)
        self.norm = nn.BatchNorm2d(width)


def checkpoint(tmp_path, prefix="", width=4):
    state = {prefix + name: value for name, value in Net(width).state_dict().items()}
    torch.save(dict(state_dict=state, meta={}), tmp_path / "net.pth")
    return str(tmp_path / "net.pth"), state


@pytest.mark.parametrize("kind", ["Pretrained", PretrainedInit])
@pytest.mark.parametrize("stored", ["backbone.", "module.backbone."])
@pytest.mark.parametrize("given", [None, "backbon.", "neck"])
def test_the_prefix_that_fits_is_named(tmp_path, kind, stored, given):
    file, _ = checkpoint(tmp_path, stored)
    model = Net(init_cfg=dict(type=kind, checkpoint=file, prefix=given))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    message = rf"net\.pth: .*prefix='{stored}' 7 of 7 would"
    with pytest.raises(ValueError, match=message):
        model.init_weights()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_no_prefix_that_fits_is_named(tmp_path):
    file, _ = checkpoint(tmp_path)
    model = Net(init_cfg=dict(type="Pretrained", checkpoint=file, prefix="backbone."))
    with pytest.raises(ValueError, match=r"net\.pth: .*without a prefix 7 of 7 would"):
        model.init_weights()


@pytest.mark.parametrize(
    "other",
    [dict(), dict(a=torch.ones(2)), {"conv.weight": torch.ones(1), "epoch": 3}, {0: 1}, [1]],
)
def test_a_foreign_file_is_refused(tmp_path, other):
    file = tmp_path / "foreign.pth"
    torch.save(other, file)
    for prefix in (None, "a"):
        init_cfg = dict(type="Pretrained", checkpoint=str(file), prefix=prefix)
        with pytest.raises(ValueError, match=r"foreign\.pth: no tensor fits Net"):
            Net(init_cfg=init_cfg).init_weights()


@pytest.mark.parametrize(
    ("stored", "given"),
    [("", None), ("module.", None), ("backbone.", "backbone."), ("backbone.", "backbone")],
)
def test_what_fits_is_loaded_from_one_read(tmp_path, monkeypatch, stored, given):
    file, state = checkpoint(tmp_path, stored)
    load = Mock(wraps=torch.serialization.load)
    monkeypatch.setattr(torch.serialization, "load", load)
    model = Net(init_cfg=dict(type="Pretrained", checkpoint=file, prefix=given))
    model.init_weights()
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[stored + name])
    assert load.call_count == 1


def test_a_part_is_enough(tmp_path):
    file, state = checkpoint(tmp_path, width=5)
    state["conv.weight"] = torch.full((4, 3, 1, 1), 2.0)
    torch.save(state, file)
    model = Net(init_cfg=dict(type="Pretrained", checkpoint=file))
    model.init_weights()
    assert model.conv.weight.eq(2).all()
    assert not hasattr(model, "_params_init_info")


def test_names_that_the_model_changes_itself(tmp_path):
    """As mmdet's semi-supervised detectors do: a detector's weights are given to both copies."""

    class Pair(BaseModule):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.teacher, self.student = Net(), Net()

        def _load_from_state_dict(self, state_dict, *args):
            for name in list(state_dict):
                value = state_dict.pop(name)
                state_dict.update({f"teacher.{name}": value, f"student.{name}": value})
            super()._load_from_state_dict(state_dict, *args)

    file, state = checkpoint(tmp_path)
    model = Pair(init_cfg=dict(type="Pretrained", checkpoint=file))
    model.init_weights()
    assert torch.equal(model.student.conv.weight, state["conv.weight"])
