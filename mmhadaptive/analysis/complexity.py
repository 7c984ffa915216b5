"""Parameters, multiply-accumulates (MACs), FLOPs and activations, by mmengine's counter.

The paper counts in two ways. MACs, those of its Table 7: one a multiply-add of a convolution or a
matrix product, and one an element of a cross-Hadamard product; normalisation, which folds into the
convolutions, pooling and activation functions count nothing. FLOPs, those of its Tables 5 and 8, as
twice the count of the package thop: two a multiply-add of a convolution or a linear layer, eight an
element that is normalised, two an element that an average reads or writes; products of activations,
those of attention and cross-Hadamard ones, count nothing.

Activations are the outputs of convolutions and matrix products.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable

import torch
from mmengine.analysis import FlopAnalyzer, jit_handles, parameter_count
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmhadaptive.models.merging import merge_branches

COUNTS = ("parameters", "macs", "flops", "activations")

# mmengine has a handle for this one; None in its place would leave that in force.
UNCOUNTED = ("upsample_nearest2d",)
NORMS = ("batch_norm", "group_norm", "instance_norm", "layer_norm")
AVERAGES = ("adaptive_avg_pool2d", "mean")
# Their outputs are activations.
PRODUCTS = {
    "_convolution": jit_handles.conv_flop_jit,
    "addmm": jit_handles.addmm_flop_jit,
    "bmm": jit_handles.bmm_flop_jit,
    "einsum": jit_handles.einsum_flop_jit,
    "linear": jit_handles.linear_flop_jit,
    "matmul": jit_handles.matmul_flop_jit,
}


def count_nothing(inputs: list, outputs: list) -> Counter:
    """No operations."""
    return Counter()


def count_norm(inputs: list, outputs: list) -> Counter:
    """Four operations an element."""
    return Counter(norm=4 * _shape(inputs[0]).numel())


def count_average(inputs: list, outputs: list) -> Counter:
    """One operation an element that is added up, and one an average."""
    return Counter(average=_shape(inputs[0]).numel() + _shape(outputs[0]).numel())


def with_activations(name: str, handle: Callable) -> Callable[[list, list], Counter]:
    """Count by a handle of mmengine's, and the elements of the output too.

    A second pass, as mmengine's counter of activations makes it, would trace the network again.
    """

    def count(inputs: list, outputs: list) -> Counter:
        operations = handle(inputs, outputs)
        if not isinstance(operations, Counter):
            operations = Counter({name: operations})
        return operations + Counter(activations=_shape(outputs[0]).numel())

    return count


def count_products(inputs: list, outputs: list) -> Counter:
    """MACs of the cross-Hadamard operator: one an element of a product."""
    x, y = _shape(inputs[0]), _shape(outputs[0])
    return Counter(cross_hadamard=y.numel() - x.numel())


def count_attention(inputs: list, outputs: list) -> Counter:
    """MACs of ``softmax(q k^T) v``: those of its two matrix products."""
    query, key, value = map(_shape, inputs[:3])
    return Counter(attention=query.numel() * key[-2] + query[:-1].numel() * value[-2:].numel())


def _shape(value: torch._C.Value) -> torch.Size:
    return torch.Size(value.type().sizes())


def macs_of(operations: Counter) -> int:
    """The multiply-accumulates among the operations of :func:`count_operations`."""
    others = ("norm", "average", "activations")
    return int(operations.total() - sum(operations[name] for name in others))


def flops_of(operations: Counter) -> int:
    """The FLOPs, in the way of Tables 5 and 8, of the operations of :func:`count_operations`."""
    return int(2 * sum(operations[name] for name in ("conv", "linear", "norm", "average")))


def count_operations(model: nn.Module, inputs: tuple) -> dict[str, Counter]:
    """Count ``model(*inputs)`` by mmengine's counter.

    Returns:
        Of the whole, under ``''``, and of every module in it by its name, the number of operations
        by their kind, and that of ``activations``.
    """
    analyzer = FlopAnalyzer(model, inputs).set_op_handle(
        **{f"aten::{name}": count_nothing for name in UNCOUNTED},
        **{f"aten::{name}": count_norm for name in NORMS},
        **{f"aten::{name}": count_average for name in AVERAGES},
        **{f"aten::{name}": with_activations(name, handle) for name, handle in PRODUCTS.items()},
        **{
            "mmhadaptive::cross_hadamard": count_products,
            "aten::scaled_dot_product_attention": count_attention,
        },
    )
    analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with torch.no_grad():
        return analyzer.by_module_and_operator()


def count_macs(model: nn.Module, inputs: tuple) -> dict[str, int]:
    """MACs of ``model(*inputs)``, under ``''``, and of every module in it by its name."""
    return {name: macs_of(count) for name, count in count_operations(model, inputs).items()}


def complexity(model: nn.Module, input_shape: tuple[int, ...]) -> dict[str, int]:
    """Count ``model(image)`` for one image of zeros.

    Args:
        model: The network, in evaluation mode.
        input_shape: (channels, height, width) of the image.

    Returns:
        ``parameters``, ``macs``, ``flops`` and ``activations``, as numbers.
    """
    operations = count_operations(model, (torch.zeros(1, *input_shape),))[""]
    return dict(
        parameters=parameter_count(model)[""],
        macs=macs_of(operations),
        flops=flops_of(operations),
        activations=int(operations["activations"]),
    )


class TensorMode(nn.Module):
    """A classifier or detector of OpenMMLab's as a function of an image (1, C, H, W).

    Its value is what the heads compute: logits and boxes before any of them is chosen.
    """

    def __init__(self, model: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.model = model
        shapes = ("ori_shape", "img_shape", "pad_shape", "batch_input_shape")
        meta = dict.fromkeys(shapes, size) | dict(scale_factor=(1.0, 1.0))
        self.data_samples = [BaseDataElement(metainfo=meta)]

    def forward(self, image: Tensor) -> tuple | list | Tensor:
        return self.model(image, self.data_samples, mode="tensor")


def network_complexity(model: nn.Module, size: tuple[int, int]) -> dict[str, int]:
    """Count a classifier or detector of OpenMMLab's with :func:`complexity`, for one image.

    In two-stage detectors the second stage has as many proposals as testing allows
    (``test_cfg.rpn.max_per_img``), or as there are anchors: none is suppressed by another, so that
    the count depends neither on the weights nor on an image.

    Args:
        model: The network, in evaluation mode.
        size: Height and width of the image.

    Returns:
        The counts; of two-stage detectors also ``proposals``.
    """
    if not hasattr(model, "roi_head"):
        return complexity(TensorMode(model, size), (3, *size))
    model = copy.deepcopy(model)
    # Heads that learn their proposals suppress none.
    if hasattr(model.rpn_head, "test_cfg"):
        model.rpn_head.test_cfg.nms = None
    network = TensorMode(model, size)
    counts = complexity(network, (3, *size))
    with torch.no_grad():
        features = model.extract_feat(torch.zeros(1, 3, *size))
        proposals = model.rpn_head.predict(features, network.data_samples, rescale=False)
    return dict(counts, proposals=len(proposals[0]))


def config_complexity(
    cfg: Config, size: tuple[int, int], num_classes: int | None = None, merged: bool = True
) -> dict[str, int]:
    """Count the classifier or detector of a config with :func:`network_complexity`.

    Args:
        cfg: A config of mmdet's or mmpretrain's form.
        size: Height and width of the image.
        num_classes: Number of classes, in place of the config's.
        merged: Whether branches are merged where the network has any.
    """
    if num_classes is not None:
        (cfg.model.head if "head" in cfg.model else cfg.model).num_classes = num_classes
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmengine")):
        model = MODELS.build(cfg.model).eval()
        if merged:
            merge_branches(model)
        return network_complexity(model, size)
