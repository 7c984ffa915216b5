"""Grad-CAM of the layers of a classifier or a detector (section A.6, Figs. 8 and 9 of the paper).

Selvaraju et al., Grad-CAM, ICCV 2017: with the maps ``A_k`` of a layer and the score ``y`` of the
target, ``relu(sum_k w_k A_k)``, where ``w_k`` is the mean of ``dy / dA_k`` over the map. The
library ``grad-cam`` computes it; here is what layers and targets are.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mmhadaptive.io.user_errors import UserError, blame_config
from mmhadaptive.layers import AdaptiveBottleneck, AdaptiveCrossHadamard
from mmhadaptive.optional import GRAD_CAM, needs


@dataclass
class Target:
    """What a network's score is taken of.

    Attributes:
        label: The index of the class.
        score: Of a classifier the probability, of a detector the box's score.
        box: Of a detector, x1, y1, x2, y2 in pixels of the input.
        number: Of a detector, the box's place among all it finds, by falling score, from 1.
    """

    label: int
    score: float
    box: tuple[float, float, float, float] | None = None
    number: int | None = None


@dataclass
class LayerActivation:
    """The Grad-CAM of a layer.

    Attributes:
        name: The layer's, as ``model.get_submodule`` takes it.
        kind: ``ACH``, ``Ghost``, ..., or the name of its type.
        size: Height and width of its output.
        downsamples: Whether it gives smaller maps than the layer before, or than the input.
        weight: Whether the score depends on it at all.
        cam: (H, W) of the input, float32, from 0 to 1.
    """

    name: str
    kind: str
    size: tuple[int, int]
    downsamples: bool
    weight: bool
    cam: np.ndarray


def is_detector(model: nn.Module) -> bool:
    """Whether a model of mmdet or mmpretrain finds boxes."""
    return any(getattr(model, name, None) is not None for name in ("bbox_head", "roi_head"))


def layers_along_depth(model: nn.Module, x: Tensor, most: int = 24) -> list[str]:
    """The names of the blocks of a model's backbone in the order in which they run.

    A block is what stands in the backbone or in lists and sequences there, has a convolution or a
    linear layer, and gives a map of more than one pixel.

    Args:
        model: A classifier or a detector.
        x: Its input, (1, 3, H, W).
        most: Where there are more blocks, so many are spread evenly over the depth.
    """
    root = _backbone(model)
    names = {module: name for name, module in model.named_modules()}
    called: list[tuple[nn.Module, object]] = []
    blocks = [m for m in _blocks(root) if any(p.dim() > 1 for p in m.parameters())]
    handles = [m.register_forward_hook(lambda m, _, y: called.append((m, y))) for m in blocks]
    try:
        with torch.no_grad():
            root(x)
    finally:
        for handle in handles:
            handle.remove()
    runs = [module for module, _ in called]
    extra = _extra_tokens(model)
    found = [
        names[module]
        for module, y in called
        if runs.count(module) == 1 and math.prod(_map_size(y, x, extra) or (0,)) > 1
    ]
    kept = np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int)
    return [found[i] for i in kept]


def _backbone(model: nn.Module) -> nn.Module:
    """The backbone; of mmpretrain's TimmClassifier the whole network."""
    for name in ("backbone", "model"):
        if isinstance(getattr(model, name, None), nn.Module):
            return getattr(model, name)
    return model


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, (nn.Sequential, nn.ModuleList)):
            yield from _blocks(child)
        else:
            yield child


def _kind(module: nn.Module) -> str:
    if any(isinstance(m, AdaptiveCrossHadamard) for m in module.modules()):
        return "ACH"
    if isinstance(module, AdaptiveBottleneck):
        return type(module.expand).__name__.removesuffix("Expansion")
    return type(module).__name__.removesuffix("Module")


def class_label(classes: Sequence[str] | None, wanted: str) -> int:
    """The index of a class, given by its name or, where no class has this name, as a number.

    Raises:
        UserError: There is no such class.
    """
    classes = list(classes or ())
    if wanted in classes:
        return classes.index(wanted)
    if wanted.isdecimal() and (not classes or int(wanted) < len(classes)):
        return int(wanted)
    shown = ", ".join(map(str, classes[:10])) + (", ..." if len(classes) > 10 else "")
    raise UserError(f"there is no class {wanted}; classes are {shown or 'known by number only'}")


def classifier_target(model: nn.Module, x: Tensor, label: int | None = None) -> Target:
    """The class of a classifier, by default the one that it predicts.

    Args:
        model: mmpretrain's classifier.
        x: Its input, (1, 3, H, W).
        label: The index of the class.

    Raises:
        UserError: The network gives no scores of classes, or has no such class.
    """
    with torch.no_grad():
        scores = _logits(model, x)[0].softmax(0)
    if label is None:
        label = int(scores.argmax())
    if not 0 <= label < len(scores):
        raise UserError(f"there is no class {label}: the network has {len(scores)}")
    return Target(label, float(scores[label]))


def _logits(model: nn.Module, x: Tensor) -> Tensor:
    y = model(x, mode="tensor")
    if not isinstance(y, Tensor) or y.dim() != 2:
        raise UserError(f"{type(model).__name__} gives no scores of classes")
    return y


def detector_target(
    model: nn.Module,
    x: Tensor,
    samples: Sequence[BaseDataElement],
    label: int | None = None,
    number: int | None = None,
    near: Sequence[float] | None = None,
) -> Target:
    """A box that a detector finds, by default the one of the highest score.

    Args:
        model: mmdet's detector.
        x: Its input, (1, 3, H, W).
        samples: The data sample that belongs to it.
        label: Take a box of this class.
        number: Take the box at this place by falling score, from 1, among those of the class where
            one is given.
        near: Take the box that overlaps this one most, x1, y1, x2, y2 in pixels of the input.

    Raises:
        UserError: There is no such box.
    """
    with torch.no_grad():
        found = _boxes(model, x, samples)
    order = found.scores.argsort(descending=True, stable=True)
    places = [i for i, k in enumerate(order) if label is None or int(found.labels[k]) == label]
    what = "box" if label is None else f"box of class {label}"
    boxes = getattr(found.bboxes, "tensor", found.bboxes)[order]
    if near is not None:
        overlaps = [_overlap(boxes[i].tolist(), near) for i in places]
        if not overlaps or max(overlaps) == 0:
            raise UserError(f"{type(model).__name__} finds no {what} where the other network does")
        place = places[int(np.argmax(overlaps))]
    else:
        number = number or 1
        if number > len(places):
            raise UserError(
                f"there is no {what} with the number {number}: {type(model).__name__} finds "
                f"{len(places)}"
            )
        place = places[number - 1]
    best = order[place]
    box = tuple(boxes[place].tolist())
    return Target(int(found.labels[best]), float(found.scores[best]), box, place + 1)


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union."""
    sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1)]
    shared = math.prod(max(side, 0) for side in sides)
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return shared / (sum(areas) - shared) if shared else 0.0


class _WithoutDetaching(TorchFunctionMode):
    """mmdet detaches the maps of a picture, (C, H, W), before it makes boxes of them."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is Tensor.detach and args[0].dim() == 3:
            return args[0]
        return func(*args, **(kwargs or {}))


def _boxes(model: nn.Module, x: Tensor, samples: Sequence[BaseDataElement]) -> BaseDataElement:
    """What a detector finds, in pixels of the input; its scores can be differentiated."""
    with _WithoutDetaching():
        (found,) = model.predict(x, copy.deepcopy(list(samples)), rescale=False)
    return found.pred_instances


def classifier_score(label: int) -> Callable[[nn.Module, Tensor], Tensor]:
    """The score of a class, before the softmax, as a function of a classifier and its input."""
    return lambda model, x: _logits(model, x)[0, label]


def box_score(
    samples: Sequence[BaseDataElement], number: int
) -> Callable[[nn.Module, Tensor], Tensor]:
    """The score of a box, by its :attr:`Target.number`, as a function of a detector and its input.

    The box is what the detector makes of the input: it may be another one for another input.
    """

    def score(model: nn.Module, x: Tensor) -> Tensor:
        found = _boxes(model, x, samples)
        place = found.scores.detach().argsort(descending=True, stable=True)[number - 1]
        return found.scores[place]

    return score


def class_activation(
    model: nn.Module,
    x: Tensor,
    score: Callable[[nn.Module, Tensor], Tensor],
    layers: Sequence[str],
) -> list[LayerActivation]:
    """Grad-CAM of layers, each scaled from 0 to 1 and enlarged bilinearly to the input.

    Args:
        model: The network, in evaluation mode.
        x: Its input, (1, 3, H, W).
        score: The scalar ``y`` of the model and the input; :func:`classifier_score` and
            :func:`box_score` are such.
        layers: Names of modules along the depth. Outputs are (1, C, h, w), or (1, L, C) of
            tokens on a grid of the input's shape; of a tuple the first one counts.

    Raises:
        UserError: ``grad-cam`` is missing, a layer is not in the model, does not run once or gives
            no map, or the score can't be differentiated.
    """
    with blame_config(), needs(*GRAD_CAM, user="Grad-CAM"):
        from pytorch_grad_cam import GradCAM

    class OfLayers(GradCAM):
        def aggregate_multi_layers(self, maps: list[np.ndarray]) -> np.ndarray:
            return np.concatenate(maps, axis=1)

    modules = [_submodule(model, name) for name in layers]
    if not modules:
        raise UserError("no layer is given")
    with _without_gradients(model):
        scored = _Scored(model, score)
        library = OfLayers(scored, modules)
        # Its own record assumes that every layer has a gradient, and keeps what is later
        # overwritten in place.
        library.activations_and_grads.release()
        library.activations_and_grads = record = _Record(scored, layers, modules, x)
        try:
            cams = library(x.detach().requires_grad_(), targets=[lambda y: y])[0]
        finally:
            record.release()
    before = tuple(x.shape[2:])
    result = []
    for name, module, cam, a, g in zip(
        layers, modules, cams, record.activations, record.gradients, strict=True
    ):
        size = tuple(a.shape[2:])
        smaller = math.prod(size) < math.prod(before)
        result.append(LayerActivation(name, _kind(module), size, smaller, bool(g.any()), cam))
        before = size
    return result


def _submodule(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError as error:
        while name and not _has(model, name):
            name = name.rpartition(".")[0]
        inner = ", ".join(n for n, _ in model.get_submodule(name).named_children())
        raise UserError(f"{error}; {name or 'the model'} has {inner or 'no parts'}") from error


def _has(model: nn.Module, name: str) -> bool:
    return any(name == each for each, _ in model.named_modules())


@contextmanager
def _without_gradients(model: nn.Module) -> Iterator[None]:
    """Within, parameters have no gradients; the input has."""
    wanted = {p: p.requires_grad for p in model.parameters()}
    model.requires_grad_(False)
    try:
        yield
    finally:
        for p, requires_grad in wanted.items():
            p.requires_grad_(requires_grad)


class _Scored(nn.Module):
    """A network that gives its score."""

    def __init__(self, model: nn.Module, score: Callable) -> None:
        super().__init__()
        self.model, self.score = model, score

    def forward(self, x: Tensor) -> Tensor:
        y = self.score(self.model, x)
        if not y.requires_grad:
            raise UserError(f"the score of {type(self.model).__name__} can't be differentiated")
        return y[None]


class _Record:
    """Activations and gradients in the order of the layers; zeros where the score depends not."""

    def __init__(
        self, scored: _Scored, names: Sequence[str], modules: Sequence[nn.Module], x: Tensor
    ) -> None:
        self.scored, self.names, self.x = scored, names, x
        self.extra = _extra_tokens(scored.model)
        self.outputs: list[list[Tensor]] = [[] for _ in modules]
        self.handles = [
            module.register_forward_hook(self._hook(i)) for i, module in enumerate(modules)
        ]

    def _hook(self, i: int) -> Callable:
        def keep(module: nn.Module, inputs: tuple, y):
            first = y[0] if isinstance(y, (tuple, list)) else y
            if _map_size(first, self.x, self.extra) is None:
                raise UserError(f"{self.names[i]} gives no map")
            if first.requires_grad:
                first.retain_grad()
            self.outputs[i].append(first)
            # What follows may write into it.
            passed = first.clone()
            return type(y)([passed, *y[1:]]) if isinstance(y, (tuple, list)) else passed

        return keep

    def __call__(self, x: Tensor) -> Tensor:
        y = self.scored(x)
        for name, found in zip(self.names, self.outputs, strict=True):
            if len(found) != 1:
                raise UserError(f"{name} runs {len(found)} times, not once")
        return y

    @property
    def activations(self) -> list[Tensor]:
        return [self._to_map(y.detach()) for (y,) in self.outputs]

    @property
    def gradients(self) -> list[Tensor]:
        """Scaled so that the largest weight is 1: the library adds a small constant to what it
        divides by, in which the gradients of a sure detector would drown."""
        scaled = []
        for (y,) in self.outputs:
            g = self._to_map(torch.zeros_like(y) if y.grad is None else y.grad)
            largest = g.mean((2, 3)).abs().amax()
            scaled.append(g / largest if largest else g)
        return scaled

    def _to_map(self, y: Tensor) -> Tensor:
        if y.dim() == 4:
            return y
        size = _map_size(y, self.x, self.extra)
        return y[:, y.shape[1] - math.prod(size) :].transpose(1, 2).unflatten(2, size)

    def release(self) -> None:
        for handle in self.handles:
            handle.remove()


def _extra_tokens(model: nn.Module) -> int:
    """Tokens before those of the picture, such as that of the class, as mmpretrain and timm say."""
    root = _backbone(model)
    return next((getattr(root, n) for n in _EXTRA_TOKENS if getattr(root, n, None)), 0)


_EXTRA_TOKENS = ("num_extra_tokens", "num_prefix_tokens")


def _map_size(y, x: Tensor, extra: int) -> tuple[int, int] | None:
    """Height and width of a map (N, C, h, w), or of tokens (N, L, C) in the shape of the input."""
    y = y[0] if isinstance(y, (tuple, list)) and y else y
    if not isinstance(y, Tensor) or y.dim() not in (3, 4):
        return None
    if y.dim() == 4:
        return tuple(y.shape[2:])
    tokens, (height, width) = y.shape[1] - extra, x.shape[2:]
    h = round(math.sqrt(max(tokens, 0) * height / width))
    return (h, tokens // h) if h and tokens % h == 0 else None
