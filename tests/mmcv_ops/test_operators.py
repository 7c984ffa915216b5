"""The operators beside mmcv's own: its recorded results, and its compiled module where it is."""

import itertools
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from mmhadaptive.mmcv_ops import extension, focal_loss, nms
from mmhadaptive.mmcv_ops.stand_in import compiled_module, mmcv_folder

try:
    from .cases import COUNTS, FILE, call, cuda_focal_loss, draw, use
except ModuleNotFoundError as error:
    pytest.skip(f"mmcv.ops does not import: {error}", allow_module_level=True)


@pytest.fixture
def ours(monkeypatch):
    use(monkeypatch.setattr, extension)


@pytest.fixture(scope="session")
def recorded():
    """The results in the file, by operator and name, one array for each case."""
    results = {operator: {} for operator in COUNTS}
    with np.load(FILE) as file:
        for key in file.files:
            operator, _, name = key.partition(".")
            if f"{key}.sizes" in file.files:
                ends = file[f"{key}.sizes"].astype(int).cumsum()
                results[operator][name] = np.split(file[key], ends[:-1])
    return results


def compare(found, expected, case):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        result = found[name].flatten().numpy()
        if found[name].is_floating_point():
            np.testing.assert_allclose(result, value, rtol=2e-5, atol=1e-6, err_msg=str(case))
        else:
            np.testing.assert_array_equal(result, value, str(case))


@pytest.mark.parametrize("operator", COUNTS)
def test_recorded_results_of_mmcv(ours, recorded, operator):
    results = recorded[operator]
    assert all(len(values) == COUNTS[operator] for values in results.values())
    for number in range(COUNTS[operator]):
        expected = {name: values[number] for name, values in results.items()}
        compare(call(operator, draw(operator, number)), expected, (operator, number))


@pytest.mark.parametrize("operator", [name for name in COUNTS if "focal" not in name])
def test_the_compiled_module_of_mmcv(monkeypatch, operator):
    if compiled_module(mmcv_folder()) is None:
        pytest.skip("mmcv has no compiled operators in this environment")
    from mmcv import _ext as compiled

    for number in range(10_000, 10_500):
        with monkeypatch.context() as patch:
            use(patch.setattr, compiled)
            expected = call(operator, draw(operator, number))
            use(patch.setattr, extension)
            found = call(operator, draw(operator, number))
        expected = {name: value.flatten().numpy() for name, value in expected.items()}
        compare(found, expected, (operator, number))


@pytest.mark.parametrize("operator", [name for name in COUNTS if "focal" in name])
def test_the_cuda_kernels_of_mmcv(monkeypatch, tmp_path, operator):
    if shutil.which("g++") is None:
        pytest.skip("there is no g++")
    compiled = cuda_focal_loss(tmp_path)
    for number in range(10_000, 10_500):
        with monkeypatch.context() as patch:
            use(patch.setattr, compiled)
            expected = call(operator, draw(operator, number))
            use(patch.setattr, extension)
            found = call(operator, draw(operator, number))
        expected = {name: value.flatten().numpy() for name, value in expected.items()}
        compare(found, expected, (operator, number))


def test_many_boxes_are_suppressed_as_one_by_one():
    """More than a block of candidates, against the definition."""
    state = np.random.RandomState(0)
    corners = state.randint(0, 60, (700, 2))
    boxes = np.concatenate([corners, corners + state.randint(1, 20, (700, 2))], 1)
    scores = state.permutation(700)
    kept = []
    for i in np.argsort(-scores).tolist():
        shared = [
            max(0, min(boxes[i][2], boxes[j][2]) - max(boxes[i][0], boxes[j][0]))
            * max(0, min(boxes[i][3], boxes[j][3]) - max(boxes[i][1], boxes[j][1]))
            for j in kept
        ]
        areas = [np.prod(boxes[j][2:] - boxes[j][:2]) for j in (i, *kept)]
        if all(2 * s <= areas[0] + a - s for s, a in zip(shared, areas[1:], strict=True)):
            kept.append(i)
    assert len(kept) > 3 * nms.BLOCK
    arguments = torch.tensor(boxes).float(), torch.tensor(scores).float()
    # An overlap of exactly a half stays.
    assert extension.nms(*arguments, iou_threshold=0.5, offset=0).tolist() == kept


def test_infinite_and_undefined_boxes(monkeypatch):
    if compiled_module(mmcv_folder()) is None:
        pytest.skip("mmcv has no compiled operators in this environment")
    from mmcv import _ext as compiled

    state = np.random.RandomState(0)
    for _ in range(300):
        boxes = torch.tensor(state.randint(0, 8, (12, 4))).float()
        boxes[torch.tensor(state.uniform(size=(12, 4)) < 0.1)] = float("inf")
        boxes[torch.tensor(state.uniform(size=(12, 4)) < 0.05)] = float("nan")
        scores = torch.tensor(state.uniform(size=12)).float()
        arguments = dict(iou_threshold=0.3, offset=0)
        kept = [module.nms(boxes, scores, **arguments) for module in (compiled, extension)]
        assert torch.equal(*kept)


TORCHVISION = """
import torch, torchvision
from mmhadaptive.mmcv_ops import nms

if not nms.torchvision_has_nms("cpu"):
    # As torchvision compares: with a double.
    def kernel(boxes, scores, iou_threshold):
        called.append(iou_threshold)
        assert scores.tolist() == [2, 1]
        columns = nms.box_columns(boxes, 0)
        shared = nms.overlap(columns[:, :1], columns[:, 1:], 0)
        return torch.tensor([0, 1][: 2 - int(float(shared[0]) > iou_threshold)])

    called = []
    torch.library.impl("torchvision::nms", "CPU")(kernel)
    nms.torchvision_has_nms.cache_clear()
    assert nms.torchvision_has_nms("cpu")
assert not nms.torchvision_has_nms("nonsense")
boxes = torch.tensor([[0, 0, 10, 1], [0, 0, 1, 1]]).float()
# The overlap is 0.1 in float32, which is more than 0.1 in float64.
for offset in (0, 1):
    kept = nms.nms(boxes, torch.tensor([0.9, 0.8]), 0.1, offset)
    print(offset, kept.tolist(), called)
"""


def test_torchvision_is_used_where_it_has_the_operator():
    pytest.importorskip("torchvision")
    run = subprocess.run([sys.executable, "-c", TORCHVISION], capture_output=True, text=True)
    assert not run.returncode, run.stderr
    threshold = float(np.float32(0.1))
    assert run.stdout == f"0 [0, 1] [{threshold}]\n1 [0] [{threshold}]\n"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types(ours, dtype):
    """The results are those for the same values in float32, in the type of the arguments."""

    def cast(arguments, dtype):
        return {
            name: value.to(dtype) if torch.is_tensor(value) and value.is_floating_point() else value
            for name, value in arguments.items()
        }

    # mmcv itself moves classes apart, and computes the softmax, in the type of its arguments.
    operators = [name for name in COUNTS if name not in ("batched_nms", "softmax_focal_loss")]
    for operator, number in itertools.product(operators, range(20)):
        arguments = cast(draw(operator, number), dtype)
        if "focal" in operator:  # Farther out, 1 - p is 0 in float32.
            arguments["input"].clamp_(-8, 8)
        results = call(operator, arguments)
        for name, expected in call(operator, cast(arguments, torch.float32)).items():
            result = results[name]
            if expected.is_floating_point():
                assert result.dtype == dtype
                result = result.float()
            torch.testing.assert_close(result, expected, rtol=0.02, atol=0.02, equal_nan=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("operator", [name for name in COUNTS if name != "nms_match"])
def test_on_a_gpu(ours, operator):
    for number in range(60):
        arguments = draw(operator, number)
        if "scores" in arguments:  # The order of equal ones is another there.
            arguments["scores"] = torch.rand(len(arguments["scores"]))
        moved = {
            name: value.cuda() if torch.is_tensor(value) else value
            for name, value in arguments.items()
        }
        results = call(operator, moved)
        assert all(result.is_cuda for result in results.values())
        results = {name: result.cpu() for name, result in results.items()}
        expected = call(operator, arguments)
        compare(results, {k: v.flatten().numpy() for k, v in expected.items()}, (operator, number))


@pytest.mark.parametrize("gamma", [1.0, 1.5, 2.0])
def test_sigmoid_focal_loss_is_its_equation(ours, gamma):
    from mmcv.ops import sigmoid_focal_loss

    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(50, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(5, (50,), generator=generator)
    weight = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
    leaf = logits.clone().requires_grad_()
    sigmoid_focal_loss(leaf, labels, gamma, 0.3, weight, "sum").backward()

    literal = logits.clone().requires_grad_()
    hot = one_hot(labels, 5)[:, :4].double()
    p = literal.sigmoid() * hot + (1 - literal.sigmoid()) * (1 - hot)
    alpha = 0.3 * hot + 0.7 * (1 - hot)
    # Background has the weight 1.
    row = torch.cat([weight, weight.new_ones(1)])[labels, None]
    (-row * alpha * (1 - p) ** gamma * p.log()).sum().backward()
    torch.testing.assert_close(leaf.grad, literal.grad, rtol=1e-9, atol=1e-9)


def test_softmax_focal_loss_leaves_negative_labels_out(ours):
    from mmcv.ops import softmax_focal_loss

    logits = torch.tensor([[1.0, 2.0], [0.5, -1.0]], requires_grad=True)
    loss = softmax_focal_loss(logits, torch.tensor([-1, 1]), 2.0, 0.25, None, "none")
    p = logits[1].softmax(0)[1]
    expected = -0.25 * (1 - p) ** 2 * p.log()
    torch.testing.assert_close(loss, torch.stack([torch.tensor(0.0), expected]))
    loss = softmax_focal_loss(logits, torch.tensor([-1, 1]), 2.0, 0.25, None, "sum")
    loss.backward()
    assert not logits.grad[0].any()
    assert logits.grad[1].all()


def test_chunks_change_nothing(ours, monkeypatch):
    case = draw("sigmoid_focal_loss", 3)
    case["input"], case["target"] = torch.randn(100, 7), torch.randint(8, (100,))
    case.update(weight=None, reduction="none")
    together = call("sigmoid_focal_loss", case)
    monkeypatch.setattr(focal_loss, "CHUNK", 50)
    for name, value in call("sigmoid_focal_loss", case).items():
        torch.testing.assert_close(value, together[name], rtol=1e-6, atol=1e-7)


def test_the_gradient_of_roi_align_is_that_of_its_sum(ours):
    from mmcv.ops import roi_align

    maps = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0, 0.3, -1, 4.2, 3], [1, 2, 2, 2, 4], [0, 1, 1, 1.5, 8]]).double()
    for ratio in (0, 2):
        assert torch.autograd.gradcheck(
            lambda x, ratio=ratio: roi_align(x, rois, (2, 3), 1.0, ratio, "avg", True), maps
        )


def test_max_pooling_is_missing(ours):
    from mmcv.ops import roi_align

    said = r"pool_mode='max'.*setup_env.py --mmcv-operators"
    with pytest.raises(NotImplementedError, match=said):
        roi_align(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5), (2, 2), 1.0, 0, "max", True)


def test_other_operators_raise_when_they_are_called():
    assert extension.deform_conv_forward.__name__ == "deform_conv_forward"
    said = r"no deform_conv_forward.*pip install.*onedl-mmcv"
    with pytest.raises(NotImplementedError, match=said):
        extension.deform_conv_forward(1, kW=3)
    assert not hasattr(extension, "__path__")
