"""Pictures show the data that they are given."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from mmhadaptive.models.data_preprocessors import BatchAugmentPreprocessor
from mmhadaptive.visualization import (
    draw_accuracy_latency,
    draw_classification_samples,
    draw_compared_curves,
    draw_complexity,
    draw_confidence,
    draw_confusion_matrix,
    draw_contact_sheet,
    draw_detection_samples,
    draw_speedups,
    draw_strategies,
    draw_training,
    to_png,
)


def lines_of(axes):
    return [list(zip(*line.get_data(), strict=True)) for line in axes.lines]


def test_training_curves():
    left, right = draw_training({1: (5.0, 10.0), 2: (4.0, None), 3: (3.0, 30.0)}).axes
    assert lines_of(left) == [[(1, 5.0), (2, 4.0), (3, 3.0)]]
    assert lines_of(right) == [[(1, 10.0), (3, 30.0)]]


def test_curves_of_detectors():
    first = [[(1, 5.0, None), (2, 4.0, 0.25)], [(1, 6.0, 0.5), (2, 5.0, None)]]
    losses, precisions = draw_compared_curves(
        {"a": first, "b": [[(1, 3.0, None)]]}, "AP, %", 100
    ).axes
    assert lines_of(losses) == [[(1, 5.0), (2, 4.0)], [(1, 6.0), (2, 5.0)], [(1, 3.0)]]
    assert lines_of(precisions) == [[(2, 25.0)], [(1, 50.0)]]
    assert [text.get_text() for text in losses.get_legend().get_texts()] == ["a", "b"]
    assert len({line.get_color() for line in losses.lines}) == 2


def test_confidences_of_a_search():
    """A panel a row of the network; a place that is left over is empty."""
    history = [[dict(a=p + 0.1 * row, b=1 - p - 0.1 * row) for row in range(5)] for p in (0.5, 0.6)]
    axes = draw_confidence([f"row {row}" for row in range(5)], history).axes
    assert [a.get_title() for a in axes] == [*(f"row {row}" for row in range(5)), "", "", ""]
    assert [a.axison for a in axes] == [True] * 5 + [False] * 3
    assert lines_of(axes[2])[0] == [(1, 0.7), (2, 0.6 + 0.2)]
    assert [a.xaxis.get_tick_params()["labelbottom"] for a in axes[:5]] == [False, *[True] * 4]


def test_complexity_curves():
    rows = [
        dict(expansion=kind, ratio=ratio, macs=ratio * i, flops=10 * ratio * i)
        for i, kind in enumerate(("pointwise", "ghost", "ach"), 1)
        for ratio in (2, 4)
    ]
    macs, flops = draw_complexity(rows, "ratio", "expansion ratio").axes
    assert lines_of(macs) == [[(2, 2 * i), (4, 4 * i)] for i in (1, 2, 3)]
    assert lines_of(flops) == [[(2, 20 * i), (4, 40 * i)] for i in (1, 2, 3)]
    assert macs.get_xlabel() == "expansion ratio"


def test_accuracies_over_latencies():
    """A line a family, from the fastest to the slowest; what was not measured is left out."""

    def row(network, median, form="fused", **top1):
        times = {form: dict(q1=median - 1, median=median, q3=median + 2)}
        return dict(network=network, milliseconds=times, paper=dict(top1=top1))

    rows = [
        row("hadaptive_m", 9.0, A=74.0, B=78.0),
        row("mobilenetv4_conv_small", 6.0, A=73.0, B=73.5),
        row("hadaptive_s", 4.0, A=73.5, B=74.0),
        row("starnet_s1", 5.0, "eager", A=72.0, B=73.0),
    ]
    left, right = draw_accuracy_latency(rows, "fused", "title").axes
    assert [lines_of(axes)[0] for axes in (left, right)] == [
        [(4.0, 73.5), (9.0, 74.0)],
        [(4.0, 74.0), (9.0, 78.0)],
    ]
    ours, other = left.containers
    assert (ours.get_label(), other.get_label()) == ("hadaptive", "mobilenetv4_conv")
    assert (ours.lines[0].get_marker(), other.lines[0].get_marker()) == ("*", "o")
    (bars,) = ours.lines[2]
    assert [segment[:, 0].tolist() for segment in bars.get_segments()] == [[3.0, 6.0], [8.0, 11.0]]
    assert left.get_ylabel() == "A, top-1, paper"


def test_speedups():
    row = dict(network="S", stride=16, extent=14, batch=8, channels_last=False)
    times = dict(eager_forward=6.0, eager_both=9.0, auto_forward=2.0, auto_both=1.0)
    axes = draw_speedups([row | times, row | times | dict(auto_both=4.5)], "title").axes[0]
    assert [bar.get_width() for bar in axes.patches] == [3.0, 3.0, 9.0, 2.0]
    assert axes.get_title() == "title"


def test_fig_7_is_red_where_direct_is_slower_than_parity():
    times = dict(elementwise=1.0, direct=3.0, parity=1.0, tiled=1.0)
    rows = [
        dict(grid=grid, batch=batch, selected=8, extent=extent, **times)
        for grid, batch, extent in (("batch", 1, 4), ("batch", 2, 4), ("channels", 1, 4))
    ]
    rows[1] |= dict(direct=1.0, parity=3.0)
    image = draw_strategies(rows, "title").axes[0].images[0]
    (slower,), (faster,) = image.get_array()
    assert (slower, faster) == pytest.approx((0.5, -0.5))
    (red, _, blue, _), (other_red, _, other_blue, _) = image.to_rgba([slower, faster])
    assert red > blue
    assert other_red < other_blue


@pytest.mark.parametrize("count", [3, 250])
def test_confusion_matrix(count):
    classes = [f"class {i}" for i in range(count)]
    matrix = torch.arange(count**2).view(count, count)
    figure = draw_confusion_matrix(matrix, classes)
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), matrix)
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == (classes if count == 3 else ["0", "50", "100", "150", "200"])


def test_figures_as_files():
    content = to_png(draw_training({1: (1.0, None)}), dpi=50)
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (175, 300, 3)


def test_contact_sheet():
    pictures = [np.full((20, 40, 3), 10 * i, np.uint8) for i in range(1, 4)]
    pictures.append(np.full((40, 20, 3), 40, np.uint8))
    sheet = draw_contact_sheet(pictures, columns=2, cell=28)
    # 20 x 10 pixels each, four from the edges; the second row is higher by its second picture.
    assert sheet.shape == (18 + 28, 56, 3)
    for i, (y, x) in enumerate([(4, 4), (4, 32), (22, 4)], 1):
        assert (sheet[y : y + 10, x : x + 20] == 10 * i).all()
    assert (sheet[22:42, 32:42] == 40).all()
    assert (sheet[32:, :32] == 255).all()


def test_detection_samples():
    """The frame of a box is where the sample has it, whatever the size of the picture."""
    pictures = [torch.full((3, *size), 128, dtype=torch.uint8) for size in ((60, 80), (150, 200))]
    pictures[0][0] = 200
    samples = []
    for picture in pictures:
        height, width = picture.shape[1:]
        boxes = torch.tensor([[0.25 * width, 0.5 * height, 0.75 * width, 0.9 * height]])
        instances = InstanceData(bboxes=HorizontalBoxes(boxes), labels=torch.tensor([1]))
        samples.append(DetDataSample(gt_instances=instances))
    samples.append(DetDataSample(gt_instances=InstanceData(bboxes=torch.zeros(0, 4), labels=[])))
    batches = [
        dict(inputs=pictures, data_samples=samples[:2]),
        dict(inputs=pictures[:1], data_samples=samples[2:]),
    ]
    metainfo = dict(classes=("cat", "dog"), palette=[(0, 0, 0)])
    first, second, plain = draw_detection_samples(iter(batches), metainfo, side=160)
    assert first.shape == second.shape == plain.shape == (120, 160, 3)
    # From BGR.
    assert (plain == (128, 128, 200)).all()
    for picture, ground in ((first, (128, 128, 200)), (second, (128, 128, 128))):
        changed = np.abs(picture.astype(int) - ground).max(2) > 20
        rows, columns = np.nonzero(changed)
        assert (rows.min(), rows.max()) == pytest.approx((60, 108), abs=2)
        assert (columns.min(), columns.max()) == pytest.approx((40, 120), abs=2)
        assert not changed[90:100, 60:110].any()


@pytest.mark.parametrize("mixed", [False, True])
def test_classification_samples(mixed):
    """What the preprocessor gives, with its normalisation undone, and the labels that it mixes."""
    preprocessor = BatchAugmentPreprocessor(
        mean=[10.0, 20.0, 30.0],
        std=[2.0, 3.0, 4.0],
        num_classes=3,
        batch_augments=dict(augments=dict(type="mmpretrain.Mixup", alpha=1.0)) if mixed else None,
    )
    images = torch.tensor([50, 150, 250], dtype=torch.uint8).view(1, 3, 1, 1).expand(4, 3, 8, 8)
    batch = dict(images=images, labels=torch.tensor([0, 1, 2, 0]))
    drawn = list(
        draw_classification_samples(
            iter([batch]), preprocessor, training=True, metainfo={}, side=160
        )
    )
    assert len(drawn) == 4
    for image in drawn:
        assert image.shape == (160, 160, 3)
        # Below the label.
        np.testing.assert_allclose(
            image[80:], np.broadcast_to((50, 150, 250), (80, 160, 3)), atol=1
        )
        assert (image[:40] != (50, 150, 250)).any()
