"""The suites that time the cross-Hadamard operator, as rows of numbers.

Each takes :class:`Options` and yields its rows, dicts that go into JSON, as soon as they are
measured. Times are medians, in seconds.
"""

from __future__ import annotations

import functools
import importlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mmhadaptive.ops import cross_hadamard, cross_hadamard_reference
from mmhadaptive.ops.arguments import STRATEGIES

from .timers import Timer

# Network, stride, input channels and selected channels of its ACH layers, and how many there are.
LAYERS = (
    ("S", 16, 96, 16, 4),
    ("S", 32, 128, 32, 2),
    ("M", 16, 128, 24, 6),
    ("M", 32, 192, 36, 2),
    ("L", 16, 192, 32, 8),
    ("L", 32, 256, 36, 2),
    ("L", 64, 256, 36, 2),
)
# Channels, height and width, selected channels.
LARGE = ((256, 14, 36), (192, 14, 32))
# Batch, selected channels and channels, by what is varied.
SWEEPS = {
    "batch": [(batch, 32, 192) for batch in (1, 2, 4, 8, 16, 32, 64, 128)],
    "channels": [(32, k, max(2 * k, 32)) for k in (8, 12, 16, 20, 24, 28, 32, 36, 48, 64)],
}
EXTENTS = (4, 7, 8, 10, 14, 16, 20, 28, 32, 40)
# On the CPU calls take turns among as many tensors as exceed the cache together; the GPU takes one
# large tensor.
TURNS = {"cpu": (24, 40), "cuda": (1, 1024)}


@dataclass(frozen=True)
class Options:
    """What is timed, and for how long.

    Attributes:
        device: ``'cpu'`` or ``'cuda'``.
        dtype: Of x.
        seconds: How long one measurement takes, at least.
        batches, sizes, networks: Images of a batch, pixels of a side of the network's input, and
            which of S, M and L, for :func:`layers`.
        channels_last: Which memory formats, for :func:`layers` and :func:`memory`.
        compile: Whether :func:`layers` times torch.compile as well.
    """

    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    seconds: float = 0.2
    batches: Sequence[int] = (1, 32, 128)
    sizes: Sequence[int] = (224, 320)
    networks: Sequence[str] = ("S", "M", "L")
    channels_last: Sequence[bool] = (False, True)
    compile: bool = False

    @property
    def timer(self) -> Timer:
        return Timer(self.device, self.seconds)

    @property
    def strategies(self) -> tuple[str, ...]:
        """Those that differ on the device."""
        return STRATEGIES[1:] if self.device == "cuda" else STRATEGIES[:1]


def make_arguments(
    options: Options, batch: int, channels: int, size: int, selected: int, channels_last: bool
) -> list:
    """Arguments of the operator, the same for the same numbers."""
    generator = torch.Generator().manual_seed(0)
    products = selected * (selected - 1) // 2
    x = torch.randn(batch, channels, size, size, generator=generator).to(
        options.device, options.dtype
    )
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    rows = [torch.randperm(channels, generator=generator)[:selected] for _ in range(batch)]
    small = [
        torch.rand(*shape, generator=generator).to(options.device)
        for shape in ((batch, selected), (1,), (products,), (products,))
    ]
    return [x, torch.stack(rows).to(options.device), *small, "softsign"]


def differentiable(arguments: list) -> list[Tensor]:
    return [t.requires_grad_() for t in arguments if torch.is_tensor(t) and t.is_floating_point()]


def time_forward(timer: Timer, function: Callable, arguments: list) -> float:
    with torch.no_grad():
        return timer(lambda: function(*arguments))


def time_both(timer: Timer, function: Callable, arguments: list, dy: Tensor) -> float:
    inputs = differentiable(arguments)
    return timer(lambda: torch.autograd.grad(function(*arguments), inputs, dy))


def with_strategy(strategy: str) -> Callable:
    return functools.partial(cross_hadamard, strategy=strategy)


def pixels_at(stride: int, size: int) -> int:
    # The last downsampling is a 2x2 convolution of stride 2 without padding.
    return size // 32 // 2 if stride == 64 else size // stride


def layers(options: Options) -> Iterator[dict]:
    """Every ACH layer of Hadaptive-Net: the operator and PyTorch operations, with backward."""
    cases = itertools.product(options.sizes, options.batches, LAYERS, options.channels_last)
    for size, batch, (network, stride, channels, selected, count), channels_last in cases:
        if network not in options.networks:
            continue
        extent = pixels_at(stride, size)
        arguments = make_arguments(options, batch, channels, extent, selected, channels_last)
        dy = torch.randn_like(cross_hadamard(*arguments))
        row = {
            "network": network,
            "stride": stride,
            "layers": count,
            "channels": channels,
            "selected": selected,
            "extent": extent,
            "input": size,
            "batch": batch,
            "channels_last": channels_last,
            "bytes": sum(t.numel() * t.element_size() for t in (arguments[0], dy)),
        }
        functions = {s: with_strategy(s) for s in options.strategies}
        functions["eager"] = cross_hadamard_reference
        if options.compile:
            torch._dynamo.reset()
            functions["compile"] = torch.compile(cross_hadamard_reference)
        for name, function in functions.items():
            row[f"{name}_forward"] = time_forward(options.timer, function, arguments)
            row[f"{name}_both"] = time_both(options.timer, function, arguments, dy)
        yield row


def in_turn(function: Callable, cases: Sequence) -> Callable:
    """A function that calls ``function`` with the next case and keeps the result for a round."""
    results = [None] * len(cases)
    turn = itertools.cycle(range(len(cases)))

    def call_next() -> None:
        at = next(turn)
        results[at] = None
        results[at] = function(*cases[at])

    for _ in cases:
        call_next()
    return call_next


def memory(options: Options) -> Iterator[dict]:
    """Tensors beyond the cache: bytes read and written once, by time, and those of a copy of y."""
    turns, batch = TURNS[options.device]
    for (channels, extent, selected), channels_last in itertools.product(
        LARGE, options.channels_last
    ):
        x, *others = make_arguments(options, batch, channels, extent, selected, channels_last)
        cases = [(x.clone(), *others) for _ in range(turns)]
        with torch.no_grad():
            gradients = [(torch.randn_like(cross_hadamard(*case)), case) for case in cases]
            copies = [(torch.empty_like(dy), dy) for dy, _ in gradients]
            output_bytes = x.element_size() * gradients[0][0].numel()
            input_bytes = x.element_size() * x.numel()
            row = {
                "shape": list(x.shape),
                "selected": selected,
                "channels_last": channels_last,
                "touched": turns * (output_bytes + input_bytes),
                "copy": 2 * output_bytes / options.timer(in_turn(Tensor.copy_, copies)),
            }
            del copies
            for strategy in options.strategies:
                seconds = options.timer(in_turn(with_strategy(strategy), cases))
                row[f"{strategy}_forward"] = (input_bytes + output_bytes) / seconds
            seconds = options.timer(in_turn(backward, gradients))
            # dy and the selected channels of x are read and dx is written.
            selected_bytes = input_bytes * selected // channels
            row["backward"] = (selected_bytes + output_bytes + input_bytes) / seconds
        yield row


def backward(dy: Tensor, arguments: tuple) -> tuple[Tensor, ...]:
    x, index, gate, alpha, weight, _, norm = arguments
    return torch.ops.mmhadaptive.cross_hadamard_backward(
        dy, x, index, gate, alpha, weight, norm, *[True] * 5
    )


def sweep(options: Options) -> Iterator[dict]:
    """The strategies of the forward over batch x extent and channels x extent, as in Fig. 7."""
    for grid, cases in SWEEPS.items():
        for (batch, selected, channels), extent in itertools.product(cases, EXTENTS):
            arguments = make_arguments(options, batch, channels, extent, selected, False)
            row = {"grid": grid, "batch": batch, "selected": selected, "extent": extent}
            for strategy in options.strategies:
                function = with_strategy(strategy)
                row[strategy] = time_forward(options.timer, function, arguments)
            yield row


def model(options: Options) -> Iterator[dict]:
    """Hadaptive-Net-L at batch 1 with each way to compute the products, as in Table 4."""
    from mmhadaptive.models import HadaptiveNet

    layer = importlib.import_module("mmhadaptive.layers.adaptive_cross_hadamard")
    network = HadaptiveNet(arch="l").to(options.device).eval()
    x = torch.randn(1, 3, 224, 224, device=options.device)
    functions = {"native": cross_hadamard_reference}
    functions |= {s: with_strategy(s) for s in options.strategies}
    original = layer.cross_hadamard
    for name, function in functions.items():
        try:
            layer.cross_hadamard = function
            with torch.no_grad():
                row = {"products": name, "eager": Timer("cpu", 2.0)(lambda: call(network, x))}
                if options.device == "cuda":
                    row["cuda_graph"] = options.timer(lambda: network(x))
        finally:
            layer.cross_hadamard = original
        yield row


def call(network: torch.nn.Module, x: Tensor) -> None:
    network(x)
    if x.is_cuda:
        torch.cuda.synchronize()
