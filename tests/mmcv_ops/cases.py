"""Random cases of mmcv's operators, and what mmcv's own compiled module made of them.

``python -m tests.mmcv_ops.cases``, beside an mmcv with compiled operators and a C++ compiler,
writes ``cases.npz`` anew. It holds results only: the inputs are drawn again, by NumPy's legacy
generator, whose numbers never change. mmcv has focal loss for CUDA only; its kernels are compiled
for the CPU.
"""

from __future__ import annotations

import ctypes
import importlib
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import mmcv
import mmcv.ops
import numpy as np
import torch

FILE = Path(__file__).with_name("cases.npz")
# How many of each operator are in the file.
COUNTS = dict(
    nms=2000,
    batched_nms=800,
    soft_nms=400,
    nms_match=400,
    roi_align=60,
    sigmoid_focal_loss=100,
    softmax_focal_loss=100,
)


def choose(state, *values):
    return values[state.randint(len(values))]


def draw_boxes(state, least=0):
    """Boxes and scores, with ties, empty boxes and overlaps of exactly a threshold among them."""
    n = max(least, state.randint(choose(state, 1, 2, 3, 20, 120)))
    if state.randint(2):
        corners, sizes = state.uniform(0, 60, (n, 2)), state.uniform(0, 40, (n, 2))
    else:
        corners, sizes = state.randint(0, 8, (n, 2)), state.randint(0, 8, (n, 2))
    levels = choose(state, 1, 5, 1000)
    scores = state.randint(1, levels + 1, n) / levels
    boxes = np.concatenate([corners, corners + sizes], 1)
    return torch.tensor(boxes, dtype=torch.float32), torch.tensor(scores, dtype=torch.float32)


def draw_threshold(state):
    return choose(state, 0.1, 0.25, 0.3, 0.5, 0.6, 0.75)


def draw_nms(state):
    boxes, scores = draw_boxes(state)
    return dict(
        boxes=boxes,
        scores=scores,
        iou_threshold=draw_threshold(state),
        offset=state.randint(2),
        score_threshold=choose(state, 0, 0, 0.3),
        max_num=choose(state, -1, -1, 4),
    )


def draw_soft_nms(state):
    boxes, scores = draw_boxes(state)
    return dict(
        boxes=boxes,
        scores=scores,
        iou_threshold=draw_threshold(state),
        sigma=choose(state, 0.2, 0.5),
        min_score=choose(state, 1e-3, 0.05, 0.3),
        method=choose(state, "naive", "linear", "gaussian"),
        offset=state.randint(2),
    )


def draw_nms_match(state):
    boxes, scores = draw_boxes(state)
    return dict(dets=torch.cat([boxes, scores[:, None]], 1), iou_threshold=draw_threshold(state))


def draw_batched_nms(state):
    boxes, scores = draw_boxes(state, least=1)
    classes = choose(state, 1, 1, 2, 5)
    cfg = choose(
        state,
        dict(type="nms", score_threshold=choose(state, 0, 0.3), max_num=choose(state, -1, 4)),
        dict(type="soft_nms", min_score=choose(state, 1e-3, 0.1)),
    )
    cfg.update(iou_threshold=draw_threshold(state), split_thr=choose(state, 10000, 10000, 5))
    return dict(
        boxes=boxes,
        scores=scores,
        idxs=torch.tensor(state.randint(0, classes, len(boxes))),
        nms_cfg=cfg,
        class_agnostic=choose(state, False, False, True),
    )


def draw_roi_align(state):
    batch, channels, height, width = (state.randint(1, top) for top in (3, 3, 12, 12))
    n, scale = state.randint(6), choose(state, 1.0, 0.5, 0.25)
    corners, sizes = state.uniform(-3, 9, (n, 2)), state.uniform(0, 12, (n, 2))
    if state.randint(2):
        corners, sizes = corners.round(), sizes.round()
    rois = np.concatenate([state.randint(0, batch, (n, 1)), corners, corners + sizes], 1)
    rois[:, 1:] /= scale
    maps = state.uniform(-1, 1, (batch, channels, height, width))
    return dict(
        input=torch.tensor(maps, dtype=torch.float32),
        rois=torch.tensor(rois, dtype=torch.float32),
        output_size=(choose(state, 1, 2, 3), choose(state, 1, 2)),
        spatial_scale=scale,
        sampling_ratio=choose(state, 0, 0, 1, 2, 3),
        pool_mode="avg",
        aligned=bool(state.randint(2)),
    )


def draw_focal_loss(state, background, reductions):
    n, classes = state.randint(0, 7), state.randint(1, 6)
    weighted = bool(state.randint(2))
    # mmcv reads the weight of the background from beyond the weights.
    labels = classes + 1 if background and not weighted else classes
    scale = choose(state, 1, 10, 100)
    return dict(
        input=torch.tensor(scale * state.normal(size=(n, classes)), dtype=torch.float32),
        target=torch.tensor(state.randint(0, labels, n)),
        gamma=choose(state, 1.0, 1.5, 2.0),
        alpha=choose(state, 0.25, 0.75),
        weight=torch.tensor(state.uniform(size=classes), dtype=torch.float32) if weighted else None,
        reduction=choose(state, *reductions) if n else "sum",
    )


DRAW = dict(
    nms=draw_nms,
    soft_nms=draw_soft_nms,
    nms_match=draw_nms_match,
    batched_nms=draw_batched_nms,
    roi_align=draw_roi_align,
    sigmoid_focal_loss=lambda state: draw_focal_loss(state, True, ("none", "mean", "sum")),
    # mmcv's gradient fails for "none".
    softmax_focal_loss=lambda state: draw_focal_loss(state, False, ("mean", "sum")),
)


def draw(operator, number):
    """The arguments of a case, by name."""
    return DRAW[operator](np.random.RandomState(number))


def call(operator, arguments):
    """The results of an operator of mmcv, as a dictionary of tensors."""
    function = getattr(mmcv.ops, operator)
    if operator == "nms_match":
        groups = function(**arguments)
        members = torch.cat([torch.zeros(0, dtype=torch.long), *groups])
        return dict(members=members, sizes=torch.tensor([len(g) for g in groups]).long())
    if operator in ("nms", "soft_nms", "batched_nms"):
        dets, kept = function(**arguments)
        assert torch.equal(dets[:, :4], arguments["boxes"][kept])
        if operator == "nms":
            assert torch.equal(dets[:, 4], arguments["scores"][kept])
            return dict(kept=kept)
        return dict(kept=kept, scores=dets[:, 4])
    leaf = arguments["input"].clone().requires_grad_()
    output = function(leaf, *(value for name, value in arguments.items() if name != "input"))
    weights = torch.linspace(-1, 1, output.numel(), device=output.device).view_as(output)
    if operator != "roi_align":
        weights = torch.tensor(0.5)  # mmcv multiplies what it has for each element by one factor.
    (output * weights).sum().backward()
    return dict(output=output.detach(), gradient=leaf.grad)


def use(setattr, extension):
    """Let mmcv's operators call this extension module."""
    for module in ("nms", "roi_align", "focal_loss"):
        # mmcv.ops.nms is also the name of a function.
        setattr(importlib.import_module(f"mmcv.ops.{module}"), "ext_module", extension)


HOST = r"""
#include <math.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdint>
using std::max, std::pow, std::log, std::exp;
#define __global__
#define CUDA_1D_KERNEL_LOOP(i, n) for (int i = 0; i < (n); ++i)
#include "sigmoid_focal_loss_cuda_kernel.cuh"
#include "softmax_focal_loss_cuda_kernel.cuh"

#define FOCAL(name, kernel)                                                                       \
  extern "C" void name(int n, const float* x, const int64_t* target, const float* weight,         \
                       float* result, float gamma, float alpha, int classes) {                    \
    kernel(n, x, target, weight, result, gamma, alpha, classes);                                  \
  }
FOCAL(sigmoid_forward, sigmoid_focal_loss_forward_cuda_kernel<float>)
FOCAL(sigmoid_backward, sigmoid_focal_loss_backward_cuda_kernel<float>)
FOCAL(softmax_forward, softmax_focal_loss_forward_cuda_kernel<float>)
FOCAL(softmax_backward1, softmax_focal_loss_backward_cuda1_kernel<float>)
extern "C" void softmax_backward2(int n, const float* x, const int64_t* target, const float* buff,
                                  float* result, float, float, int classes) {
  softmax_focal_loss_backward_cuda2_kernel<float>(n, x, target, buff, result, classes);
}
"""


def cuda_focal_loss(folder: Path):
    """mmcv's CUDA kernels of focal loss, compiled for the CPU, as an extension module."""
    sources = Path(mmcv.__file__).parent / "ops" / "csrc" / "common" / "cuda"
    (folder / "pytorch_cuda_helper.hpp").touch()
    (folder / "host.cpp").write_text(HOST)
    command = ["g++", "-std=c++17", "-O2", "-shared", "-fPIC", "host.cpp", "-o", "host.so"]
    subprocess.run([*command, "-I.", f"-I{sources}"], cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "host.so"))

    def pointer(tensor):
        assert tensor.is_contiguous()
        return ctypes.c_void_p(tensor.data_ptr() or None)

    def function(name, elements):
        def run(x, target, weight, result, gamma, alpha):
            n = x.numel() if elements else len(x)
            floats = ctypes.c_float(gamma), ctypes.c_float(alpha)
            tensors = map(pointer, (x, target, weight, result))
            getattr(library, name)(n, *tensors, *floats, x.shape[1])

        return run

    def softmax_backward(x, target, weight, buff, grad_input, gamma, alpha):
        function("softmax_backward1", False)(x, target, weight, buff, gamma, alpha)
        function("softmax_backward2", True)(x, target, buff, grad_input, gamma, alpha)

    return SimpleNamespace(
        sigmoid_focal_loss_forward=function("sigmoid_forward", True),
        sigmoid_focal_loss_backward=function("sigmoid_backward", True),
        softmax_focal_loss_forward=function("softmax_forward", False),
        softmax_focal_loss_backward=softmax_backward,
    )


def main():
    from mmcv import _ext as compiled

    if not hasattr(compiled, "__file__") or not compiled.__file__.endswith(".so"):
        sys.exit("mmcv has no compiled operators in this environment")
    arrays = {}
    with TemporaryDirectory() as scratch:
        focal_loss = cuda_focal_loss(Path(scratch))
        for operator, count in COUNTS.items():
            use(setattr, focal_loss if "focal" in operator else compiled)
            results = [call(operator, draw(operator, number)) for number in range(count)]
            for name in results[0]:
                values = [result[name].flatten().numpy() for result in results]
                together = np.concatenate(values)
                if together.dtype == np.int64:
                    together = together.astype(np.uint8)
                arrays[f"{operator}.{name}"] = together
                arrays[f"{operator}.{name}.sizes"] = np.array([len(v) for v in values], np.uint16)
    np.savez_compressed(FILE, **arrays)
    print(f"{sum(COUNTS.values())} cases, {FILE.stat().st_size} bytes in {FILE}")


if __name__ == "__main__":
    main()
