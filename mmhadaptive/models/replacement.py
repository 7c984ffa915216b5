"""Replace named blocks of a network, such as its last bottlenecks by cross-Hadamard ones."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.analysis import parameter_count
from mmengine.logging import print_log
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

import mmhadaptive.layers  # noqa: F401  registers the blocks
from mmhadaptive.engine.complexity import mac_analyzer


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
    """What :func:`replace_blocks` changed; pairs are before and after."""

    blocks: tuple[Replacement, ...]
    parameters: tuple[int, int]
    macs: tuple[int, int] | None

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
        return "\n".join(lines)


def _change(name: str, pair: tuple[int, int] | None) -> str:
    return f"{name} {pair[0]:,} -> {pair[1]:,}" if pair else ""


@dataclass(frozen=True)
class _Observed:
    """What one pass shows of a block."""

    input: Tensor
    output: Tensor
    in_channels: int
    out_channels: int
    stride: int


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

    One pass over ``inputs`` shows the widths and the stride of every target. The new block is
    built by ``MODELS`` from ``with_`` and, where its constructor has such arguments and ``with_``
    does not set them, ``in_channels``, ``out_channels``, ``embed_dims``, ``stride``,
    ``kernel_size`` (that of the old depthwise convolution) and ``hidden_channels`` (its width, or
    the widest layer of a feed-forward). Of the old weights those are kept whose role (depthwise
    convolution, last projection, their normalisations) and shape are the same.

    Args:
        model: Any network; on any device, in any mode.
        replace: Dicts of ``target``, a name of ``model.named_modules()``, and ``with_``, the
            config of the new block.
        inputs: Arguments of one pass; an image of 224 x 224 without it.
        count_macs: Whether to count MACs, which takes two traced passes.

    Returns:
        What changed; ``print`` it.

    Raises:
        KeyError: A target does not exist; the message lists the names that do.
        ValueError: A target is named twice or lies in another one, is not reached by the pass, or
            the new block cannot have its widths. The model is then as it was.
    """
    targets = [_check_entry(entry) for entry in replace]
    for i, target in enumerate(targets):
        for other in targets[i + 1 :]:
            if f"{target}.".startswith(f"{other}.") or f"{other}.".startswith(f"{target}."):
                raise ValueError(f"targets {target!r} and {other!r} overlap")
    old = {target: find_target(model, target) for target in targets}
    parameter = next(model.parameters(), torch.zeros(()))
    if inputs is None:
        inputs = (torch.zeros(1, 3, 224, 224, device=parameter.device, dtype=parameter.dtype),)
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        observed = _observe(model, old, inputs)
        new = {}
        for entry, target in zip(replace, targets, strict=True):
            new[target] = _build(target, entry["with_"], old[target], observed[target])
        before = _count(model, inputs, old, count_macs)
        transferred = {}
        for target in targets:
            transferred[target] = _transfer(old[target], new[target])
            _set(model, target, new[target])
        try:
            after = _count(model, inputs, new, count_macs)
        except Exception:
            for target in targets:
                _set(model, target, old[target])
            raise
    finally:
        for module, mode in training.items():
            module.training = mode
    for target in targets:
        new[target].train(old[target].training)
    return ReplacementReport(
        tuple(
            Replacement(
                target,
                type(old[target]).__name__,
                type(new[target]).__name__,
                observed[target].in_channels,
                observed[target].out_channels,
                observed[target].stride,
                (before["parameters"][target], after["parameters"][target]),
                (before["macs"][target], after["macs"][target]) if count_macs else None,
                tuple(transferred[target]),
            )
            for target in targets
        ),
        (before["parameters"][""], after["parameters"][""]),
        (before["macs"][""], after["macs"][""]) if count_macs else None,
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


def _observe(model: nn.Module, blocks: dict[str, nn.Module], inputs: tuple) -> dict:
    """Run ``model`` once and see the widths and strides of ``blocks``."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    handles = []
    for target, block in blocks.items():

        def record(module, args, kwargs, output, target=target):
            x = args[0] if args else next(iter(kwargs.values()), None)
            if isinstance(x, Tensor) and isinstance(output, Tensor):
                seen.setdefault(target, (x, output))

        handles.append(block.register_forward_hook(record, with_kwargs=True))
    try:
        with torch.no_grad():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    for target in blocks:
        if target not in seen:
            raise ValueError(
                f"{target} ({type(blocks[target]).__name__}) does not turn one tensor into one "
                "tensor in a pass of the model, so it cannot be replaced"
            )
    return {target: _measure(target, *pair) for target, pair in seen.items()}


def _measure(target: str, x: Tensor, y: Tensor) -> _Observed:
    if x.dim() == 3 and y.dim() == 3:
        return _Observed(x, y, x.shape[2], y.shape[2], 1)
    if x.dim() != 4 or y.dim() != 4:
        raise ValueError(
            f"{target} turns {tuple(x.shape)} into {tuple(y.shape)}; only maps (N, C, H, W) and "
            "tokens (N, T, C) can be replaced"
        )
    strides = {round(a / b) for a, b in zip(x.shape[2:], y.shape[2:], strict=True)}
    stride = max(strides)
    if len(strides) > 1 or any(
        -(-a // max(stride, 1)) != b for a, b in zip(x.shape[2:], y.shape[2:], strict=True)
    ):
        raise ValueError(
            f"{target} turns {tuple(x.shape)} into {tuple(y.shape)}, which no one stride does"
        )
    return _Observed(x, y, x.shape[1], y.shape[1], stride)


def _build(target: str, cfg: dict, old: nn.Module, observed: _Observed) -> nn.Module:
    """Build the new block for the place of ``old``, and see that it fits."""
    measured = dict(
        in_channels=observed.in_channels,
        out_channels=observed.out_channels,
        embed_dims=observed.in_channels,
        stride=observed.stride,
        hidden_channels=_hidden_channels(old, observed),
    )
    depthwise = _roles(old).get("depthwise")
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
    block = block.to(observed.output).eval()
    with torch.no_grad():
        shape = block(observed.input).shape
    if shape != observed.output.shape:
        raise ValueError(
            f"{described} cannot become {cfg['type']}, which turns "
            f"{tuple(observed.input.shape)} into {tuple(shape)}, not "
            f"{tuple(observed.output.shape)}"
        )
    return block


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


def _roles(block: nn.Module) -> dict[str, nn.Module]:
    """The layers of a bottleneck or feed-forward by their part in it.

    ``project`` is the last dense layer, ``depthwise`` the last depthwise convolution before it,
    and ``..._norm`` the normalisation right behind.
    """
    leaves = [m for m in block.modules() if isinstance(m, nn.Conv2d | nn.Linear | _NormBase)]
    dense = [
        i
        for i, m in enumerate(leaves)
        if isinstance(m, nn.Linear) or (isinstance(m, nn.Conv2d) and m.groups == 1)
    ]
    if not dense:
        return {}
    roles = {"project": dense[-1]}
    depthwise = [
        i
        for i, m in enumerate(leaves[: dense[-1]])
        if isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1
    ]
    if depthwise:
        roles["depthwise"] = depthwise[-1]
    found = {}
    for name, i in roles.items():
        found[name] = leaves[i]
        if i + 1 < len(leaves) and isinstance(leaves[i + 1], _NormBase):
            found[f"{name}_norm"] = leaves[i + 1]
    return found


def _hidden_channels(block: nn.Module, observed: _Observed) -> int | None:
    """The width of the layer before the projection, or of the output where nothing is expanded."""
    project = _roles(block).get("project")
    if isinstance(project, nn.Conv2d):
        return project.in_channels
    if isinstance(project, nn.Linear):
        return max(project.in_features, observed.out_channels)
    return None


@torch.no_grad()
def _transfer(old: nn.Module, new: nn.Module) -> list[str]:
    """Copy the tensors of the same role and shape; the names in the new block."""
    names = {module: name for name, module in new.named_modules()}
    old_roles, new_roles = _roles(old), _roles(new)
    copied = []
    for role in old_roles.keys() & new_roles.keys():
        if isinstance(new_roles[role], nn.Conv2d) and (
            new_roles[role].kernel_size != old_roles[role].kernel_size
        ):
            continue
        source = old_roles[role].state_dict()
        for key, value in new_roles[role].state_dict().items():
            if value.dim() and key in source and source[key].shape == value.shape:
                value.copy_(source[key])
                copied.append(f"{names[new_roles[role]]}.{key}")
    return sorted(copied)


def _count(model: nn.Module, inputs: tuple, blocks: dict, count_macs: bool) -> dict:
    """Parameters and MACs of the model (``""``) and of its blocks."""
    parameters = {"": parameter_count(model)[""]}
    for target, block in blocks.items():
        parameters[target] = parameter_count(block)[""]
    macs = {}
    if count_macs:
        with torch.no_grad():
            by_module = mac_analyzer(model, inputs).by_module()
        macs = {name: int(by_module[name]) for name in ("", *blocks)}
    return dict(parameters=parameters, macs=macs)


def _set(model: nn.Module, target: str, block: nn.Module) -> None:
    parent, _, name = target.rpartition(".")
    setattr(model.get_submodule(parent), name, block)
