"""torch.func and forward-mode differentiation, against the literal form in float64."""

from dataclasses import replace

import pytest
import torch
from literal import literal, make_inputs
from torch import func
from torch.autograd import forward_ad
from torch.utils._pytree import tree_leaves

from mmhadaptive.ops import cross_hadamard, cross_hadamard_reference

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


class Problem:
    """An operator as a function of what it is differentiable in, and points and directions."""

    def __init__(self, operator, norm, channels_last):
        self.inputs = make_inputs(
            2, 5, 2, 3, 3, norm=norm, dtype=torch.float64, channels_last=channels_last
        )
        self.operator = operator
        self.names = list(self.inputs.differentiable())
        self.point = tuple(self.inputs.differentiable().values())
        generator = torch.Generator().manual_seed(2)
        self.direction = tuple(
            torch.randn(t.shape, generator=generator, dtype=t.dtype) for t in self.point
        )

    def __call__(self, *tensors):
        arguments = replace(self.inputs, **dict(zip(self.names, tensors, strict=False)))
        return self.operator(*arguments.args())

    def energy(self, *tensors):
        return self(*tensors).pow(2).sum()

    def everywhere(self):
        return tuple(range(len(self.point)))


@case
def jvp(f):
    return func.jvp(f, f.point, f.direction)


@case
def jvp_of_jvp(f):
    def directional(*point):
        return func.jvp(f, point, f.direction)[1]

    return func.jvp(directional, f.point, f.direction)[1]


@case
def linearize(f):
    return func.linearize(f, *f.point)[1](*f.direction)


@case
def jacfwd(f):
    return func.jacfwd(f, f.everywhere())(*f.point)


@case
def jacrev(f):
    return func.jacrev(f, f.everywhere())(*f.point)


@case
def grad(f):
    return func.grad(f.energy, f.everywhere())(*f.point)


@case
def vjp(f):
    y, pull = func.vjp(f, *f.point)
    return y, pull(torch.ones_like(y))


@case
def hessian(f):
    return func.hessian(f.energy, f.everywhere())(*f.point)


@case
def forward_over_reverse(f):
    return func.jvp(func.grad(f.energy, f.everywhere()), f.point, f.direction)


@case
def functionalize(f):
    return func.functionalize(f)(*f.point)


@case
def vmap(f):
    return func.vmap(lambda x: f(x, *f.point[1:]))(torch.stack([f.point[0], f.direction[0]]))


@case
def vmap_over_samples(f):
    inputs = f.inputs

    def sample(x, index, gate):
        one = replace(inputs, x=x[None], index=index[None], gate=gate[None])
        return f.operator(*one.args())

    return func.vmap(sample)(inputs.x, inputs.index, inputs.gate)


@case
def gradients_of_every_sample(f):
    inputs = f.inputs

    def energy(gate, x, index):
        one = replace(inputs, x=x[None], index=index[None], gate=gate[None])
        return f.operator(*one.args()).pow(2).sum()

    return func.vmap(func.grad(energy))(inputs.gate, inputs.x, inputs.index)


@case
def gradient_of_vmap(f):
    def energy(gate):
        rows = func.vmap(lambda x: f(x, gate, *f.point[2:]))(torch.stack([f.point[0]] * 2))
        return rows.pow(2).sum()

    return func.grad(energy)(f.point[1])


@case
def dual_numbers(f):
    with forward_ad.dual_level():
        duals = map(forward_ad.make_dual, f.point, f.direction)
        return forward_ad.unpack_dual(f(*duals))


@case
def dual_numbers_through_a_gradient(f):
    x = f.point[0].clone().requires_grad_()
    with forward_ad.dual_level():
        energy = f.energy(forward_ad.make_dual(x, f.direction[0]), *f.point[1:])
        (gradient,) = torch.autograd.grad(energy, x, create_graph=True)
        return forward_ad.unpack_dual(gradient)


@case
def dual_gradient_of_the_output(f):
    x = f.point[0].clone().requires_grad_()
    y = f(x, *f.point[1:])
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(torch.ones_like(y), y.detach())
        (gradient,) = torch.autograd.grad(y, x, dual)
        return forward_ad.unpack_dual(gradient)


@case
def batched_gradients(f):
    x = f.point[0].clone().requires_grad_()
    y = f(x, *f.point[1:])
    rows = torch.stack([torch.ones_like(y), y.detach()])
    (first,) = torch.autograd.grad(y, x, rows, is_grads_batched=True, create_graph=True)
    return first, torch.autograd.grad(first.pow(2).sum(), x)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("norm", ["softsign", "none"])
@pytest.mark.parametrize("operator", [cross_hadamard, cross_hadamard_reference])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")
def test_transform(name, operator, norm, channels_last):
    actual = tree_leaves(CASES[name](Problem(operator, norm, channels_last)))
    expected = tree_leaves(CASES[name](Problem(literal, norm, channels_last)))
    assert any(value.abs().sum() > 0 for value in expected)
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)


def test_a_compiled_transform():
    f, expected = Problem(cross_hadamard, "softsign", False), Problem(literal, "softsign", False)
    compiled = torch.compile(lambda *point: func.jvp(f, point, f.direction), backend="aot_eager")
    torch.testing.assert_close(compiled(*f.point), jvp(expected))


def test_vmap_under_autocast():
    inputs = make_inputs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = cross_hadamard(*inputs.args())
        rows = func.vmap(lambda x: cross_hadamard(*replace(inputs, x=x).args()))(inputs.x[None])
    assert rows.dtype == y.dtype == torch.bfloat16
    torch.testing.assert_close(rows[0], y)


def test_hessian_vector_product_of_a_layer():
    pytest.importorskip("mmengine")
    from mmhadaptive.layers import AdaptiveCrossHadamard

    torch.manual_seed(0)
    layer = AdaptiveCrossHadamard(6, 4, pointwise=False).double().eval()
    x = torch.randn(2, 6, 3, 3, dtype=torch.float64)
    parameters = {name: p.detach() for name, p in layer.product_norm.named_parameters()}
    direction = {name: torch.randn_like(p) for name, p in parameters.items()}

    def energy(parameters):
        named = {f"product_norm.{name}": p for name, p in parameters.items()}
        return func.functional_call(layer, named, (x,)).pow(2).sum()

    _, forward = func.jvp(func.grad(energy), (parameters,), (direction,))
    _, pull = func.vjp(func.grad(energy), parameters)
    (reverse,) = pull(direction)
    assert forward["alpha"].abs() > 0
    torch.testing.assert_close(forward, reverse)
