"""Cross-Hadamard layers that choose the same channels for every picture.

Without scores there is no pooling, no TopK and no Gather: what is left are convolutions, slices and
products, which any compiler takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmhadaptive.io.user_errors import UserValueError
from mmhadaptive.layers import (
    ACHPlugin,
    AdaptiveBottleneck,
    AdaptiveCrossHadamard,
    choosing_layers,
    count_choices,
    record_choices,
)
from mmhadaptive.optional import needs

ORDERS = ("set", "rank")


@dataclass(frozen=True)
class LayerSelection:
    """What a layer chose over all pictures.

    Args:
        counts: How often rank ``r`` was channel ``c``, ``(k, C)``.
        channels: The channels that are fixed, by rank; empty before.
    """

    counts: Tensor
    channels: tuple[int, ...] = ()

    @property
    def pictures(self) -> int:
        """Number of choices that were counted; more than pictures if a pass has several."""
        return int(self.counts[0].sum())

    @property
    def by_chance(self) -> float:
        """The share by set of ``k`` channels that no picture had a say in, ``k / C``."""
        return self.counts.shape[0] / self.counts.shape[1]

    @property
    def by_set(self) -> float:
        """The share of all chosen channels that are among the fixed ones."""
        return int(self.counts[:, list(self.channels)].sum()) / int(self.counts.sum())

    @property
    def by_rank(self) -> float:
        """The share of all chosen channels that are fixed at the same rank."""
        ranks = torch.arange(len(self.channels))
        return int(self.counts[ranks, list(self.channels)].sum()) / int(self.counts.sum())


@dataclass(frozen=True)
class SelectionReport:
    """What :func:`freeze_selection` fixed, and how much of the choices it kept.

    Args:
        layers: The layers by name.
        before: Metrics of the model with its own choice, if they were asked for.
        after: Those of the frozen model.
    """

    layers: dict[str, LayerSelection]
    before: dict = field(default_factory=dict)
    after: dict = field(default_factory=dict)

    def _share(self, kind: str) -> float:
        shares = [(getattr(s, kind), int(s.counts.sum())) for s in self.layers.values()]
        return sum(share * count for share, count in shares) / sum(count for _, count in shares)

    @property
    def by_chance(self) -> float:
        """The share over all layers; see :class:`LayerSelection`."""
        return self._share("by_chance")

    @property
    def by_set(self) -> float:
        """The share over all layers; see :class:`LayerSelection`."""
        return self._share("by_set")

    @property
    def by_rank(self) -> float:
        """The share over all layers; see :class:`LayerSelection`."""
        return self._share("by_rank")

    def as_dict(self) -> dict:
        """For a record."""
        return dict(
            pictures=next(iter(self.layers.values())).pictures,
            by_set=round(self.by_set, 4),
            by_rank=round(self.by_rank, 4),
            by_chance=round(self.by_chance, 4),
            layers={
                name: dict(
                    by_set=round(layer.by_set, 4),
                    by_rank=round(layer.by_rank, 4),
                    by_chance=round(layer.by_chance, 4),
                    channels=list(layer.channels),
                )
                for name, layer in self.layers.items()
            },
            before=_numbers(self.before),
            after=_numbers(self.after),
        )

    def __str__(self) -> str:
        width = max(map(len, [*self.layers, "all layers"]))
        lines = [f"{'selections kept':{width}}  by set  chance  by rank"]
        rows = [*self.layers.items(), ("all layers", self)]
        lines += [
            f"{n:{width}}  {s.by_set:6.1%}  {s.by_chance:6.1%}   {s.by_rank:6.1%}" for n, s in rows
        ]
        for name, value in _numbers(self.before).items():
            if name in self.after:
                lines.append(f"{name}: {value:.4g} -> {self.after[name]:.4g}")
        return "\n".join(lines)


def _numbers(metrics: dict) -> dict[str, float]:
    """The metrics that are one number; mmpretrain has lists of classes and matrices as well."""
    return {k: float(v) for k, v in metrics.items() if isinstance(v, (int, float))}


def measure_selection(model: nn.Module, loader: Iterable) -> dict[str, LayerSelection]:
    """Count which channels every layer chooses, without noise.

    Args:
        model: A model in any mode.
        loader: Batches of pictures; see :func:`freeze_selection`.

    Raises:
        UserValueError: No layer chooses, the loader is empty, or no batch reaches some layer.
    """
    layers = choosing_layers(model)
    counts: dict[str, Tensor | int] = dict.fromkeys(layers, 0)

    def see(chosen: dict[str, Tensor]) -> None:
        for name, index in chosen.items():
            counts[name] = counts[name] + count_choices(index, layers[name].in_channels)

    record_choices(model, loader, see)
    return {name: LayerSelection(count) for name, count in counts.items()}


def most_frequent(counts: Tensor, order: str = "set") -> tuple[int, ...]:
    """The channels to fix, by rank.

    Args:
        counts: How often rank ``r`` was channel ``c``, ``(k, C)``.
        order: ``'set'``: the ``k`` channels that are chosen most often at any rank, which keep the
            most choices by set, at the ranks where most of them are. ``'rank'``: the assignment of
            channels to ranks that keeps the most choices by rank.
    """
    with needs("scipy", "pip install scipy", user="freeze_selection"):
        from scipy.optimize import linear_sum_assignment

    if order not in ORDERS:
        raise UserValueError(f"order must be one of {ORDERS}, got {order!r}")
    candidates = torch.arange(counts.shape[1])
    if order == "set":
        # Of equals the first, so that a run repeats.
        often = counts.sum(0).sort(descending=True, stable=True).indices
        candidates = often[: counts.shape[0]]
    _, columns = linear_sum_assignment(counts[:, candidates].numpy(), maximize=True)
    return tuple(candidates[columns].tolist())


def _permutable(module: nn.Module) -> bool:
    """Whether the channels of a 1x1 or depthwise ConvModule can change places."""
    from mmcv.cnn import ConvModule

    if not isinstance(module, ConvModule):
        return False
    known = {module.conv, *([module.norm] if module.with_norm else [])}
    norm = not module.with_norm or isinstance(module.norm, _BatchNorm)
    rest = (m for m in module.modules() if m not in known)
    return norm and not any(True for m in rest for _ in m.parameters(recurse=False))


def _permute(module: nn.Module, order: Tensor, dim: int = 0) -> None:
    """Let the channels of a convolution or a batch normalisation change places."""
    for tensor in [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
        if tensor.dim() > dim:
            tensor.copy_(tensor.index_select(dim, order.to(tensor.device)))


def _permute_outputs(module: nn.Module, order: Tensor) -> None:
    _permute(module.conv, order)
    if module.with_norm:
        _permute(module.norm, order)


@dataclass(frozen=True)
class _Consumer:
    """What reads the output of a cross-Hadamard layer: layers by channel, then one that mixes."""

    depthwise: nn.Module | None
    squeeze: nn.Module | None
    mixing: nn.Conv2d

    def permute(self, order: Tensor) -> None:
        if self.depthwise is not None:
            _permute_outputs(self.depthwise, order)
        if self.squeeze is not None:
            _permute(self.squeeze.fc1, order, dim=1)
            _permute(self.squeeze.fc2, order)
        _permute(self.mixing, order, dim=1)


def _consumers(model: nn.Module) -> dict[AdaptiveCrossHadamard, _Consumer]:
    """Of every layer in a block of ours whose channels may change places, what follows it."""
    found = {}
    for module in model.modules():
        if isinstance(module, AdaptiveBottleneck):
            layer = module.expand
            squeeze = None if isinstance(module.se, nn.Identity) else module.se
            fits = _permutable(module.depthwise) and isinstance(module.project.conv, nn.Conv2d)
            consumer = _Consumer(module.depthwise, squeeze, module.project.conv)
        elif isinstance(module, ACHPlugin):
            layer, fits = module.ach, True
            consumer = _Consumer(None, None, module.project)
        else:
            continue
        if isinstance(layer, AdaptiveCrossHadamard) and fits and _permutable(layer.pointwise):
            found[layer] = consumer
    return found


@torch.no_grad()
def fix_selection(model: nn.Module, channels: dict[str, Iterable[int]]) -> None:
    """Fix the channels of layers, in place.

    Where a layer has a 1x1 convolution of its own and stands in an
    :class:`~mmhadaptive.layers.AdaptiveBottleneck` or :class:`~mmhadaptive.layers.ACHPlugin`, the
    outputs of the convolution change places so that the fixed channels are the first; the weights
    that follow change places with them. Elsewhere the layer keeps the numbers of the channels.

    Args:
        model: The model.
        channels: Of each layer by name, the channels by rank.
    """
    layers = choosing_layers(model)
    consumers = _consumers(model)
    for name, chosen in channels.items():
        layer, chosen = layers[name], list(chosen)
        consumer = consumers.get(layer)
        if consumer is None:
            layer.fix_channels(chosen)
            continue
        rest = sorted(set(range(layer.in_channels)) - set(chosen))
        order = torch.tensor([*chosen, *rest])
        _permute_outputs(layer.pointwise, order)
        consumer.permute(torch.cat([order, torch.arange(layer.in_channels, layer.out_channels)]))
        layer.fix_channels()


def freeze_selection(
    model: nn.Module,
    loader: Iterable,
    order: str = "set",
    evaluate: Callable[[], dict] | None = None,
) -> SelectionReport:
    """Let every cross-Hadamard layer choose the channels that it chooses most often, in place.

    >>> report = freeze_selection(model, train_loader)
    >>> print(report)

    The result computes what the model did, except where a picture would have chosen otherwise. It
    trains like any model, has the weights of one that was built with ``selection='fixed'``, and its
    state dict loads into such a one.

    Args:
        model: A model with :class:`~mmhadaptive.layers.AdaptiveCrossHadamard` layers.
        loader: Batches of pictures, those of the training by the pipeline of the test: the dicts
            that mmengine's loaders give to ``model.test_step``, or tensors, or sequences that begin
            with a tensor.
        order: Which channels are the most frequent ones; see :func:`most_frequent`.
        evaluate: Called before and after; its metrics go into the report.

    Raises:
        UserValueError: No layer chooses, the loader is empty, or ``order`` is unknown. The model is
            as it was.
    """
    if order not in ORDERS:
        raise UserValueError(f"order must be one of {ORDERS}, got {order!r}")
    layers = {
        name: LayerSelection(layer.counts, most_frequent(layer.counts, order))
        for name, layer in measure_selection(model, loader).items()
    }
    before = evaluate() if evaluate else {}
    fix_selection(model, {name: layer.channels for name, layer in layers.items()})
    after = evaluate() if evaluate else {}
    return SelectionReport(layers, before, after)
