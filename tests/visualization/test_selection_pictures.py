"""Maps and curves of the choice show the data that they are given."""

import numpy as np
import pytest

from mmhadaptive.analysis.selection_log import LoggedChoice
from mmhadaptive.visualization import (
    SelectionMap,
    draw_selection_curves,
    draw_selection_maps,
    to_png,
)


def test_maps():
    each = SelectionMap(
        np.array([[0, 3, 1], [0, 1, 3]]),
        np.array([[0, 2, 2], [0, 2, 2], [0, 0, 0]]),
        np.array([2, 2, 0]),
        (0.25, 0.125, 3, 99),
    )
    # Channels 1 and 2 are chosen by all four pictures, 0 by none.
    assert each.order.tolist() == [1, 2, 0]
    figure = draw_selection_maps({"ach": each}, ["cat", "dog", "cow"])
    left, right, *_ = figure.axes
    np.testing.assert_array_equal(left.images[0].get_array(), [[75, 25, 0], [25, 75, 0]])
    shown = right.images[0].get_array()
    np.testing.assert_array_equal(shown[:2], np.zeros((2, 3)))
    assert np.ma.getmaskarray(shown)[2].all()
    assert left.get_title() == "ach\n2 of 3 channels; chance 33 % a cell"
    assert right.get_title() == (
        "classes differ from the rest by 25.0%, random groups by 12.5%\n(3 of 99 groupings as far)"
    )
    labels = [text.get_text() for text in right.get_yticklabels()]
    assert labels == ["cat (2)", "dog (2)", "cow (0)"]
    assert to_png(figure).startswith(b"\x89PNG")


def test_differences_of_classes_are_percentage_points():
    each = SelectionMap(np.array([[3, 1]]), np.array([[2, 0], [1, 1]]), np.array([2, 2]))
    np.testing.assert_allclose(each.classes, [[25, -25], [-25, 25]])
    figure = draw_selection_maps({"ach": each}, ["cat", "dog"])
    assert figure.axes[1].images[0].get_clim() == pytest.approx((-25, 25))


def test_without_classes_there_is_one_column():
    each = SelectionMap(np.array([[3, 1]]))
    figure = draw_selection_maps({"a": each, "b": each})
    assert [len(axes.images) for axes in figure.axes[:2]] == [1, 1]
    assert len(figure.axes) == 3


def test_curves():
    entries = [LoggedChoice(10, 1, 16, 4.0, 4.0, 0.0), LoggedChoice(20, 1, 16, 2.0, None, None)]
    tau, entropy, information = draw_selection_curves({"a": entries, "b": entries[:1]}).axes
    assert [line.get_xydata().tolist() for line in tau.lines] == [
        [[10, 4], [20, 2]],
        [[10, 4]],
    ]
    assert entropy.lines[0].get_xydata().tolist() == [[10, 1]]
    assert information.lines[0].get_xydata().tolist() == [[10, 0]]
    assert [line.get_label() for line in tau.lines] == ["a", "b"]
