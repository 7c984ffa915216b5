"""Every network of the classification configs takes a step of its optimizer and predicts."""

import copy
import functools
import importlib.util

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint, save_checkpoint, weights_to_cpu
from mmpretrain.registry import MODELS, TRANSFORMS
from mmpretrain.structures import DataSample

from mmhadaptive.layers import AdaptiveCrossHadamard, DyAlge, DySig, DySoft

from .paths import CONFIGS

# The demo's has a recipe of its own.
PATHS = {
    p.stem: p
    for p in sorted((CONFIGS / "classification").rglob("*.py"))
    if p.parent.name != "digits"
}
NAMES = sorted(PATHS)
PEERS = [
    *("mobilenetv3_small", "mobilenetv3_large", "shufflenetv2_1x"),
    *(f"mobileone_s{i}" for i in range(4)),
    *(f"mobilenetv4_conv_{size}" for size in ("small", "medium", "large")),
    *(f"starnet_s{i}" for i in range(1, 5)),
    *("ghostnet_100", "ghostnetv3_100"),
]
# Configs that differ from another one in the data alone.
SAME = {name: name.replace("imagenet", "cifar100") for name in NAMES if "imagenet" in name}
DATA = ["stock", "10pct_32px", "64px", "64px_10e"]
SAME |= {f"hadaptive_s_cifar100_{data}": "hadaptive_s_cifar100" for data in DATA}
SAME["hadaptive_s_cifar100_64px_ghost"] = "hadaptive_s_cifar100_ghost"
ABLATIONS = ["no_pointwise", "static_scores", "fixed_channels", "bn", "dysoft", "dysig", "dyalge"]
# DySoft is what the network has.
SHORT_ABLATIONS = [name for name in ABLATIONS if name != "dysoft"]
SAME |= {
    f"hadaptive_s_cifar100_64px_10e_{name}": f"hadaptive_s_cifar100_{name}"
    for name in SHORT_ABLATIONS
}


@functools.cache
def read(name):
    return Config.fromfile(PATHS[name])


def load(name):
    return copy.deepcopy(read(name))


def build(cfg):
    if cfg.model.type == "TimmClassifier" and importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    model = dict(cfg.model, data_preprocessor=cfg.data_preprocessor)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        return MODELS.build(model)


def test_no_config_is_missing():
    expected = [
        *(f"hadaptive_{arch}_{data}" for arch in "sml" for data in ("cifar100", "imagenet")),
        *(f"hadaptive_s_cifar100_{name}" for name in ABLATIONS),
        *(f"{name}_{data}" for name in PEERS for data in ("cifar100", "imagenet")),
        *(f"mobilevit_{size}_cifar100" for size in ("small", "xsmall", "xxsmall")),
        *(f"hadaptive_s_cifar100_{data}" for data in DATA),
        *(f"hadaptive_s_cifar100_64px_10e_{name}" for name in SHORT_ABLATIONS),
        *("hadaptive_s_cifar100_ghost", "hadaptive_s_cifar100_64px_ghost"),
        "mobilenetv3_small_cifar100_64px",
    ]
    assert sorted(expected) == NAMES
    assert {PATHS[f"hadaptive_s_cifar100_{name}"].parent.name for name in ABLATIONS} == {
        "ablations"
    }


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SAME])
def test_takes_a_step_and_predicts(name):
    torch.manual_seed(0)
    cfg = load(name)
    model = build(cfg)
    num_classes = cfg.data_preprocessor.num_classes
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    gradients = {}
    optim_wrapper.optimizer.register_step_pre_hook(
        lambda *args: gradients.update({k: p.grad for k, p in model.named_parameters()})
    )
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    data = dict(
        inputs=torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8),
        data_samples=[DataSample().set_gt_label(label) for label in (0, num_classes - 1)],
    )
    losses = model.train().train_step(data, optim_wrapper)
    assert losses["loss"].isfinite()
    for key, parameter in model.named_parameters():
        assert gradients[key] is not None, key
        assert gradients[key].isfinite().all(), key
        assert parameter.isfinite().all(), key
    moved = sum(not torch.equal(value, before[key]) for key, value in model.named_parameters())
    assert moved > 0.9 * len(before)
    with torch.no_grad():
        predictions = model.eval().test_step(data)
    scores = torch.stack([sample.pred_score for sample in predictions])
    assert scores.shape == (2, num_classes)
    torch.testing.assert_close(scores.sum(1), torch.ones(2))


@pytest.mark.parametrize("name", SAME)
def test_the_network_is_the_same(name):
    model = load(name).model
    if name.endswith("imagenet"):
        head = model.head if "head" in model else model
        assert head.num_classes == 1000
        head.num_classes = 100
    assert model == load(SAME[name]).model


@pytest.mark.parametrize(
    ("name", "key"),
    [("hadaptive_s_cifar100", "model.head.loss"), ("ghostnet_100_cifar100", "model.loss")],
)
def test_labels_are_smoothed_by_options(name, key):
    cfg = load(name)
    cfg.merge_from_dict({f"{key}.type": "LabelSmoothLoss", f"{key}.label_smooth_val": 0.1})
    model = build(cfg)
    module = model.head.loss_module if "head" in key else model.loss_module
    scores, label = torch.tensor([[3.0] + [0.0] * 99]), torch.tensor([0])
    targets = torch.tensor([[0.9 + 0.001] + [0.001] * 99])
    expected = -(targets * scores.log_softmax(1)).sum()
    torch.testing.assert_close(module(scores, label), expected)


def test_the_recipe_is_the_same_everywhere():
    recipe = load("hadaptive_s_cifar100")
    for name in NAMES:
        cfg = load(name)
        if "px" in name:
            # Short trainings for a CPU.
            continue
        for key in ("optim_wrapper", "param_scheduler", "train_cfg", "auto_scale_lr", "loss"):
            assert cfg[key] == recipe[key], (name, key)
        loss = cfg.model.loss if cfg.model.type == "TimmClassifier" else cfg.model.head.loss
        assert loss.type == "CrossEntropyLoss", name
        if name.endswith("imagenet"):
            assert cfg.train_dataloader.dataset.type == "ImageNet"
        elif name.endswith("_stock"):
            assert cfg.train_dataloader.dataset == dict(
                recipe.train_dataloader.dataset.dataset, pipeline=cfg.train_pipeline
            )
        else:
            assert cfg.train_dataloader == recipe.train_dataloader
        assert cfg.train_dataloader.batch_size == 64
        # Nothing is downloaded.
        assert not cfg.model.get("pretrained")
        assert not (
            cfg.train_dataloader.dataset.get("dataset") or cfg.train_dataloader.dataset
        ).get("download")
        assert not cfg.test_dataloader.dataset.get("download")
    assert recipe.optim_wrapper.optimizer == dict(type="AdamW", lr=1e-3, weight_decay=1e-4)
    assert recipe.auto_scale_lr == dict(base_batch_size=64)
    warmup, cosine = recipe.param_scheduler
    assert recipe.train_cfg.max_epochs == cosine.end == 200
    # 5 % of the epochs.
    assert warmup.end == cosine.begin == 10
    assert cosine.T_max == 190


@pytest.mark.parametrize("name", NAMES)
def test_mmdet_is_not_needed(name):
    assert "mmdet." not in str(load(name))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("no_pointwise", dict(pointwise=False, selection="eca", norm=DySoft)),
        ("static_scores", dict(pointwise=True, selection="static", norm=DySoft)),
        ("fixed_channels", dict(pointwise=True, selection="fixed", norm=DySoft)),
        ("bn", dict(pointwise=True, selection="eca", norm=torch.nn.BatchNorm2d)),
        ("dysoft", dict(pointwise=True, selection="eca", norm=DySoft)),
        ("dysig", dict(pointwise=True, selection="eca", norm=DySig)),
        ("dyalge", dict(pointwise=True, selection="eca", norm=DyAlge)),
    ],
)
def test_ablations_change_one_thing_in_every_layer(name, expected):
    model = build(load(f"hadaptive_s_cifar100_{name}"))
    layers = [module for module in model.modules() if isinstance(module, AdaptiveCrossHadamard)]
    assert len(layers) == 6
    for layer in layers:
        assert isinstance(layer.pointwise, torch.nn.Identity) != expected["pointwise"]
        assert layer.selection == expected["selection"]
        assert isinstance(layer.product_norm, expected["norm"])


@pytest.mark.parametrize(
    ("name", "size"),
    [("hadaptive_s_cifar100_stock", (32, 32)), ("hadaptive_s_imagenet", (300, 200))],
)
def test_pipelines_end_at_224(name, size, tmp_path):
    cfg = load(name)
    image = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        with DefaultScope.overwrite_default_scope("mmpretrain"):
            steps = [TRANSFORMS.build(step) for step in loader.dataset.pipeline]
        results = dict(img=image, img_shape=size, gt_label=3)
        for step in steps:
            if type(step).__name__ != "LoadImageFromFile":
                results = step(results)
        assert results["inputs"].shape == (3, 224, 224)
        assert results["data_samples"].gt_label.tolist() == [3]


@pytest.mark.parametrize("name", ["starnet_s1", "ghostnetv3_100", "mobilenetv4_conv_small"])
def test_a_checkpoint_of_a_timm_network_gives_the_same_logits(name, tmp_path):
    cfg = load(f"{name}_cifar100")
    first, second = build(cfg).eval(), build(cfg).eval()
    image = torch.randn(2, 3, 64, 64)
    path = str(tmp_path / "checkpoint.pth")
    with torch.no_grad():
        expected = first(image)
        assert not torch.equal(second(image), expected)
        save_checkpoint(dict(state_dict=weights_to_cpu(first.state_dict())), path)
        load_checkpoint(second, path, strict=True)
        assert torch.equal(second(image), expected)
    # timm's own names, so that its checkpoints fit too.
    names = torch.load(path, weights_only=True)["state_dict"].keys()
    assert names == first.model.state_dict().keys()
