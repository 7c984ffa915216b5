"""What a pass shows of the blocks of a network: their widths and strides, and their main path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

#: The layers of which a path consists.
LAYERS = (nn.Conv2d, nn.Linear, _BatchNorm)
#: Height and width of the map that shows a stride where that of the pass is too small to.
PROBE_SIZE = 32


@dataclass(frozen=True)
class Call:
    """One call of a block. ``path`` are the layers on the longest way from input to output."""

    input: Tensor
    output: Tensor
    path: tuple[nn.Module, ...]


@dataclass(frozen=True)
class Observed:
    """A block as its calls show it: that of the pass and, if it takes one, that of the probe."""

    in_channels: int
    out_channels: int
    stride: int
    calls: tuple[Call, ...]

    @property
    def path(self) -> tuple[nn.Module, ...]:
        return self.calls[-1].path


def observe(model: nn.Module, blocks: dict[str, nn.Module], inputs: tuple) -> dict[str, Observed]:
    """The widths, strides and paths of ``blocks``, named submodules, in ``model(*inputs)``.

    The pass ends when the last of them has run. Where a map is so small that several strides give
    its size, the block alone is run on a larger one.

    Raises:
        ValueError: A block is not reached, does not turn one map or tensor of tokens into one, or
            has no one stride; the message names it.
    """
    calls = trace(model, blocks, inputs)
    return {target: _measure(target, block, calls[target]) for target, block in blocks.items()}


def trace(model: nn.Module, blocks: dict[str, nn.Module], inputs: tuple) -> dict[str, Call]:
    """The first call of each of ``blocks`` in ``model(*inputs)``, which ends with the last one.

    Raises:
        ValueError: A block is not reached or does not turn one tensor into one.
    """
    if not blocks:
        return {}
    calls: dict[str, Call | None] = {}
    ways = _Ways()
    handles = []

    def enter(module, args, kwargs):
        ways.start(_first(args, kwargs))

    def follow(module, args, kwargs, output):
        ways.through(module, (args, kwargs), output)

    for target, block in blocks.items():

        def leave(module, args, kwargs, output, target=target):
            x = _first(args, kwargs)
            whole = isinstance(x, Tensor) and isinstance(output, Tensor)
            calls.setdefault(target, Call(x, output, ways.path(output)) if whole else None)
            ways.start(None)
            if len(calls) == len(blocks):
                raise _AllSeen

        handles.append(block.register_forward_pre_hook(enter, with_kwargs=True))
        for module in block.modules():
            handles.append(module.register_forward_hook(follow, with_kwargs=True))
        handles.append(block.register_forward_hook(leave, with_kwargs=True))
    failure = None
    try:
        with torch.no_grad(), ways:
            model(*inputs)
    except _AllSeen:
        pass
    except Exception as error:
        failure = error
    finally:
        for handle in handles:
            handle.remove()
    for target, block in blocks.items():
        if target not in calls:
            reason = f", which ended in {type(failure).__name__}: {failure}" if failure else ""
            raise ValueError(
                f"{target} ({type(block).__name__}) does not run to its end in a pass of the "
                f"model{reason}"
            ) from failure
        if calls[target] is None:
            raise ValueError(
                f"{target} ({type(block).__name__}) does not turn one tensor into one tensor in a "
                "pass of the model, so it cannot be replaced"
            )
    return calls


class _AllSeen(BaseException):
    """Ends a pass of which nothing more is to be seen: what follows may need other inputs."""


class _Ways(TorchFunctionMode):
    """Knows for every tensor the longest way of layers to it from the input of a block.

    The order in which layers run, or are registered, does not tell a shortcut from the main path:
    ResNet's downsampling is the last in both. A shortcut is the shorter way. A gate, such as that
    of squeeze-and-excitation, is the longer one, but is broadcast over the map that it scales.
    """

    def __init__(self) -> None:
        super().__init__()
        self.start(None)

    def start(self, x: object) -> None:
        """Forget the last block; ``x`` is the input of the next one."""
        self.ways = WeakTensorKeyDictionary()
        if isinstance(x, Tensor):
            self.ways[x] = ()

    def path(self, x: Tensor) -> tuple[nn.Module, ...]:
        return self.ways.get(x, ())

    def __torch_function__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        self._carry((args, kwargs), _tensors(output))
        return output

    def through(self, module: nn.Module, inputs: object, output: object) -> None:
        """After a module: a layer makes the way longer; others may hide functions from us."""
        if isinstance(module, LAYERS):
            self._carry(inputs, _tensors(output), (module,))
        else:
            self._carry(inputs, (y for y in _tensors(output) if y not in self.ways))

    def _carry(self, inputs: object, outputs: Iterator[Tensor], layers: tuple = ()) -> None:
        if not self.ways:
            return
        known = [x for x in _tensors(inputs) if x in self.ways]
        for y in outputs if known else ():
            whole = [x for x in known if not _is_broadcast(x, y)] or known
            self.ways[y] = max((self.ways[x] for x in whole), key=len) + layers


def _tensors(values: object) -> Iterator[Tensor]:
    return (value for value in tree_leaves(values) if isinstance(value, Tensor))


def _first(args: tuple, kwargs: dict) -> object:
    return next(iter((*args, *kwargs.values())), None)


def _is_broadcast(x: Tensor, y: Tensor) -> bool:
    return x.dim() == y.dim() and any(a == 1 < b for a, b in zip(x.shape, y.shape, strict=True))


def _measure(target: str, block: nn.Module, call: Call) -> Observed:
    x, y = call.input, call.output
    turns = f"{target} ({type(block).__name__}) turns {tuple(x.shape)} into {tuple(y.shape)}"
    if x.dim() == 3 and y.dim() == 3:
        return Observed(x.shape[2], y.shape[2], 1, (call,))
    if x.dim() != 4 or y.dim() != 4:
        raise ValueError(f"{turns}; only maps (N, C, H, W) and tokens (N, T, C) can be replaced")
    calls, strides = (call,), _strides(x, y)
    vague = f"{turns}, which does not tell its stride; let the pass have a larger input"
    if len(strides) > 1:
        probe = x.new_zeros(1, x.shape[1], PROBE_SIZE, PROBE_SIZE)
        try:
            calls += (trace(block, {target: block}, (probe,))[target],)
        except ValueError as error:
            raise ValueError(vague) from error
        strides = _strides(probe, calls[-1].output)
    if len(strides) > 1:
        raise ValueError(vague)
    if not strides:
        raise ValueError(f"{turns}, which no one stride does")
    return Observed(x.shape[1], y.shape[1], strides.pop(), calls)


def _strides(x: Tensor, y: Tensor) -> set[int]:
    """Every stride by which ``x`` becomes as small as ``y``, whichever way its layers round.

    Those that leave one pixel are the size of ``x`` and any above it, of which one is listed.
    """
    sizes = list(zip(x.shape[2:], y.shape[2:], strict=True))
    return {
        stride
        for stride in range(1, max(x.shape[2:]) + 2)
        if all(a // stride <= b <= -(-a // stride) for a, b in sizes)
    }
