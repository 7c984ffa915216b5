"""What the candidates of a search space cost: multiply-accumulates and time."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.fileio import load
from torch import Tensor, nn

from mmhadaptive.analysis.complexity import count_macs
from mmhadaptive.analysis.tables import markdown_table
from mmhadaptive.analysis.timers import median_times
from mmhadaptive.io.user_errors import UserValueError

from .choice import Choice, choices
from .supernet import HadaptiveSupernet

COSTS = ("macs", "milliseconds")


def supernet_of(model: nn.Module) -> HadaptiveSupernet:
    """The supernet in a model.

    Raises:
        ValueError: There is none, or more than one.
    """
    found = [module for module in model.modules() if isinstance(module, HadaptiveSupernet)]
    if len(found) != 1:
        raise UserValueError(f"a search needs one HadaptiveSupernet, got {len(found)}")
    return found[0]


@torch.no_grad()
def choice_inputs(supernet: HadaptiveSupernet, size: tuple[int, int]) -> list[Tensor]:
    """What each choice of a network gets of a black image of this height and width."""
    inputs = {}
    handles = [
        choice.register_forward_pre_hook(lambda module, args: inputs.update({module: args[0]}))
        for choice in choices(supernet)
    ]
    training = supernet.training
    channels = next(supernet.parameters()).shape[1]
    try:
        supernet.eval()(next(supernet.parameters()).new_zeros(1, channels, *size))
    finally:
        supernet.train(training)
        for handle in handles:
            handle.remove()
    return list(inputs.values())


def count_candidates(supernet: HadaptiveSupernet, size: tuple[int, int]) -> list[dict[str, int]]:
    """MACs of every candidate, for an image of this height and width: a dict by name a choice."""
    costs = []
    for choice, x in zip(choices(supernet), choice_inputs(supernet, size), strict=True):
        counts = {}
        for name, candidate in zip(choice.names, choice.candidates, strict=True):
            # The counter traces, which would warn of weights that are on a GPU.
            block = copy.deepcopy(candidate).cpu().eval()
            counts[name] = count_macs(block, (torch.zeros(x.shape),))[""]
        costs.append(counts)
    return costs


@torch.inference_mode()
def time_candidates(
    supernet: HadaptiveSupernet, size: tuple[int, int], rounds: int
) -> list[dict[str, float]]:
    """Milliseconds of every candidate in inference, for one image of this height and width.

    The candidates of a choice take turns; the medians count.

    Args:
        supernet: The network, on the device to measure.
        size: Height and width of the image.
        rounds: Runs of each.
    """
    times = []
    for choice, x in zip(choices(supernet), choice_inputs(supernet, size), strict=True):
        blocks = {
            name: copy.deepcopy(candidate).eval()
            for name, candidate in zip(choice.names, choice.candidates, strict=True)
        }
        calls = {name: lambda block=block, x=x: block(x) for name, block in blocks.items()}
        medians = median_times(calls, rounds)
        times.append({name: 1000 * seconds for name, seconds in medians.items()})
    return times


def costs_of(supernet: HadaptiveSupernet, size: tuple[int, int], rounds: int) -> list[dict]:
    """For each choice its place and, for each candidate, the costs of :data:`COSTS`."""
    macs = count_candidates(supernet, size)
    times = time_candidates(supernet, size, rounds)
    places = [layer.place for layer in supernet.layers if layer.candidates]
    return [
        dict(
            row=place,
            candidates={name: dict(macs=m[name], milliseconds=t[name]) for name in m},
        )
        for place, m, t in zip(places, macs, times, strict=True)
    ]


def costs_table(rows: Sequence[dict]) -> str:
    """MACs and time of every candidate, in Markdown."""
    return markdown_table(
        ["row", "candidate", "M MACs", "ms"],
        [
            [row["row"], name, f"{cost['macs'] / 1e6:.3f}", f"{cost['milliseconds']:.3f}"]
            for row in rows
            for name, cost in row["candidates"].items()
        ],
    )


def read_costs(path: str | Path, supernet: HadaptiveSupernet, cost: str) -> list[dict[str, float]]:
    """One cost of every candidate, of a record of ``tools/analysis/measure_candidates.py``.

    Raises:
        ValueError: The record is of another search space, or lacks the cost.
    """
    rows = {row["row"]: row["candidates"] for row in load(str(path)).get("rows", [])}
    costs = []
    for layer in (layer for layer in supernet.layers if layer.candidates):
        values = {
            name: rows.get(layer.place, {}).get(name, {}).get(cost) for name in layer.candidates
        }
        for name, value in values.items():
            if not isinstance(value, int | float) or not math.isfinite(value):
                raise UserValueError(
                    f"{path} has no {cost} of {name} in {layer.place}: it is of another space"
                )
        costs.append(values)
    return costs


class CostPenalty:
    """``weight * E[cost] / largest cost``, to be added to the loss of the logits.

    The expectation is over architectures drawn by the candidates' probabilities; the largest cost
    is that of the costliest architecture. Both are of the rows with a choice alone.

    Args:
        blocks: The choices.
        costs: For each of them the costs of its candidates by name.
        weight: Factor of the penalty.

    Raises:
        ValueError: All candidates cost nothing.
    """

    def __init__(
        self, blocks: Sequence[Choice], costs: Sequence[dict[str, float]], weight: float
    ) -> None:
        largest = sum(max(each.values()) for each in costs)
        if not largest > 0:
            raise UserValueError("a penalty needs candidates that cost something")
        self.terms = [
            (block, block.alpha.new_tensor([each[name] for name in block.names]))
            for block, each in zip(blocks, costs, strict=True)
        ]
        self.factor = weight / largest

    def __call__(self) -> Tensor:
        return self.factor * sum(block.alpha.softmax(0) @ cost for block, cost in self.terms)
