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
from mmhadaptive.engine.complexity import mac_analyzer

from .roles import hidden_channels, roles, transfer
from .tracing import Observed, observe, trace


@dataclass(frozen=True)
class Replacement:
    """One block that was replaced: MACs are multiply-accumulates of one pass of the example."""

    target: str
    old_type: str
    new_type: str
    in_channels: int
    out_channels: int
    stride: int
    parameters: tuple[int, int]
    macs: tuple[int, int] | None
    transferred: tuple[str, ...]


@dataclass(frozen=True)
class ReplacementReport:
    """What :func:`replace_blocks` changed; pairs are before and after.

    ``uncounted`` says why MACs that were asked for are None.
    """

    blocks: tuple[Replacement, ...]
    parameters: tuple[int, int]
    macs: tuple[int, int] | None
    uncounted: str | None = None

    def __str__(self) -> str:
        lines = []
        for block in self.blocks:
            lines.append(
                f"{block.target}: {block.old_type} -> {block.new_type}, "
                f"{block.in_channels} -> {block.out_channels} channels, stride {block.stride}, "
                f"{_change('parameters', block.parameters)}{_change(', MACs', block.macs)}, "
                f"kept {', '.join(block.transferred) or 'no weights'}"
            )
        lines.append(
            f"in all {_change('parameters', self.parameters)}{_change(', MACs', self.macs)}"
        )
        if self.uncounted:
            lines.append(f"MACs are not counted: {self.uncounted}")
        return "\n".join(lines)


def _change(name: str, pair: tuple[int, int] | None) -> str:
    return f"{name} {pair[0]:,} -> {pair[1]:,}" if pair else ""


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
    count_macs: bool = True,
) -> ReplacementReport:
    """Swap named blocks of ``model``, in place, for others of the same input and output.

    >>> replace_blocks(model, [dict(target='layer11', with_=dict(type='ACHBottleneck'))])

    A pass over ``inputs``, which ends with the last target, shows the widths and the stride of
    every target. The new block is built by ``MODELS`` from ``with_`` and, where its constructor
    has such arguments and ``with_`` does not set them, ``in_channels``, ``out_channels``,
    ``embed_dims``, ``stride``, ``kernel_size`` (that of the old depthwise convolution) and
    ``hidden_channels`` (its width, or the widest layer of a feed-forward). Of the old weights
    those are kept whose role on the longest way through the block (depthwise convolution, last
    projection, their batch normalisations) and shape are the same; a linear layer is a 1x1
    convolution.

    Args:
        model: Any network; on any device, in any mode.
        replace: Dicts of ``target``, a name of ``model.named_modules()``, and ``with_``, the
            config of the new block.
        inputs: Arguments of one pass; an image of 224 x 224 without it.
        count_macs: Whether to count MACs, which takes two traced passes. Where the network does
            not run on ``inputs`` alone, as a two-stage detector, the report says so instead.

    Returns:
        What changed; ``print`` it.

    Raises:
        KeyError: A target does not exist; the message lists the names that do.
        ValueError: A target is named twice or lies in another one, is not reached by the pass,
            does not show its stride, or the new block cannot have its widths.

    Whatever is raised, the model is then as it was.
    """
    targets = [_check_entry(entry) for entry in replace]
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
        for entry, target in zip(replace, targets, strict=True):
            new[target], path = _build(target, entry["with_"], old[target], observed[target])
            names = {module: name for name, module in new[target].named_modules()}
            copied = transfer(observed[target].path, path)
            kept[target] = tuple(sorted(f"{names[layer]}.{key}" for layer, key in copied))
        parameters = _count_parameters(model, old)
        macs, uncounted = None, None
        if count_macs:
            try:
                macs = _count_macs(model, inputs, old)
            except Exception as error:
                uncounted = (
                    f"{type(model).__name__} does not run on these inputs alone "
                    f"({type(error).__name__}: {error})"
                )
        with ExitStack() as undo:
            for target in targets:
                model.set_submodule(target, new[target])
                undo.callback(model.set_submodule, target, old[target])
            macs = macs and _pairs(macs, _count_macs(model, inputs, new))
            parameters = _pairs(parameters, _count_parameters(model, new))
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
                parameters[target],
                macs and macs[target],
                kept[target],
            )
            for target in targets
        ),
        parameters[""],
        macs and macs[""],
        uncounted,
    )


@MODELS.register_module(name="ReplaceBlocks")
def build_replaced(
    model: dict,
    replace: Sequence[dict],
    input_size: int = 224,
    report: bool = True,
    data_preprocessor: dict | None = None,
) -> nn.Module:
    """Build ``model`` and replace its blocks: the config key of :func:`replace_blocks`.

    >>> backbone = dict(type='ReplaceBlocks',
    ...     model=dict(type='MobileNetV3', arch='small'),
    ...     replace=[dict(target='layer11', with_=dict(type='ACHBottleneck'))])

    What is built is the model itself, not a wrapper: attributes, checkpoint keys outside of the
    blocks and behaviour are its own. Where the model has an ``init_cfg`` of type ``Pretrained``,
    its weights are loaded before the replacement, so the new blocks keep what matches.

    Args:
        model: Config of a backbone, or of a whole classifier or detector.
        replace: See :func:`replace_blocks`.
        input_size: Height and width of the image of the pass.
        report: Whether to log what changed, which takes two traced passes.
        data_preprocessor: Passed on to ``model``; the Runner adds it here.
    """
    if data_preprocessor is not None:
        model = {"data_preprocessor": data_preprocessor, **model}
    built = MODELS.build(model)
    if any(_is_pretrained(module) for module in built.modules()):
        built.init_weights()
    image = torch.zeros(1, 3, input_size, input_size)
    changes = replace_blocks(built, replace, (image,), count_macs=report)
    if report:
        print_log(f"replaced blocks:\n{changes}", logger="current")
    return built


def _is_pretrained(module: nn.Module) -> bool:
    cfgs = getattr(module, "init_cfg", None) or []
    cfgs = [cfgs] if isinstance(cfgs, dict) else cfgs
    return any(cfg.get("type") in ("Pretrained", "PretrainedInit") for cfg in cfgs)


def _check_entry(entry: dict) -> str:
    if set(entry) != {"target", "with_"}:
        raise ValueError(f"an entry has the keys target and with_, got {sorted(entry)}")
    if not isinstance(entry["target"], str) or not entry["target"]:
        raise ValueError(f"target must be the name of a block, got {entry['target']!r}")
    return entry["target"]


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards modes, buffers and hooks are as before, whatever happened.

    mmengine's counter leaves its hooks where the pass that it traces fails.
    """
    modules = list(model.modules())
    modes = [module.training for module in modules]
    hooks = [
        (hooks, set(hooks))
        for module in modules
        for hooks in (module._forward_pre_hooks, module._forward_hooks)
    ]
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
        for there, before in hooks:
            for handle in there.keys() - before:
                del there[handle]
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


def _count_macs(model: nn.Module, inputs: tuple, blocks: dict[str, nn.Module]) -> dict[str, int]:
    """MACs of ``model(*inputs)`` (``""``) and of its blocks."""
    with torch.no_grad():
        by_module = mac_analyzer(model, inputs).by_module()
    return {name: int(by_module[name]) for name in ("", *blocks)}


def _pairs(before: dict[str, int], after: dict[str, int]) -> dict[str, tuple[int, int]]:
    return {name: (before[name], after[name]) for name in before}
