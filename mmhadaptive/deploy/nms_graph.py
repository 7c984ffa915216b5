"""Non-maximum suppression at the end of a graph, in standard operators of ONNX."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import parser

from mmhadaptive.io.user_errors import UserError

# What mmdet's batched_nms does: overlaps within a class, then the best of each picture.
_GRAPH = """
<ir_version: {ir}, opset_import: ["" : {opset}]>
suppression (float[N, P, 4] boxes_in, float[N, P, C] scores_in)
    => (float[M, 4] boxes, float[M] scores, int64[M] labels, int64[M] images)
<float iou = {{{iou}}}, float least = {{{least}}}, int64[1] most = {{{most}}},
 int64[1] one = {{1}}, int64[2] picture_and_box = {{0, 2}}, int64 first = {{0}}>
{{
    {by_class}
    chosen = NonMaxSuppression (boxes_in, by_class, most, iou, least)
    found = GatherND (by_class, chosen)
    count = Shape <start = 0, end = 1> (chosen)
    ranked, order = TopK <axis = 0> (found, count)
    sorted = Gather <axis = 0> (chosen, order)
    {best}
    place = Gather <axis = 1> (kept, picture_and_box)
    boxes = GatherND (boxes_in, place)
    {labels}
    images = Gather <axis = 1> (kept, first)
}}
"""
_SINGLE = """
    zero = Constant <value_ints = [0]> ()
    kept = Slice (sorted, zero, most, zero)
    scores = Slice (ranked, zero, most, zero)
"""
# A box stays if fewer than `most` of its picture come before it.
_MANY = """
    picture = Gather <axis = 1> (sorted, first)
    column = Unsqueeze (picture, one)
    number = Shape <start = 0, end = 1> (boxes_in)
    step = Constant <value_int = 1> ()
    last = Squeeze (number)
    pictures = Range (first, last, step)
    belongs = Equal (column, pictures)
    counted = Cast <to = 7> (belongs)
    running = CumSum (counted, first)
    own = Mul (running, counted)
    rank = ReduceMax <keepdims = 0> (own, one)
    stays = LessOrEqual (rank, most)
    kept = Compress <axis = 0> (sorted, stays)
    scores = Compress <axis = 0> (ranked, stays)
"""
_CLASSES = "by_class = Transpose <perm = [0, 2, 1]> (scores_in)"
_LABELS = """
    second = Constant <value_int = 1> ()
    labels = Gather <axis = 1> (kept, second)
"""
# Of the same box at most the best class is left.
_AGNOSTIC = """
    two = Constant <value_ints = [2]> ()
    highest = ReduceMax <keepdims = 0> (scores_in, two)
    by_class = Unsqueeze (highest, one)
    classes = ArgMax <axis = 2, keepdims = 0> (scores_in)
"""
_AGNOSTIC_LABELS = "labels = GatherND (classes, place)"


def check_nms(test_cfg: Mapping) -> dict:
    """The config of a suppression that ``NonMaxSuppression`` can do.

    Raises:
        UserError: The suppression is not mmcv's ``nms``.
    """
    nms = dict(test_cfg.get("nms") or dict(type=None))
    if nms.get("type", "nms") != "nms":
        raise UserError(f"NonMaxSuppression can't do nms=dict(type={nms['type']!r}): use boxes")
    return nms


def append_nms(model: onnx.ModelProto, test_cfg: Mapping, single: bool) -> onnx.ModelProto:
    """Append what mmdet does after decoding.

    Args:
        model: A graph with the outputs ``boxes`` (N, P, 4) and ``scores`` (N, P, classes).
        test_cfg: The detector's: ``score_thr``, ``nms`` and ``max_per_img``.
        single: Whether N is 1.

    Returns:
        A graph with the outputs ``boxes`` (M, 4), ``scores`` (M,), ``labels`` (M,) and ``images``
        (M,), the number of the picture in the batch; the best come first.

    Raises:
        UserError: See :func:`check_nms`.
    """
    nms = check_nms(test_cfg)
    agnostic = nms.get("class_agnostic", False)
    most = test_cfg.get("max_per_img", -1)
    text = _GRAPH.format(
        ir=model.ir_version,
        opset=next(each.version for each in model.opset_import if each.domain == ""),
        iou=float(nms.get("iou_threshold", nms.get("iou_thr"))),
        least=float(test_cfg.get("score_thr", 0)),
        most=most if most > 0 else 2**31 - 1,
        by_class=_AGNOSTIC if agnostic else _CLASSES,
        best=_SINGLE if single else _MANY,
        labels=_AGNOSTIC_LABELS if agnostic else _LABELS,
    )
    tail = parser.parse_model(text)
    for domain in model.opset_import:
        if domain.domain:
            tail.opset_import.append(domain)
    # Its own outputs have these names, too.
    head = onnx.compose.add_prefix(
        model, "network/", rename_nodes=False, rename_inputs=False, rename_value_infos=False
    )
    merged = onnx.compose.merge_models(
        head, tail, [("network/boxes", "boxes_in"), ("network/scores", "scores_in")]
    )
    # It has those of both.
    versions = {each.domain: each.version for each in merged.opset_import}
    del merged.opset_import[:]
    merged.opset_import.extend(onnx.helper.make_opsetid(*each) for each in versions.items())
    return merged
