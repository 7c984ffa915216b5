"""Which channels the layers of a model choose for pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mmhadaptive.io.user_errors import UserValueError

from .adaptive_cross_hadamard import AdaptiveCrossHadamard


def choosing_layers(model: nn.Module) -> dict[str, AdaptiveCrossHadamard]:
    """The layers of ``model`` that choose channels by scores, by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, AdaptiveCrossHadamard) and module.selection != "fixed"
    }


def count_choices(index: Tensor, channels: int) -> Tensor:
    """How often rank ``r`` was channel ``c``.

    Args:
        index: Chosen channels by rank, ``(N, k)``, of any type of integers.
        channels: Number ``C`` of channels.

    Returns:
        int64, ``(k, C)``.
    """
    ranks = torch.arange(index.shape[1], device=index.device)
    codes = (ranks * channels + index.long()).flatten()
    return torch.bincount(codes, minlength=len(ranks) * channels).view(-1, channels)


@contextmanager
def _recording(layers: dict[str, AdaptiveCrossHadamard]) -> Iterator[dict[str, list[Tensor]]]:
    """Within, keep what the layers choose, a tensor a call."""
    chosen: dict[str, list[Tensor]] = {name: [] for name in layers}

    def recorded(name: str, layer: AdaptiveCrossHadamard):
        choose = layer.select

        def select(x: Tensor) -> tuple[Tensor, Tensor]:
            index, gate = choose(x)
            chosen[name].append(index.cpu())
            return index, gate

        return select

    for name, layer in layers.items():
        layer.select = recorded(name, layer)
    try:
        yield chosen
    finally:
        for layer in layers.values():
            del layer.select


def _predict(model: nn.Module, batch) -> None:
    """A pass over what a loader gives: a dict for mmengine's models, or a tensor, or a sequence
    that begins with one."""
    if isinstance(batch, dict) and hasattr(model, "test_step"):
        model.test_step(batch)
        return
    x = batch[0] if isinstance(batch, (tuple, list)) else batch
    model(x.to(next(model.parameters()).device))


@torch.no_grad()
def record_choices(
    model: nn.Module, loader: Iterable, see: Callable[[dict[str, Tensor]], None]
) -> None:
    """Let a model predict, without noise, and show what its layers choose.

    Args:
        model: A model in any mode, in which it is left.
        loader: Batches of pictures: the dicts that mmengine's loaders give to ``model.test_step``,
            or tensors, or sequences that begin with a tensor.
        see: Called after every batch with the chosen channels by rank, ``(N, k)`` on the CPU, by
            the layer's name. ``N`` is the number of pictures, or a multiple of it where a pass
            calls a layer several times, and none where the batch does not reach it.

    Raises:
        UserValueError: No layer chooses, the loader is empty, or no batch reaches some layer.
    """
    layers = choosing_layers(model)
    if not layers:
        fixed = any(isinstance(module, AdaptiveCrossHadamard) for module in model.modules())
        what = "has fixed its selection already" if fixed else "has no cross-Hadamard layer"
        raise UserValueError(f"{type(model).__name__} {what}: there is no choice")
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    batches, unreached = 0, set(layers)
    try:
        with _recording(layers) as chosen:
            for batch in loader:
                _predict(model, batch)
                seen = {
                    name: torch.cat(parts)
                    if parts
                    else torch.zeros(0, layers[name].num_selected, dtype=torch.int64)
                    for name, parts in chosen.items()
                }
                for parts in chosen.values():
                    parts.clear()
                unreached -= {name for name, index in seen.items() if len(index)}
                see(seen)
                batches += 1
    finally:
        for module, mode in modes:
            module.training = mode
    if not batches:
        raise UserValueError("the loader is empty: there are no pictures to measure over")
    if unreached:
        raise UserValueError(f"no picture reaches {', '.join(sorted(unreached))}")
