"""Frozen selection: exact where nothing is chosen otherwise, and honest about what is."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmhadaptive.deploy import fuse
from mmhadaptive.deploy.frozen_config import frozen_config
from mmhadaptive.deploy.frozen_selection import (
    LayerSelection,
    choosing_layers,
    freeze_selection,
    most_frequent,
)
from mmhadaptive.engine import check_state_dict
from mmhadaptive.io.user_errors import UserValueError
from mmhadaptive.layers import (
    ACHBottleneck,
    ACHFeedForward,
    ACHPlugin,
    AdaptiveCrossHadamard,
)
from mmhadaptive.models.backbones import HadaptiveNet
from mmhadaptive.models.necks import ACHPAFPN

ARCH = [
    [("conv", 8, 3, 2, "HSwish")],
    [("ach", 8, 4, 3), ("ghost", 12, 2, 3, 1), ("ach", 12, 5, 5)],
]


class TwoMaps(nn.Module):
    """A neck, whose fusions have no 1x1 convolution of their own."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.neck = ACHPAFPN([8, 8], 8, num_selected=4, num_blocks=2)

    def forward(self, x):
        x = self.stem(x)
        return self.neck([x, x[..., ::2, ::2]])


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = ACHFeedForward(8, num_selected=3)

    def forward(self, x):
        return self.block(x[:, :1].repeat(1, 8, 1, 1).flatten(2).transpose(1, 2))


MODELS_BY_NAME = {
    "backbone": lambda: HadaptiveNet(ARCH),
    "squeeze-excitation": lambda: ACHBottleneck(3, 8, 3, se_ratio=2),
    "products with BN": lambda: ACHBottleneck(
        3, 3, 3, ach_cfg=dict(product_norm_cfg=dict(type="BN"))
    ),
    "plugin": lambda: ACHPlugin(3, 3),
    "layer alone": lambda: AdaptiveCrossHadamard(3, 2),
    "layer without 1x1": lambda: AdaptiveCrossHadamard(3, 2, pointwise=False),
    "group norm": lambda: ACHBottleneck(
        4, 4, 3, norm_cfg=dict(type="GN", num_groups=1, requires_grad=True)
    ),
    "neck": TwoMaps,
    "tokens": Tokens,
}


def random_weights(model, seed=0):
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0, 0.5)
    return model.double().eval()


def flat(y):
    return torch.cat([t.flatten() for t in (y if isinstance(y, (tuple, list)) else [y])])


@pytest.mark.parametrize("name", MODELS_BY_NAME)
def test_a_constant_selection_is_kept_exactly(name):
    """The same picture in every batch: what is fixed is what the layers chose."""
    model = random_weights(MODELS_BY_NAME[name]())
    channels = 4 if name == "group norm" else 3
    picture = torch.randn(1, channels, 8, 8, dtype=torch.float64)
    before = flat(model(picture))
    report = freeze_selection(model, [picture, (picture, torch.zeros(1))])
    assert report.by_set == report.by_rank == 1
    torch.testing.assert_close(flat(model(picture)), before, rtol=0, atol=1e-12)
    assert not choosing_layers(model)
    assert not any("scores" in key or "tau" in key for key in model.state_dict())


@pytest.mark.parametrize("name", MODELS_BY_NAME)
def test_the_state_dict_loads_into_a_model_that_is_built_fixed(name):
    model = random_weights(MODELS_BY_NAME[name]())
    picture = torch.randn(1, 4 if name == "group norm" else 3, 8, 8, dtype=torch.float64)
    freeze_selection(model, [picture])
    built = random_weights(MODELS_BY_NAME[name](), seed=1)
    # What docs/deployment.md says.
    for layer in choosing_layers(built).values():
        layer.fix_channels()
    check_state_dict(built, model.state_dict(), "frozen.pth", partial=False)
    built.load_state_dict(model.state_dict())
    torch.testing.assert_close(flat(built(picture)), flat(model(picture)), rtol=0, atol=0)


def test_the_order_is_folded_into_the_1x1_convolution():
    """In blocks of ours no numbers of channels are left: the weights are those of a plain one."""
    model = random_weights(HadaptiveNet(ARCH))
    freeze_selection(model, [torch.randn(2, 3, 8, 8, dtype=torch.float64)])
    plain = HadaptiveNet(ARCH, ach_cfg=dict(selection="fixed"))
    assert model.state_dict().keys() == plain.state_dict().keys()


def test_counts_and_shares_by_hand():
    """Pooled channels of a layer without 1x1 convolution, whose kernel is one in the middle, are
    its scores."""
    layer = AdaptiveCrossHadamard(4, 2, pointwise=False, eca_kernel_size=1)
    nn.init.ones_(layer.scores.weight)
    means = torch.tensor([[3.0, 2, 1, 0], [3, 2, 1, 0], [2, 3, 1, 0], [0, 3, 1, 2], [1, 0, 3, 2]])
    pictures = means[:, :, None, None].expand(-1, -1, 2, 2)
    # Chosen: 01, 01, 10, 13, 23.
    report = freeze_selection(layer, [pictures[:2], pictures[2:]], order="set")
    found = report.layers[""]
    assert found.counts.tolist() == [[2, 2, 1, 0], [1, 2, 0, 2]]
    assert found.channels == (0, 1)
    assert found.pictures == 5
    # 1 is chosen four times, 0 three times, of ten; 0 first twice and 1 second twice.
    assert (report.by_set, report.by_rank, report.by_chance) == (0.7, 0.4, 0.5)
    assert "70.0%" in str(report)
    assert report.as_dict()["layers"][""]["channels"] == [0, 1]


def test_the_two_orders():
    counts = torch.tensor([[5, 4, 0, 0], [0, 4, 5, 1], [0, 3, 0, 5]])
    # 1 is chosen most often at any rank, but most often at none.
    assert most_frequent(counts, "rank") == (0, 2, 3)
    assert sorted(most_frequent(counts, "set")) == [0, 1, 3]
    by_set, by_rank = (
        LayerSelection(counts, most_frequent(counts, order)) for order in ("set", "rank")
    )
    assert by_set.by_set > by_rank.by_set
    assert by_set.by_rank < by_rank.by_rank


def test_it_measures_without_noise_and_keeps_the_modes():
    model = random_weights(HadaptiveNet(ARCH, frozen_stages=0)).train()
    pictures = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    statistics = model.stages[0][0].bn.running_mean.clone()
    modes = [module.training for module in model.modules() if isinstance(module, _BatchNorm)]
    first = freeze_selection(copy.deepcopy(model), [pictures])
    second = freeze_selection(model, [pictures])
    assert first.as_dict() == second.as_dict()
    assert modes == [m.training for m in model.modules() if isinstance(m, _BatchNorm)]
    assert torch.equal(model.stages[0][0].bn.running_mean, statistics)
    # It trains.
    loss = flat(model(pictures)).square().mean()
    loss.backward()
    assert all(p.grad is not None for p in model.stages[1].parameters())


def test_accuracy_before_and_after():
    model = random_weights(HadaptiveNet(ARCH))
    picture = torch.randn(1, 3, 8, 8, dtype=torch.float64)

    def evaluate():
        return dict(choosing=float(len(choosing_layers(model))), matrix=torch.zeros(2, 2))

    report = freeze_selection(model, [picture], evaluate=evaluate)
    assert report.before["choosing"] == 2
    assert report.after["choosing"] == 0
    assert "choosing: 2 -> 0" in str(report)


def test_what_cannot_be_frozen_is_refused():
    picture = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    with pytest.raises(UserValueError, match="Conv2d has no cross-Hadamard layer"):
        freeze_selection(nn.Conv2d(3, 3, 1), [picture])
    model = random_weights(HadaptiveNet(ARCH))
    state = copy.deepcopy(model.state_dict())
    with pytest.raises(UserValueError, match="loader is empty"):
        freeze_selection(model, [])
    with pytest.raises(UserValueError, match="order must be one of"):
        freeze_selection(model, [picture], order="best")
    assert len(choosing_layers(model)) == 2
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    freeze_selection(model, [picture])
    with pytest.raises(UserValueError, match="has fixed its selection already"):
        freeze_selection(model, [picture])


def test_a_layer_that_no_picture_reaches_is_named():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = AdaptiveCrossHadamard(3, 2), AdaptiveCrossHadamard(3, 2)

        def forward(self, x):
            return self.used(x)

    with pytest.raises(UserValueError, match="no picture reaches idle"):
        freeze_selection(Unused(), [torch.randn(1, 3, 4, 4)])


@pytest.mark.parametrize("channels", [[0], [0, 0], [0, 3], [-1, 0]])
def test_channels_that_a_layer_does_not_have_are_refused(channels):
    with pytest.raises(ValueError, match=r"channels"):
        AdaptiveCrossHadamard(3, 2).fix_channels(channels)


def test_the_config_of_a_frozen_model():
    cfg = Config(
        dict(
            model=dict(
                type="HadaptiveNet",
                arch=ARCH,
                ach_cfg=dict(product_norm_cfg=dict(type="DySig")),
                init_cfg=dict(type="Pretrained", checkpoint="imagenet.pth"),
            ),
        )
    )
    frozen = frozen_config(cfg, "frozen.pth")
    assert frozen.load_from == "frozen.pth"
    assert cfg.model.ach_cfg.get("selection") is None
    built = MODELS.build(frozen.model)
    model = random_weights(MODELS.build({**cfg.model, "init_cfg": None}))
    freeze_selection(model, [torch.randn(1, 3, 8, 8, dtype=torch.float64)])
    check_state_dict(built, model.state_dict(), "frozen.pth", partial=False)
    replaced = dict(replace=[dict(target="x", block=dict(type="mmhadaptive.ACHBottleneck"))])
    replaced = frozen_config(Config(dict(model=dict(type="ReplaceBlocks", **replaced))), "f.pth")
    assert replaced.model.replace[0].block.ach_cfg.selection == "fixed"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_exported_graph_is_static(tmp_path):
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    from mmhadaptive.deploy import export_onnx

    # Its blocks have a 1x1 convolution of their own, its fusions have none.
    model = random_weights(TwoMaps()).float()
    pictures = torch.randn(1, 3, 8, 8)
    freeze_selection(model, [pictures])
    path = tmp_path / "frozen.onnx"
    export_onnx(model, path, (8, 8))
    operators = {node.op_type for node in onnx.load(path).graph.node}
    unwanted = {"TopK", "Gather", "GatherElements", "GatherND", "ReduceMean", "Squeeze", "Expand"}
    assert not operators & unwanted
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: pictures.numpy()})
    with torch.no_grad():
        expected = flat(model(pictures))
    found = torch.cat([torch.from_numpy(y).flatten() for y in outputs])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["backbone", "neck", "group norm"])
def test_a_frozen_model_can_be_fused(name):
    """Also where a layer keeps the numbers of its channels."""
    model = random_weights(MODELS_BY_NAME[name]()).float()
    pictures = torch.randn(2, 4 if name == "group norm" else 3, 8, 8)
    freeze_selection(model, [pictures])
    with torch.no_grad():
        torch.testing.assert_close(
            flat(fuse(model)(pictures)), flat(model(pictures)), rtol=1e-4, atol=1e-4
        )
