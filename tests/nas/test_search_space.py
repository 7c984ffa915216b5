"""Search spaces as data, and what is wrong with bad ones."""

import pytest
import torch

from mmhadaptive.models import HadaptiveNet
from mmhadaptive.nas import HadaptiveSupernet, choices, draw_choices
from mmhadaptive.nas.search_space import candidates_of, derive, layers_of

from .toys import ARCH

CONV = ("conv", 8, 2, 2, None)
GHOST, ACH = ("ghost", 8, 2, 3, 1), ("ach", 8, 4, 3)


def test_rows_and_candidates():
    layers = list(layers_of(ARCH))
    assert [layer.place for layer in layers] == ["arch[0][0]", "arch[1][0]", "arch[1][1]"]
    assert [layer.channels for layer in layers] == [8, 12, 12]
    assert [layer.stride for layer in layers] == [2, 2, 1]
    assert layers[0].candidates is None
    assert [*layers[1].candidates] == ["ghost 2-2", "ach 4-2 DySig"]
    assert [*layers[2].candidates] == ["Ghost", "ACH", "Blank"]


def test_names_tell_rows_apart():
    rows = [("conv", 8, 3, 1, "HSwish"), ("pointwise", 8, 2, 3, 1), ACH, ("blank", 8)]
    assert [*candidates_of(rows)] == ["conv 3 HSwish", "pointwise 2-3", "ach 4-3", "blank"]


def test_the_network_has_every_candidate_and_runs_each():
    torch.manual_seed(0)
    supernet = HadaptiveSupernet(ARCH, final_channels=16)
    x = torch.randn(2, 3, 16, 16)
    seen = set()
    for _ in range(40):
        draw_choices(supernet, 1.0)
        assert supernet(x)[0].shape == (2, 16, 4, 4)
        seen.add(tuple(choice.index for choice in choices(supernet)))
    assert seen == {(i, j) for i in range(2) for j in range(3)}


@pytest.mark.parametrize(
    ("chosen", "rows"),
    [
        (["ghost 2-2", "ACH"], [("ghost", 12, 2, 2, 2), ("ach", 12, 4, 3)]),
        (["ach 4-2 DySig", "Blank"], [("ach", 12, 4, 2, 2, "DySig")]),
    ],
)
def test_the_derived_network_is_the_chosen_one(chosen, rows):
    arch = derive(ARCH, chosen)
    assert arch == [[("conv", 8, 2, 2, "HSwish")], rows]
    supernet = HadaptiveSupernet(ARCH, final_channels=16).eval()
    network = HadaptiveNet(arch, final_channels=16).eval()
    for number in (0, 2):
        network.stages[number].load_state_dict(supernet.stages[number].state_dict())
    blocks = iter(network.stages[1])
    for choice, name in zip(choices(supernet), chosen, strict=True):
        index = choice.names.index(name)
        choice.alpha.data[index] = 5
        if name != "Blank":
            next(blocks).load_state_dict(choice.candidates[index].state_dict())
    assert next(blocks, None) is None
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(network(x)[0], supernet(x)[0])


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ([[CONV, []]], r"arch\[0\]\[1\]: a choice without candidates"),
        ([[CONV, {}]], r"arch\[0\]\[1\]: a choice without candidates"),
        ([[CONV, [GHOST]]], r"arch\[0\]\[1\]: a choice of one candidate, ghost 2-3"),
        (
            [[CONV], [[("ghost", 8, 2, 2, 2), ("blank", 8)]]],
            r"arch\[1\]\[0\]: blank .* the stride 2 and makes 8 of 8 channels",
        ),
        (
            [[CONV], [[("ghost", 12, 2, 3, 1), ("blank", 12)]]],
            r"arch\[1\]\[0\]: blank .* the stride 1 and makes 12 of 8 channels",
        ),
        (
            [[CONV, [GHOST, ("ach", 12, 4, 3)]]],
            r"arch\[0\]\[1\]: candidates of different widths: ghost 2-3 has 8, ach 4-3 has 12",
        ),
        (
            [[CONV, [GHOST, ("ghost", 8, 4, 3, 2)]]],
            r"arch\[0\]\[1\]: candidates of different strides: ghost 2-3 has 1, ghost 4-3 has 2",
        ),
        ([[CONV, [GHOST, GHOST]]], r"arch\[0\]\[1\]: two candidates are called 'ghost 2-3'"),
        ([[CONV, [GHOST, ("dense", 8, 3)]]], r"arch\[0\]\[1\]: a row is conv, .* got \('dense', 8"),
        ([[CONV, ("blank", 8)]], r"arch\[0\]\[1\]: a row is .* blank in a choice"),
        ([[CONV, [[], GHOST]]], r"arch\[0\]\[1\]: a row without entries"),
        (
            [[CONV, [("ghost", 8), GHOST]]],
            r"arch\[0\]\[1\], ghost \('ghost', 8\): not enough values",
        ),
        ([[CONV, GHOST]], "no row of arch has a choice"),
        ("s", "'s' has no choice"),
    ],
)
def test_bad_spaces_are_refused_by_their_row(arch, message):
    with pytest.raises(ValueError, match=message):
        HadaptiveSupernet(arch)
