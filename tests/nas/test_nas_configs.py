"""The search configs: the paper's spaces and protocol, and a step of each."""

import copy
from itertools import pairwise

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope

import mmhadaptive.nas  # noqa: F401
from mmhadaptive.layers import AdaptiveCrossHadamard
from mmhadaptive.models import HadaptiveNet
from mmhadaptive.models.backbones.hadaptive_net import ARCHITECTURES
from mmhadaptive.nas import HadaptiveSupernet, choices, draw_choices
from mmhadaptive.nas.search_space import derive, layers_of
from mmhadaptive.nas.search_train_loop import search_step

from ..paths import CONFIGS

SHORT = CONFIGS / "classification" / "cifar100_64px"
PATHS = sorted((CONFIGS / "nas").glob("hadaptive_gdas_*.py"))
CONFIG = {path.stem: Config.fromfile(path) for path in PATHS}
# Channels and, by row, the candidates that have a number in the paper's tables.
VARIANTS = {"Ghost", "DySoft", "DySig", "DyAlge"}
EARLY, LATE = {"Ghost 2", "Ghost 3", "ACH 3", "ACH 5"}, {"ACH 3", "ACH 5", "ACH 7"}
SPACES = {
    "ach_variants": [64, 64, 96, 96, 96, 96, 96, 96, 128, 128, 128],
    "kernels": [64, 64, 96, 96, 96, 96, 96, 96, 128, 128, 128, 128, 128, 128],
    "selected_kernels": [64, 64, 96, 96, 96, 96, 96, 96, 128, 128, 128, 128, 128, 128],
    "selected_blank": [64, 64, 96, 96, 96, 96, 96, 96, 128, 128, 128, 128, 128, 128],
}
CANDIDATES = {
    "ach_variants": 11 * [VARIANTS],
    "kernels": [
        {"Ghost 2", "Ghost 3"},
        {"Ghost 3", "ACH 5"},
        {"Ghost 2", "Ghost 3"},
        *(2 * [EARLY]),
        *(3 * [{*EARLY, "Blank"}]),
        EARLY,
        *(2 * [LATE]),
        *(3 * [{*LATE, "Blank"}]),
    ],
    "selected_kernels": [
        *(3 * [set()]),
        *(5 * [{"ACH 16-3", "ACH 16-5", "ACH 32-3"}]),
        set(),
        *(5 * [{"ACH 16-3", "ACH 32-3", "ACH 48-3"}]),
    ],
    "selected_blank": [
        *(3 * [set()]),
        *(5 * [{"ACH 16", "ACH 32", "Blank"}]),
        set(),
        *(5 * [{"ACH 16", "ACH 32", "ACH 48", "Blank"}]),
    ],
}


def space_of(name):
    return name.removeprefix("hadaptive_gdas_").partition("_cifar100")[0]


def test_no_space_is_missing():
    full = {name for name in CONFIG if name.endswith("_cifar100")}
    assert {space_of(name) for name in full} == set(SPACES)
    assert set(CONFIG) - full == {"hadaptive_gdas_ach_variants_cifar100_64px_60e"}


@pytest.mark.parametrize("name", CONFIG)
def test_spaces_are_those_of_the_tables(name):
    layers = list(layers_of(CONFIG[name].model.backbone.arch))
    # The two first stages are fixed in all of them.
    assert [layer.channels for layer in layers[:3]] == [32, 48, 32]
    assert not any(layer.candidates for layer in layers[:3])
    layers = layers[3:]
    assert [layer.channels for layer in layers] == SPACES[space_of(name)]
    assert [set(layer.candidates or ()) for layer in layers] == CANDIDATES[space_of(name)]
    # The map is halved where the width changes, as in Table 9.
    widths = [32, *(layer.channels for layer in layers)]
    changes = [a != b for a, b in pairwise(widths)]
    assert [layer.stride == 2 for layer in layers] == changes


def test_the_space_of_table_3_holds_hadaptive_net_s():
    """With Ghost and DySoft, apart from the widths of Ghost in stage 4, which S does not have."""
    arch = CONFIG["hadaptive_gdas_ach_variants_cifar100"].model.backbone.arch
    rows = [row for stage in ARCHITECTURES["s"] for row in stage][3:]
    chosen = ["Ghost" if row[0] == "ghost" else "DySoft" for row in rows]
    network = HadaptiveNet(derive(arch, chosen))
    assert network.state_dict().keys() == HadaptiveNet("s").state_dict().keys()
    shapes = [{k: v.shape for k, v in n.state_dict().items()} for n in (network, HadaptiveNet("s"))]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", CONFIG)
def test_the_protocol_is_the_papers(name):
    cfg = CONFIG[name]
    short = name.endswith("_64px_60e")
    epochs = 60 if short else 250
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.train_cfg.tau == dict(schedule="cosine", start=4.0, end=0.1)
    assert cfg.train_dataloader.batch_size == 64
    assert cfg.train_dataloader.dataset.dataset.split == "train"
    weights, alphas = cfg.optim_wrapper.weights, cfg.optim_wrapper.alphas
    rate = 1e-3 if short else 3e-3
    assert weights.optimizer == dict(type="AdamW", lr=rate, weight_decay=1e-4)
    assert alphas.optimizer.type == "AdamW"
    assert alphas.optimizer.lr * epochs == pytest.approx(3e-4 * 250)
    assert weights.clip_grad == alphas.clip_grad == dict(max_norm=1.0)
    (cosine,) = cfg.param_scheduler.weights
    assert (cosine.type, cosine.T_max, cosine.end) == ("CosineAnnealingLR", epochs, epochs)
    assert cfg.param_scheduler.alphas == []
    # The test set is not read.
    for key in ("val_dataloader", "val_evaluator", "test_dataloader", "test_evaluator"):
        assert cfg[key] is None
    assert not cfg.get("val_cfg")
    assert "adapt_temperature" in cfg.default_hooks
    assert cfg.find_unused_parameters


@pytest.mark.parametrize("name", [name for name in CONFIG if "64px" not in name])
def test_takes_a_step(name):
    cfg = copy.deepcopy(CONFIG[name])
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build(
            dict(cfg.model, data_preprocessor=dict(cfg.data_preprocessor, size=32))
        )
        wrappers = build_optim_wrapper(model.train(), cfg.optim_wrapper)
        weights = [p for group in wrappers["weights"].param_groups for p in group["params"]]
        alphas = [choice.alpha for choice in choices(model)]
        assert not {id(p) for p in weights} & {id(p) for p in alphas}
        assert len(weights) + len(alphas) == len(list(model.parameters()))
        before = [alpha.detach().clone() for alpha in alphas]
        batches = [
            dict(
                images=torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8),
                labels=torch.tensor([0, 99]),
            )
            for _ in range(2)
        ]
        logs = search_step(model, wrappers, batches, 4.0, weights)
    assert logs["loss"].isfinite()
    assert logs["alphas_loss"].isfinite()
    assert all(p.isfinite().all() for p in model.parameters())
    assert not any(torch.equal(a, b) for a, b in zip(before, alphas, strict=True))


@pytest.mark.parametrize("name", [name for name in CONFIG if "64px" not in name])
def test_every_candidate_keeps_the_shape(name):
    cfg = CONFIG[name]
    supernet = MODELS.build(cfg.model.backbone).eval()
    for choice in choices(supernet):
        seen = []
        choice.register_forward_pre_hook(lambda module, args, seen=seen: seen.append(args[0]))
        with torch.no_grad():
            supernet(torch.randn(1, 3, 64, 64))
            shapes = {candidate(seen[0]).shape for candidate in choice.candidates}
        assert len(shapes) == 1


def test_the_twin_without_products_is_as_wide():
    cfg = Config.fromfile(SHORT / "hadaptive_s_cifar100_64px_ghost.py")
    twin, network = MODELS.build(cfg.model.backbone), HadaptiveNet("s")
    assert not [m for m in twin.modules() if isinstance(m, AdaptiveCrossHadamard)]
    blocks = [[block for stage in net.stages[2:5] for block in stage] for net in (network, twin)]
    for a, b in zip(*blocks, strict=True):
        assert a.expand.out_channels == b.expand.out_channels
        assert a.depthwise.kernel_size == b.depthwise.kernel_size


def test_what_is_compared_is_trained_alike():
    names = ["hadaptive_s_cifar100_64px", "hadaptive_s_cifar100_64px_ghost"]
    first, second = (Config.fromfile(SHORT / f"{name}.py").to_dict() for name in names)
    first["model"]["backbone"].pop("arch"), second["model"]["backbone"].pop("arch")
    assert first == second
    hook = CONFIG["hadaptive_gdas_ach_variants_cifar100_64px_60e"].default_hooks.search_result
    assert hook.train_config == f"mmhadaptive::classification/cifar100_64px/{names[0]}.py"


@pytest.mark.parametrize("name", [name for name in CONFIG if "64px" not in name])
def test_no_row_is_without_gradient(name):
    """Not even the last one of a stage, whose scale the next batch norm undoes."""
    torch.manual_seed(0)
    backbone = copy.deepcopy(CONFIG[name].model.backbone)
    backbone.pop("type")
    net = HadaptiveSupernet(**backbone).train()
    largest = torch.zeros(len(choices(net)))
    # A blank candidate, where it is drawn, adds nothing and so has no gradient.
    for _ in range(6):
        net.zero_grad()
        draw_choices(net, 4.0, differentiable=True)
        y = net(torch.randn(2, 3, 64, 64))[-1]
        (y * torch.randn_like(y)).sum().backward()
        found = torch.stack([choice.alpha.grad.abs().max() for choice in choices(net)])
        largest = largest.maximum(found)
    assert largest.min() > 1e-3 * largest.max()
