"""What was chosen, on toys where it is known."""

import csv
import io
import math

import pytest
import torch

from mmhadaptive.analysis.selection import (
    Choices,
    choices_csv,
    choices_summary,
    class_choices,
    classes_csv,
    measure_choices,
    selection_table,
    summary_lines,
)
from mmhadaptive.io.user_errors import UserValueError
from mmhadaptive.layers import AdaptiveCrossHadamard, selection_entropy


def random_choices(pictures=40, selected=3, channels=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randperm(channels, generator=generator)[:selected] for _ in range(pictures)]
    return Choices(torch.stack(rows), channels)


def test_the_same_choice_for_all_pictures():
    layer = Choices(torch.tensor([[3, 1]] * 5), 8)
    assert layer.counts.tolist() == [[0, 0, 0, 5, 0, 0, 0, 0], [0, 5, 0, 0, 0, 0, 0, 0]]
    assert (layer.entropy, layer.rank_entropy, layer.shared) == (1, 0, 1)
    assert (layer.never, layer.always) == (6, 2)


def test_every_channel_equally_often():
    pairs = [[a, b] for a in range(4) for b in range(4) if a != b]
    layer = Choices(torch.tensor(pairs), 4)
    assert (layer.entropy, layer.rank_entropy) == (2, 2)
    assert (layer.never, layer.always) == (0, 0)


def test_shares_are_those_of_a_loop_over_pairs_of_pictures():
    layer = random_choices(12)
    rows = [set(row) for row in layer.index.tolist()]
    common = [len(a & b) / 3 for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
    assert layer.shared == pytest.approx(sum(common) / len(common), rel=1e-12)


def test_classes_with_channels_of_their_own():
    """Class 0 takes 0 and 1, class 1 takes 2 and 3: nothing in common; no class 2."""
    layer = Choices(torch.tensor([[0, 1], [1, 0], [2, 3], [3, 2], [0, 1], [3, 2]]), 5)
    found = class_choices(layer, [{0}, {0}, {1}, {1}, {0}, {1}], 3)
    assert found.counts.tolist() == [[3, 3, 0, 0, 0], [0, 0, 3, 3, 0], [0] * 5]
    assert found.pictures.tolist() == [3, 3, 0]
    assert found.difference == 1
    # Of 20 ways to deal six pictures to two groups of three, two are those of the classes.
    assert found.by_chance == pytest.approx((2 * 1 + 18 * 1 / 3) / 20, abs=0.05)
    assert found.as_large == sum(value == 1 for value in found.groupings) > 0
    again = class_choices(layer, [{0}, {0}, {1}, {1}, {0}, {1}], 3)
    assert again.groupings == found.groupings


def test_half_of_the_choice_differs():
    """Channel 0 for all; the other one is the class's."""
    rows = [[0, 1 + picture % 2] for picture in range(60)]
    layer = Choices(torch.tensor(rows), 3)
    found = class_choices(layer, [{picture % 2} for picture in range(60)], 2)
    assert found.difference == 0.5
    assert found.as_large == 0
    assert found.by_chance < 0.15


def test_classes_that_do_not_matter_differ_as_random_groups():
    layer = random_choices(200)
    found = class_choices(layer, [{picture % 4} for picture in range(200)], 4)
    assert 5 < found.as_large < 95
    assert found.difference == pytest.approx(found.by_chance, rel=0.3)


def test_pictures_with_several_classes_beside_a_loop():
    layer = random_choices(30)
    labels = [{c for c in range(4) if (picture >> c) % 2 or c == 3} for picture in range(30)]
    found = class_choices(layer, labels, 4)
    distances = []
    for label in range(4):
        shares = []
        for inside in (True, False):
            rows = [
                row
                for row, classes in zip(layer.index.tolist(), labels, strict=True)
                if (label in classes) == inside
            ]
            often = [sum(channel in row for row in rows) for channel in range(7)]
            shares.append([value / (3 * len(rows)) for value in often] if rows else None)
            if inside:
                assert found.counts[label].tolist() == often
                assert found.pictures[label] == len(rows)
        # All pictures have class 3, so there is nothing to compare it with.
        if label < 3:
            distances.append(sum(abs(a - b) for a, b in zip(*shares, strict=True)) / 2)
    assert found.difference == pytest.approx(sum(distances) / 3, rel=1e-12)


def test_what_cannot_be_told_apart():
    layer = random_choices(4)
    assert class_choices(layer, [{0}] * 4, 2).difference is None
    assert class_choices(layer, [set()] * 4, 2).difference is None
    with pytest.raises(UserValueError, match="chose 4 times for 2 pictures"):
        class_choices(layer, [{0}, {1}], 2)
    with pytest.raises(UserValueError, match=r"labels must be in 0\.\.1"):
        class_choices(layer, [{0}, {1}, {2}, {0}], 2)


@pytest.fixture(scope="module")
def measured():
    """A layer whose kernel is one in the middle, so pooled channels are its scores."""
    layer = AdaptiveCrossHadamard(4, 2, pointwise=False, eca_kernel_size=1)
    torch.nn.init.ones_(layer.scores.weight)
    means = torch.tensor([[3.0, 2, 1, 0], [3, 2, 1, 0], [2, 3, 1, 0], [0, 3, 1, 2], [1, 0, 3, 2]])
    pictures = means[:, :, None, None].expand(-1, -1, 2, 2)
    choices = measure_choices(torch.nn.Sequential(layer), [pictures[:2], pictures[2:]])
    labels = [{0}, {0}, {0}, {1}, {1}]
    return choices, {name: class_choices(each, labels, 2) for name, each in choices.items()}


def test_measured_by_hand(measured):
    choices, by_class = measured
    assert choices["0"].index.tolist() == [[0, 1], [0, 1], [1, 0], [1, 3], [2, 3]]
    row = choices_summary(choices, by_class)["0"]
    shares = [3 / 10, 4 / 10, 1 / 10, 2 / 10]
    assert row["entropy"] == pytest.approx(-sum(p * math.log2(p) for p in shares), abs=1e-4)
    assert row["entropy_range"] == [1, 2]
    # Of channels 3, 4, 1 and 2 pictures: 3 * 2 + 4 * 3 + 2 of 5 * 4 * 2.
    assert (row["shared"], row["shared_by_chance"]) == (0.5, 0.5)
    # 1/2, 1/2 beside 0, 1/4, 1/4, 1/2.
    assert row["class_difference"] == 0.75
    assert row["groupings"] == 99
    # The pooled channels are the scores.
    means = torch.tensor([[3.0, 2, 1, 0], [3, 2, 1, 0], [2, 3, 1, 0], [0, 3, 1, 2], [1, 0, 3, 2]])
    expected = [value.item() for value in selection_entropy(means)]
    assert [row["draw_entropy"], row["draw_information"]] == pytest.approx(expected, abs=1e-4)
    assert "0 " in summary_lines({"0": row})
    assert "class_difference" not in choices_summary(choices)["0"]


def test_csv_has_all_counts(measured):
    choices, by_class = measured
    counts = torch.zeros(2, 4, dtype=torch.int64)
    for row in csv.DictReader(io.StringIO(choices_csv(choices))):
        assert row["layer"] == "0"
        counts[int(row["rank"]), int(row["channel"])] += int(row["count"])
    assert torch.equal(counts, choices["0"].counts)
    counts, pictures = torch.zeros(2, 4, dtype=torch.int64), {}
    for row in csv.DictReader(io.StringIO(classes_csv(by_class, ["cat, black", "dog"]))):
        label = ["cat, black", "dog"].index(row["class"])
        counts[label, int(row["channel"])] += int(row["count"])
        pictures[label] = int(row["pictures"])
    assert torch.equal(counts, by_class["0"].counts)
    assert pictures == {0: 3, 1: 2}


def test_the_table_of_records(measured, tmp_path):
    from mmengine.fileio import dump

    (tmp_path / "results").mkdir()
    summary = choices_summary(*measured)
    record = dict(pictures=5, layers={"backbone.ach": summary["0"]})
    dump(record, tmp_path / "results" / "selection_net.json")
    header, _, row = selection_table(tmp_path).splitlines()
    assert len(header.split("|")) == len(row.split("|"))
    assert row.startswith("| [net](results/selection_net.json) | 5 | `ach` | 2 of 4 | 50.0 |")
