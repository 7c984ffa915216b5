"""The operator against its literal form, on the CPU and, where there is one, on the GPU."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from literal import NORMS, Inputs, assert_matches, literal, make_inputs, results

from mmhadaptive.ops import cross_hadamard, cross_hadamard_reference
from mmhadaptive.ops.arguments import STRATEGIES, memory_format_of
from mmhadaptive.ops.library import DEVICES

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
COMPILED = "cpu" in DEVICES
TARGETS = [("cpu", "auto")]
if "cuda" in DEVICES and torch.cuda.is_available():
    TARGETS += [("cuda", strategy) for strategy in STRATEGIES]

needs_library = pytest.mark.skipif(not COMPILED, reason="the operator is not compiled")
on_targets = pytest.mark.parametrize(("device", "strategy"), TARGETS)
on_devices = pytest.mark.parametrize("device", sorted({device for device, _ in TARGETS}))


@pytest.fixture
def poisoned_memory():
    """New memory holds NaNs, so that what is never written shows."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(before)


def check_against_literal(inputs, function=cross_hadamard):
    assert_matches(results(function, inputs), results(literal, inputs), inputs.x.dtype)


@pytest.mark.parametrize("function", [cross_hadamard, cross_hadamard_reference])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("norm", NORMS)
@on_targets
def test_matches_literal_form(function, channels_last, dtype, norm, device, strategy):
    inputs = make_inputs(
        norm=norm, dtype=dtype, channels_last=channels_last, device=device, strategy=strategy
    )
    check_against_literal(inputs, function)


@given(
    batch=st.integers(1, 4),
    height=st.integers(1, 21),
    width=st.integers(1, 21),
    selected=st.integers(2, 24),
    unselected=st.integers(0, 20),
    norm=st.sampled_from(NORMS),
    dtype=st.sampled_from(DTYPES),
    channels_last=st.booleans(),
    same_selection=st.booleans(),
    target=st.sampled_from(TARGETS),
    seed=st.integers(0, 1000),
)
@settings(max_examples=120, deadline=None)
def test_any_shape(selected, unselected, target, **kwargs):
    device, strategy = target
    check_against_literal(
        make_inputs(
            selected=selected,
            channels=selected + unselected,
            device=device,
            strategy=strategy,
            **kwargs,
        )
    )


# The ACH layers of the three networks have 16 to 36 channels selected on maps of 3x3 to 20x20.
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    ("batch", "channels", "size", "selected"),
    [(2, 96, (14, 14), 16), (1, 256, (3, 3), 36), (3, 64, (20, 20), 64), (1, 70, (1, 1), 64)],
)
@on_targets
def test_layer_shapes(batch, channels, size, selected, channels_last, device, strategy):
    height, width = size
    check_against_literal(
        make_inputs(
            batch,
            channels,
            height,
            width,
            selected,
            channels_last=channels_last,
            device=device,
            strategy=strategy,
        )
    )


# More pixels and images than one tile and one group of tiles hold.
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("batch", "size"), [(1, (33, 41)), (150, (3, 3)), (70, (17, 17))])
@on_targets
def test_many_tiles(batch, size, channels_last, device, strategy):
    height, width = size
    inputs = make_inputs(
        batch, 7, height, width, 5, channels_last=channels_last, device=device, strategy=strategy
    )
    check_against_literal(inputs)


def strided_views(x):
    """Views of the shape of x, with its values, that are laid out in other ways."""
    batch, channels, height, width = x.shape
    dense = torch.zeros(batch, 2 * channels, 2 * height, width + 3, dtype=x.dtype, device=x.device)
    for channels_last in (False, True):
        whole = dense.clone()
        if channels_last:
            whole = whole.contiguous(memory_format=torch.channels_last)
        channel_slice = whole[:, 1 : channels + 1, :height, :width]
        yield channel_slice.copy_(x)
        yield whole.clone()[:, ::2, ::2, 2 : width + 2].copy_(x)
        sliced = torch.empty_like(x.repeat(2, 2, 1, 1))
        if channels_last:
            sliced = sliced.contiguous(memory_format=torch.channels_last)
        yield sliced[::2, channels:].copy_(x)
    yield x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    yield x[:1].expand(batch, -1, -1, -1)


@on_targets
def test_any_strides(device, strategy):
    inputs = make_inputs(device=device, strategy=strategy)
    for x in strided_views(inputs.x):
        check_against_literal(replace(inputs, x=x))


@on_targets
@pytest.mark.parametrize("channels_last", [False, True])
def test_any_strides_of_the_gradient(channels_last, device, strategy):
    inputs = make_inputs(channels_last=channels_last, device=device, strategy=strategy)
    dy = torch.randn_like(cross_hadamard(*inputs.args()))
    for view in strided_views(dy):
        assert_matches(
            results(cross_hadamard, inputs, view), results(literal, inputs, view), dy.dtype
        )


@on_devices
@pytest.mark.parametrize("function", [cross_hadamard, cross_hadamard_reference])
def test_output_keeps_memory_format(function, device):
    inputs = make_inputs(device=device)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        x = inputs.x.contiguous(memory_format=memory_format)
        x = x.detach().requires_grad_()
        y = function(*replace(inputs, x=x).args())
        y.square().sum().backward()
        assert y.is_contiguous(memory_format=memory_format)
        assert x.grad.is_contiguous(memory_format=memory_format)


@on_targets
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("batch", "height", "width"), [(0, 5, 7), (2, 0, 7), (2, 5, 0), (0, 0, 0)])
def test_empty(batch, height, width, channels_last, device, strategy):
    inputs = make_inputs(
        batch, height=height, width=width, channels_last=channels_last, device=device
    )
    actual = results(cross_hadamard, inputs)
    assert actual["y"].shape == (batch, 12 + 15, height, width)
    assert actual["x"].shape == inputs.x.shape
    for name in ("gate", "alpha", "weight", "bias"):
        assert actual[name].eq(0).all()
        assert actual[name].shape == getattr(inputs, name).shape


@on_targets
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_writes_every_element(dtype, channels_last, device, strategy, poisoned_memory):
    for size in ((1, 1), (7, 7), (16, 16), (19, 23)):
        inputs = make_inputs(
            3, 20, *size, 17, dtype=dtype, channels_last=channels_last, device=device,
            strategy=strategy,
        )  # fmt: skip
        for name, value in results(cross_hadamard, inputs).items():
            assert value.isfinite().all(), name


@on_targets
@pytest.mark.parametrize("channels_last", [False, True])
def test_leaves_its_inputs_and_neighbours_alone(channels_last, device, strategy):
    """The output is written exactly: neither short of nor beyond its end."""
    inputs = make_inputs(2, 9, 7, 7, 8, channels_last=channels_last, device=device).requiring_grad()
    before = [t.clone() for t in inputs.differentiable().values()]
    y = cross_hadamard(*inputs.args())
    y.backward(torch.ones_like(y))
    for t, copy in zip(inputs.differentiable().values(), before, strict=True):
        assert torch.equal(t, copy)


@on_targets
@pytest.mark.parametrize("channels_last", [False, True])
def test_bitwise_deterministic(channels_last, device, strategy):
    inputs = make_inputs(
        9, 40, 14, 14, 32, channels_last=channels_last, device=device, strategy=strategy
    )
    first = results(cross_hadamard, inputs)
    for _ in range(9):
        again = results(cross_hadamard, inputs)
        assert all(torch.equal(first[name], again[name]) for name in first)


@needs_library
@pytest.mark.parametrize("channels_last", [False, True])
def test_independent_of_threads(channels_last):
    inputs = make_inputs(9, 40, 14, 14, 32, channels_last=channels_last)
    threads = torch.get_num_threads()
    runs = []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            runs.append(results(cross_hadamard, inputs))
    finally:
        torch.set_num_threads(threads)
    for run in runs[1:]:
        assert all(torch.equal(runs[0][name], run[name]) for name in run)


@on_devices
@pytest.mark.parametrize("name", ["x", "gate", "alpha", "weight", "bias"])
def test_one_gradient_alone(name, device):
    inputs = make_inputs(device=device)
    expected = results(cross_hadamard, inputs)[name]
    alone = replace(inputs, **{name: getattr(inputs, name).clone().requires_grad_()})
    y = cross_hadamard(*alone.args())
    generator = torch.Generator().manual_seed(1)
    y.backward(torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y))
    for other, t in alone.differentiable().items():
        assert (t.grad is not None) == (other == name)
    assert torch.equal(getattr(alone, name).grad, expected)


@needs_library
@pytest.mark.parametrize("needed", range(5))
def test_backward_computes_what_is_needed(needed):
    inputs = make_inputs()
    dy = torch.randn_like(cross_hadamard(*inputs.args()))
    needs = [position == needed for position in range(5)]
    grads = torch.ops.mmhadaptive.cross_hadamard_backward(
        dy, inputs.x, inputs.index, inputs.gate, inputs.alpha, inputs.weight, inputs.norm, *needs
    )
    assert [grad.numel() > 0 for grad in grads] == needs


@on_devices
@pytest.mark.parametrize("gate_dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_casts_the_small_tensors(dtype, gate_dtype, device):
    inputs = make_inputs(dtype=dtype, device=device)
    given_types = {
        name: t.to(gate_dtype) for name, t in inputs.differentiable().items() if name != "x"
    }
    inputs = replace(inputs, **given_types)
    actual = results(cross_hadamard, inputs)
    expected = results(literal, inputs)
    assert actual["y"].dtype == dtype
    assert all(actual[name].dtype == gate_dtype for name in given_types)
    low = dtype if gate_dtype != torch.bfloat16 else gate_dtype
    assert_matches(
        {k: v for k, v in actual.items() if k in ("y", "x")},
        {k: v for k, v in expected.items() if k in ("y", "x")},
        low,
    )


@on_devices
@pytest.mark.parametrize("function", [cross_hadamard, cross_hadamard_reference])
def test_autocast(function, device):
    inputs = make_inputs(device=device).requiring_grad()
    with torch.autocast(device, dtype=torch.bfloat16):
        y = function(*inputs.args())
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert all(t.grad.dtype == t.dtype for t in inputs.differentiable().values())
    expected = function(*replace(inputs, x=inputs.x.bfloat16()).args())
    assert torch.equal(y, expected)


def test_float64_is_left_alone_by_autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert cross_hadamard(*make_inputs(dtype=torch.float64).args()).dtype == torch.float64


@on_targets
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("norm", NORMS)
def test_gradcheck(norm, channels_last, device, strategy):
    inputs = make_inputs(
        2, 5, 2, 3, 4, norm, torch.float64, channels_last, device=device, strategy=strategy
    ).requiring_grad()
    names = list(inputs.differentiable())

    def function(*tensors):
        return cross_hadamard(*replace(inputs, **dict(zip(names, tensors, strict=True))).args())

    tensors = tuple(inputs.differentiable().values())
    assert torch.autograd.gradcheck(function, tensors, fast_mode=False)
    assert torch.autograd.gradgradcheck(function, tensors, fast_mode=True)


def test_third_derivative():
    inputs = make_inputs(1, 4, 2, 2, 3, dtype=torch.float64).requiring_grad()

    def third(function):
        x = inputs.x
        derivative = function(*inputs.args())[:, 4:].pow(3).sum()
        for _ in range(3):
            (grad,) = torch.autograd.grad(derivative, x, create_graph=True)
            derivative = grad.pow(2).sum()
        return grad

    torch.testing.assert_close(third(cross_hadamard), third(literal))


@needs_library
@on_devices
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("norm", ["softsign", "none"])
def test_opcheck(norm, channels_last, device):
    inputs = make_inputs(norm=norm, channels_last=channels_last, device=device).requiring_grad()
    torch.library.opcheck(torch.ops.mmhadaptive.cross_hadamard.default, inputs.args())
    dy = torch.randn_like(cross_hadamard(*inputs.args())).requires_grad_()
    args = (dy, inputs.x, inputs.index, inputs.gate, inputs.alpha, inputs.weight, norm)
    has_norm = norm != "none"
    needs = (True, True, has_norm, has_norm, has_norm)
    torch.library.opcheck(
        torch.ops.mmhadaptive.cross_hadamard_backward.default,
        (*args, *needs),
        test_utils=("test_schema", "test_faketensor"),
    )


@on_devices
def test_fake_kernel_has_the_strides_of_the_real_one(device):
    if device not in DEVICES:
        pytest.skip("the operator is not compiled")
    inputs = make_inputs(device=device)
    for x in [inputs.x, inputs.x[:, :, :1, :1], *strided_views(inputs.x)]:
        y = cross_hadamard(*replace(inputs, x=x).args())
        shape = torch.empty(y.shape).contiguous(memory_format=memory_format_of(x))
        assert y.stride() == shape.stride()


@on_devices
@pytest.mark.parametrize("dynamic", [False, True])
def test_compile(dynamic, device):
    inputs = make_inputs(channels_last=dynamic, device=device)

    @torch.compile(fullgraph=True, dynamic=dynamic, backend="aot_eager")
    def function(*args):
        return cross_hadamard(*args) * 2

    for size in (5, 7):
        sized = replace(inputs, x=inputs.x[:, :, :size, :size])
        expected = results(lambda *args: cross_hadamard(*args) * 2, sized)
        assert_matches(results(function, sized), expected, torch.float32)


@needs_library
@pytest.mark.skipif(shutil.which("g++") is None, reason="AOTInductor needs g++")
def test_aot_inductor(tmp_path, monkeypatch):
    """The operator in a compiled package, called by it as an external one."""
    # Then inductor refuses operators that it could take apart.
    monkeypatch.setenv("CI", "1")

    class Module(torch.nn.Module):
        def forward(self, x, index, gate, alpha, weight, bias):
            return cross_hadamard(x.relu(), index, gate, alpha, weight, bias) * 2

    args = tuple(make_inputs().args()[:6])
    # Compile little: no headers in advance, no probes of the compiler, nothing optimised.
    options = {
        "aot_inductor.precompile_headers": False,
        "aot_inductor.compile_wrapper_opt_level": "O0",
        "cpp.vec_isa_ok": True,
    }
    with torch.no_grad():
        path = torch._inductor.aoti_compile_and_package(
            torch.export.export(Module(), args),
            package_path=str(tmp_path / "operator.pt2"),
            inductor_configs=options,
        )
        compiled = torch._inductor.aoti_load_package(path)
        torch.testing.assert_close(compiled(*args), Module()(*args))


def with_index(inputs: Inputs, position, value):
    index = inputs.index.clone()
    index[position] = value
    return replace(inputs, index=index)


WRONG = {
    "norm": (lambda i: replace(i, norm="tanh"), ValueError, "norm must be one of .* 'tanh'"),
    "strategy": (lambda i: replace(i, strategy="fast"), ValueError, "strategy .* 'fast'"),
    "dimensions": (lambda i: replace(i, x=i.x[0]), ValueError, r"x must have the shape"),
    "integer x": (lambda i: replace(i, x=i.x.long()), TypeError, "x must be .* torch.int64"),
    "integer gate": (lambda i: replace(i, gate=i.gate.long()), TypeError, "gate must be"),
    "index dtype": (lambda i: replace(i, index=i.index.int()), TypeError, "index must be int64"),
    "index batch": (lambda i: replace(i, index=i.index[:1]), ValueError, r"index must be \(N, k\)"),
    "one selected": (
        lambda i: replace(i, index=i.index[:, :1]),
        ValueError,
        "2 to 64 channels, got 1",
    ),
    "too many selected": (
        lambda i: replace(i, index=i.index.repeat(1, 11)),
        ValueError,
        "2 to 64 channels, got 66",
    ),
    "more than channels": (
        lambda i: replace(i, x=i.x[:, :5]),
        ValueError,
        "selects 6 channels, but x has 5",
    ),
    "gate shape": (
        lambda i: replace(i, gate=i.gate[:, :5]),
        ValueError,
        "gate must have the shape",
    ),
    "missing weight": (lambda i: replace(i, weight=None), ValueError, "weight is required"),
    "weight without norm": (
        lambda i: replace(i, norm="none", alpha=None, bias=None),
        ValueError,
        "weight must be None",
    ),
    "bias shape": (
        lambda i: replace(i, bias=i.bias[1:]),
        ValueError,
        r"bias must have the shape \(15,\), got \(14,\)",
    ),
    "device": (lambda i: replace(i, gate=i.gate.to("meta")), ValueError, "gate is on meta, but x"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("function", [cross_hadamard, cross_hadamard_reference])
def test_wrong_input(function, case):
    change, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        function(*change(make_inputs()).args())


@needs_library
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (12, r"index\[1, 2\] is 12, outside of the 12 channels"),
        (-1, r"index\[1, 2\] is -1, outside"),
        (2**40, r"index\[1, 2\] is 1099511627776, outside"),
    ],
)
def test_index_out_of_range(value, message):
    inputs = with_index(make_inputs(), (1, 2), value)
    with pytest.raises(RuntimeError, match=message):
        cross_hadamard(*inputs.args())


@needs_library
def test_duplicate_index():
    inputs = make_inputs()
    channel = int(inputs.index[1, 0])
    with pytest.raises(RuntimeError, match=rf"index\[1\] selects channel {channel} more than once"):
        cross_hadamard(*with_index(inputs, (1, 3), channel).args())


@needs_library
@pytest.mark.parametrize("case", sorted(WRONG.keys() - {"device", "integer gate"}))
def test_operator_itself_refuses_wrong_input(case):
    """Callers of torch.ops do without the checks in Python; the library has to be safe alone."""
    change, _, _ = WRONG[case]
    with pytest.raises(RuntimeError):
        torch.ops.mmhadaptive.cross_hadamard(*change(make_inputs()).args())


def available_bytes():
    lines = Path("/proc/meminfo").read_text().splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith("MemAvailable"))
    return 1024 * int(kibibytes)


@needs_library
@pytest.mark.skipif(available_bytes() < 12 * 2**30, reason="needs 12 GiB of memory")
@pytest.mark.parametrize(("batch", "size", "channels_last"), [(33, 178, False), (1, 1020, True)])
def test_more_than_2_to_the_31_elements(batch, size, channels_last):
    """The last products lie beyond what 32 bits can address."""
    selected = 64
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    values = (torch.arange(selected) % 7 - 3)[None, :, None, None].bfloat16()
    x = values.expand(batch, -1, size, size).contiguous(memory_format=memory_format)
    index = torch.arange(selected).expand(batch, -1)
    gate = torch.ones(batch, selected)
    y = cross_hadamard(x, index, gate, None, None, None, "none")
    assert y.numel() > 2**31
    first, second = torch.triu_indices(selected, selected, 1)
    for p in (0, 1024, first.numel() - 1):
        products = x[:, first[p]] * x[:, second[p]]
        assert torch.equal(y[:, selected + p], products)
