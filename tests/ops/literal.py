"""The operator as the paper writes it, in float64: Z = M X with one-hot rows in M, then every
product. It shares no code with the package."""

from dataclasses import dataclass, fields, replace

import torch

NORMS = ("softsign", "sigmoid", "algebraic", "none")
FUNCTIONS = {
    "softsign": lambda t: t / (1 + t.abs()),
    "sigmoid": lambda t: 1 / (1 + torch.exp(-t)) - 0.5,
    "algebraic": lambda t: t / torch.sqrt(1 + t**2),
}


def literal(x, index, gate, alpha, weight, bias, norm="softsign", strategy="auto"):
    x, gate, alpha, weight, bias = (
        None if t is None else t.double() for t in (x, gate, alpha, weight, bias)
    )
    batch, channels, height, width = x.shape
    selected = index.shape[1]
    one_hot = torch.eye(channels, dtype=torch.float64, device=x.device)[index]
    mapping = one_hot * gate[:, :, None]
    z = mapping @ x.reshape(batch, channels, height * width)
    z = z.reshape(batch, selected, height, width).unbind(1)
    maps = list(x.unbind(1))
    weights, biases = (None, None) if norm == "none" else (weight.unbind(), bias.unbind())
    p = 0
    for i in range(selected):
        for j in range(i + 1, selected):
            v = z[i] * z[j]
            if norm != "none":
                v = weights[p] * FUNCTIONS[norm](alpha * v) + biases[p]
            maps.append(v)
            p += 1
    return torch.stack(maps, 1)


@dataclass
class Inputs:
    """Arguments of the operator."""

    x: torch.Tensor
    index: torch.Tensor
    gate: torch.Tensor
    alpha: torch.Tensor | None
    weight: torch.Tensor | None
    bias: torch.Tensor | None
    norm: str
    strategy: str = "auto"

    def args(self):
        return [getattr(self, field.name) for field in fields(self)]

    def differentiable(self):
        names = ("x", "gate", "alpha", "weight", "bias")
        return {name: t for name in names if (t := getattr(self, name)) is not None}

    def requiring_grad(self):
        return replace(
            self, **{n: t.detach().requires_grad_() for n, t in self.differentiable().items()}
        )


def make_inputs(
    batch=2,
    channels=12,
    height=5,
    width=7,
    selected=6,
    norm="softsign",
    dtype=torch.float32,
    channels_last=False,
    same_selection=False,
    strategy="auto",
    device="cpu",
    seed=0,
):
    generator = torch.Generator().manual_seed(seed)
    small = torch.float64 if dtype == torch.float64 else torch.float32
    products = selected * (selected - 1) // 2

    def normal(*shape, of=small):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(device, of)

    x = normal(batch, channels, height, width, of=dtype)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    rows = [torch.randperm(channels, generator=generator)[:selected] for _ in range(batch)]
    if same_selection:
        rows = rows[:1] * batch
    index = torch.stack(rows) if rows else torch.empty(0, selected, dtype=torch.int64)
    parameters = (normal(1), normal(products), normal(products))
    if norm == "none":
        parameters = (None, None, None)
    return Inputs(
        x, index.to(device), normal(batch, selected), *parameters, norm=norm, strategy=strategy
    )


def results(function, inputs, dy=None):
    """The output and the gradients of all differentiable inputs, by name."""
    inputs = inputs.requiring_grad()
    y = function(*inputs.args())
    if dy is None:
        generator = torch.Generator().manual_seed(1)
        dy = torch.randn(y.shape, generator=generator, dtype=torch.float64)
        # The literal form gets exactly what the operator gets.
        dy = dy.to(inputs.x.dtype)
    named = inputs.differentiable()
    grads = torch.autograd.grad(y, list(named.values()), dy.to(y.device, y.dtype))
    return {"y": y.detach(), **dict(zip(named, grads, strict=True))}


# Of the norm of the difference to that of the reference.
TOLERANCES = {
    torch.float64: 1e-13,
    torch.float32: 2e-6,
    torch.float16: 1e-3,
    torch.bfloat16: 8e-3,
}


def assert_matches(actual, expected, dtype):
    assert actual.keys() == expected.keys()
    for name, value in actual.items():
        reference = expected[name].double()
        value = value.to(reference)
        assert value.shape == reference.shape, name
        tolerance = TOLERANCES[dtype]
        scale = reference.norm().clamp_min(1e-30)
        if name not in ("y", "x"):
            # Sums of many terms of about one that may cancel, but are not rounded to a low
            # precision.
            tolerance = 20 * TOLERANCES[torch.promote_types(dtype, torch.float32)]
            scale = scale.clamp_min(reference.numel() ** 0.5)
        error = (value - reference).norm() / scale
        assert error <= tolerance, f"{name}: {error:.2e} > {tolerance:.0e}"
