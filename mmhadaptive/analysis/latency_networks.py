"""The networks of Table 7 and the detectors of Table 6, built to be timed.

No weights are published, and the time of a network does not depend on them as long as its
activations neither vanish nor overflow. So weights are random, from a seed, and normalisations have
the statistics of a batch of noise.
"""

from __future__ import annotations

import math

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmhadaptive.io.model_index import FOLDER
from mmhadaptive.io.published import Published, published_figures
from mmhadaptive.models.merging import merge_branches

from .input_size import input_size


def classifiers() -> dict[str, Published]:
    """The networks of Table 7 on CIFAR-100, by the name of the network, in the table's order."""
    return {
        figure.name.removesuffix("_cifar100"): figure
        for figure in published_figures()
        if figure.source == "Table 7" and figure.dataset == "CIFAR-100"
    }


def detectors() -> dict[str, Published]:
    """The detectors of Table 6, by the name of the config."""
    return {figure.name: figure for figure in published_figures() if figure.source == "Table 6"}


def paper_figures(name: str) -> dict:
    """What Table 7 prints of a network.

    Returns:
        ``cpu``, its latency in milliseconds, and ``top1``, its accuracies in per cent by data set.
    """
    figure = classifiers()[name]
    top1 = {figure.dataset: figure.metrics["Top 1 Accuracy"]}
    for other in published_figures():
        if other.source == "Table 7" and other.name == f"{name}_imagenet":
            top1[other.dataset] = other.metrics["Top 1 Accuracy"]
    return dict(cpu=figure.latency["CPU"], top1=top1)


def build_network(figure: Published) -> tuple[nn.Module, Config, tuple[int, int]]:
    """A classifier or detector in the form in which it runs after training, on the CPU.

    Returns:
        The network, in evaluation mode, its branches merged; its config; and height and width of
        the images that it tests on.
    """
    cfg = Config.fromfile(FOLDER / figure.config)
    size = input_size(cfg)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmengine")):
        torch.manual_seed(0)
        model = MODELS.build(cfg.model)
    settle_norms(model, torch.randn(4, 3, *size))
    merge_branches(model)
    return model.requires_grad_(False), cfg, size


def settle_norms(model: nn.Module, images: torch.Tensor) -> None:
    """Give batch normalisations the statistics of a batch, and bring a network to evaluation mode.

    Args:
        model: A classifier or detector of OpenMMLab's.
        images: ``(N, 3, H, W)``.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    with torch.no_grad():
        model.train()(images, mode="tensor")
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


def let_through(model: nn.Module, image: torch.Tensor, count: int) -> None:
    """Shift the scores of a detector with sigmoid scores so that ``count`` pass its threshold.

    Random weights leave suppression nothing or everything to do; so every detector has the same
    number of candidates, of all classes together.

    Args:
        model: A single-stage detector in evaluation mode.
        image: ``(1, 3, H, W)``, normalised; the one that is timed.
        count: Of scores above ``test_cfg.score_thr``.
    """
    head = model.bbox_head
    with torch.no_grad():
        scores, _ = model(image, mode="tensor")
    logits = torch.cat([level.flatten() for level in scores]).sort(descending=True).values
    threshold = head.test_cfg.score_thr
    between = (logits[count - 1] + logits[count]).item() / 2
    for layers in head.cls_convs:
        convolution = [layer for layer in layers.modules() if isinstance(layer, nn.Conv2d)][-1]
        convolution.bias.data += math.log(threshold / (1 - threshold)) - between
