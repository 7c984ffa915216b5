"""Swap blocks of a network for others that are built for their places."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from mmengine.analysis import parameter_count
from mmengine.logging import print_log
from mmengine.registry import MODELS
from torch import nn

import mmhadaptive.layers  # noqa: F401  registers the blocks

from .roles import hidden_channels, roles, transfer
from .tracing import Observed, observe, trace


@dataclass(frozen=True)
class Replacement:
    """One block that was replaced; ``parameters`` are before and after."""

    target: str
    old_type: str
    new_type: str
    in_channels: int
    out_channels: int
    stride: int
    parameters: tuple[int, int]
    transferred: tuple[str, ...]


@dataclass(frozen=True)
class ReplacementReport:
    """What :func:`replace_blocks` changed; ``parameters`` are before and after."""

    blocks: tuple[Replacement, ...]
    parameters: tuple[int, int]

    def __str__(self) -> str:
        lines = []
        for block in self.blocks:
            lines.append(
                f"{block.target}: {block.old_type} -> {block.new_type}, "
                f"{block.in_channels} -> {block.out_channels} channels, stride {block.stride}, "
                f"{_change(block.parameters)}, "
                f"kept {', '.join(block.transferred) or 'no weights'}"
            )
        return "\n".join([*lines, f"in all {_change(self.parameters)}"])


def _change(parameters: tuple[int, int]) -> str:
    return "parameters {:,} -> {:,}".format(*parameters)


def find_target(model: nn.Module, target: str) -> nn.Module:
    """The submodule named ``target``.

    Raises:
        KeyError: There is none; the message lists the names at the place where the path ends.
    """
    module, path = model, []
    for name in target.split("."):
        children = dict(module.named_children())
        if name not in children:
            place = f"{'.'.join(path)} ({type(module).__name__})" if path else type(model).__name__
            names = [n for n, _ in model.named_modules() if n]
            close = difflib.get_close_matches(target, names, n=3)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise KeyError(
                f"no block {target!r}: {place} has {', '.join(children) or 'no blocks'}{hint}"
            )
        module = children[name]
        path.append(name)
    return module


def replace_blocks(
    model: nn.Module,
    replace: Sequence[dict],
    inputs: tuple | None = None,
) -> ReplacementReport:
    """Swap named blocks of ``model``, in place, for others of the same input and output.

    >>> replace_blocks(model, [dict(target='layer11', block=dict(type='ACHBottleneck'))])

    A pass over ``inputs``, which ends with the last target, shows the widths and the stride of
    every target. The new block is built by ``MODELS`` from ``block`` and, where its constructor
    has such arguments and ``block`` does not set them, ``in_channels``, ``out_channels``,
    ``embed_dims``, ``stride``, ``kernel_size`` (that of the old depthwise convolution) and
    ``hidden_channels`` (its width, or the widest layer of a feed-forward). Of the old weights
    those are kept whose role on the longest way through the block (depthwise convolution, last
    projection, their batch normalisations) and shape are the same; a linear layer is a 1x1
    convolution.

    Args:
        model: Any network; on any device, in any mode.
        replace: Dicts of ``target``, a name of ``model.named_modules()`` or a list of them, and
            ``block``, the config of the new block in each of these places. Of none the network
            stays as it is, without a pass.
        inputs: Arguments of one pass; an image of 224 x 224 without it.

    Returns:
        What changed; ``print`` it. :mod:`mmhadaptive.analysis.complexity` counts MACs, before and
        after.

    Raises:
        KeyError: A target does not exist; the message lists the names that do.
        ValueError: A target is named twice or lies in another one, is not reached by the pass,
            does not show its stride, or the new block cannot have its widths.

    Whatever is raised, the model is then as it was.
    """
    cfgs = [(target, entry["block"]) for entry in replace for target in _targets(entry)]
    targets = [target for target, _ in cfgs]
    for i, target in enumerate(targets):
        for other in targets[i + 1 :]:
            if f"{target}.".startswith(f"{other}.") or f"{other}.".startswith(f"{target}."):
                raise ValueError(f"targets {target!r} and {other!r} overlap")
    old = {target: find_target(model, target) for target in targets}
    modes = {target: block.training for target, block in old.items()}
    parameter = next(model.parameters(), torch.zeros(()))
    if inputs is None:
        inputs = (torch.zeros(1, 3, 224, 224, device=parameter.device, dtype=parameter.dtype),)
    with _evaluating(model):
        observed = observe(model, old, inputs)
        new, kept = {}, {}
        for target, cfg in cfgs:
            new[target], path = _build(target, cfg, old[target], observed[target])
            names = {module: name for name, module in new[target].named_modules()}
            copied = transfer(observed[target].path, path)
            kept[target] = tuple(sorted(f"{names[layer]}.{key}" for layer, key in copied))
        parameters = _count_parameters(model, old)
        with ExitStack() as undo:
            for target in targets:
                model.set_submodule(target, new[target])
                undo.callback(model.set_submodule, target, old[target])
            now = _count_parameters(model, new)
            for target in targets:
                new[target].train(modes[target])
            undo.pop_all()
    return ReplacementReport(
        tuple(
            Replacement(
                target,
                type(old[target]).__name__,
                type(new[target]).__name__,
                observed[target].in_channels,
                observed[target].out_channels,
                observed[target].stride,
                (parameters[target], now[target]),
                kept[target],
            )
            for target in targets
        ),
        (parameters[""], now[""]),
    )


@MODELS.register_module(name="ReplaceBlocks")
def build_replaced(
    model: dict,
    replace: Sequence[dict],
    input_size: int = 224,
    stem_stride: int | None = None,
    data_preprocessor: dict | None = None,
) -> nn.Module:
    """Build ``model`` and replace its blocks: the config key of :func:`replace_blocks`.

    >>> backbone = dict(type='ReplaceBlocks',
    ...     model=dict(type='MobileNetV3', arch='small'),
    ...     replace=[dict(target='layer11', block=dict(type='ACHBottleneck'))])

    What is built is the model itself, not a wrapper: attributes, checkpoint keys outside of the
    blocks and behaviour are its own. Where the model has an ``init_cfg`` of type ``Pretrained``,
    its weights are loaded before the replacement, so the new blocks keep what matches. What changed
    is logged.

    Args:
        model: Config of a backbone, or of a whole classifier or detector.
        replace: See :func:`replace_blocks`; ``[]`` builds the original.
        input_size: Height and width of the image of the pass.
        stem_stride: Of the network's first convolution, for small images; its own without it. It
            is set before the pass.
        data_preprocessor: Passed on to ``model``; the Runner adds it here.

    Raises:
        ValueError: ``stem_stride`` is not positive, or there is no convolution to give it to; and
            see :func:`replace_blocks`.
    """
    if stem_stride is not None and stem_stride < 1:
        raise ValueError(f"stem_stride must be positive, got {stem_stride}")
    if data_preprocessor is not None:
        model = {"data_preprocessor": data_preprocessor, **model}
    built = MODELS.build(model)
    if any(_is_pretrained(module) for module in built.modules()):
        built.init_weights()
    if stem_stride is not None:
        stem = next((module for module in built.modules() if isinstance(module, nn.Conv2d)), None)
        if stem is None:
            raise ValueError(f"stem_stride: {type(built).__name__} has no convolution")
        stem.stride = (stem_stride, stem_stride)
    image = torch.zeros(1, 3, input_size, input_size)
    print_log(f"replaced blocks:\n{replace_blocks(built, replace, (image,))}", logger="current")
    return built


def _is_pretrained(module: nn.Module) -> bool:
    cfgs = getattr(module, "init_cfg", None) or []
    cfgs = [cfgs] if isinstance(cfgs, dict) else cfgs
    return any(cfg.get("type") in ("Pretrained", "PretrainedInit") for cfg in cfgs)


def _targets(entry: dict) -> list[str]:
    if set(entry) != {"target", "block"}:
        raise ValueError(f"an entry has the keys target and block, got {sorted(entry)}")
    target = entry["target"]
    targets = [target] if isinstance(target, str) else target
    named = isinstance(targets, Sequence) and all(isinstance(name, str) for name in targets)
    if not named or not targets or "" in targets:
        raise ValueError(f"target must be the name of a block or a list of them, got {target!r}")
    return targets


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards modes and buffers are as before, whatever happened."""
    modules = list(model.modules())
    modes = [module.training for module in modules]
    buffers = [
        (module, name, buffer.clone())
        for module in modules
        for name, buffer in module.named_buffers(recurse=False)
    ]
    try:
        model.eval()
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        for module, name, before in buffers:
            # One that grew, such as a table of positions, may stay.
            now = getattr(module, name)
            if now.shape == before.shape and not torch.equal(now, before):
                now.copy_(before)


def _build(
    target: str, cfg: dict, old: nn.Module, observed: Observed
) -> tuple[nn.Module, tuple[nn.Module, ...]]:
    """Build the new block for the place of ``old``, and see that it fits; with its path."""
    measured = dict(
        in_channels=observed.in_channels,
        out_channels=observed.out_channels,
        embed_dims=observed.in_channels,
        stride=observed.stride,
        hidden_channels=hidden_channels(observed.path, observed.out_channels),
    )
    depthwise = roles(observed.path).get("depthwise")
    if depthwise is not None:
        measured["kernel_size"] = depthwise.kernel_size[0]
    described = (
        f"{target} ({type(old).__name__}, {observed.in_channels} -> {observed.out_channels} "
        f"channels, stride {observed.stride})"
    )
    for name in ("in_channels", "out_channels", "embed_dims", "stride"):
        if name in cfg and cfg[name] != measured[name]:
            raise ValueError(f"{described} cannot become {dict(cfg)}: its {name} is not the same")
    block_type = MODELS.get(cfg["type"]) if isinstance(cfg["type"], str) else cfg["type"]
    if block_type is None:
        raise KeyError(f"{described} cannot become {cfg['type']!r}, which is not registered")
    accepted = _arguments(block_type)
    filled = {k: v for k, v in measured.items() if k in accepted and v is not None}
    try:
        block = MODELS.build({**filled, **cfg})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{described} cannot become {cfg['type']}: {error}") from error
    block = block.to(observed.calls[0].output).eval()
    for call in observed.calls:
        new_call = trace(block, {target: block}, (call.input,))[target]
        if new_call.output.shape != call.output.shape:
            raise ValueError(
                f"{described} cannot become {cfg['type']}, which turns "
                f"{tuple(call.input.shape)} into {tuple(new_call.output.shape)}, not "
                f"{tuple(call.output.shape)}"
            )
    return block, new_call.path


def _arguments(block_type: type) -> set[str]:
    """The names of a constructor's arguments, those of its bases too where it passes them on."""
    names: set[str] = set()
    for base in block_type.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        names.update(p.name for p in parameters)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names


def _count_parameters(model: nn.Module, blocks: dict[str, nn.Module]) -> dict[str, int]:
    """Parameters of the model (``""``) and of its blocks."""
    return {name: parameter_count(block)[""] for name, block in {"": model, **blocks}.items()}
