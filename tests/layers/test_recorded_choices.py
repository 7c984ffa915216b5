"""What layers choose, beside loops over pictures, ranks and channels."""

import pytest
import torch
from torch import nn

from mmhadaptive.io.user_errors import UserValueError
from mmhadaptive.layers import (
    AdaptiveCrossHadamard,
    choosing_layers,
    count_choices,
    record_choices,
)


class Net(nn.Module):
    """Two layers that choose, one that does not, and one that few pictures reach, twice."""

    def __init__(self):
        super().__init__()
        self.first = AdaptiveCrossHadamard(5, 3)
        self.fixed = AdaptiveCrossHadamard(8, 2, selection="fixed")
        self.second = AdaptiveCrossHadamard(9, 4, pointwise=False)
        self.twice = AdaptiveCrossHadamard(5, 2)

    def forward(self, x):
        if len(x) > 2:
            self.twice(x)
            self.twice(x)
        return self.second(self.fixed(self.first(x)))


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = Net().double()
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return net.train()


def test_choices_are_the_highest_scores(net):
    pictures = torch.randn(5, 5, 4, 4, dtype=torch.float64)
    seen = []
    state = {key: value.clone() for key, value in net.state_dict().items()}
    record_choices(net, [pictures[:3], (pictures[3:], "label")], seen.append)
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert net.training
    assert net.first.pointwise.bn.training
    assert [len(batch["twice"]) for batch in seen] == [6, 0]
    assert list(choosing_layers(net)) == ["first", "second", "twice"] == list(seen[0])

    net.eval()
    x = net.first.pointwise(pictures)
    kernel = net.first.scores.weight.detach().flatten().tolist()
    for picture, row in zip(x, torch.cat([batch["first"] for batch in seen]), strict=True):
        pooled = [channel.mean().item() for channel in picture]
        scores = [
            sum(
                kernel[shift + 2] * pooled[channel + shift]
                for shift in range(-2, 3)
                if 0 <= channel + shift < 5
            )
            for channel in range(5)
        ]
        assert row.tolist() == sorted(range(5), key=lambda channel: -scores[channel])[:3]


def test_counts_are_those_of_a_loop():
    generator = torch.Generator().manual_seed(0)
    index = torch.stack([torch.randperm(6, generator=generator)[:3] for _ in range(20)])
    expected = [[0] * 6 for _ in range(3)]
    for picture in index.tolist():
        for rank, channel in enumerate(picture):
            expected[rank][channel] += 1
    for kind in (torch.int64, torch.int16):
        assert count_choices(index.to(kind), 6).tolist() == expected
    assert count_choices(index[:0], 6).tolist() == [[0] * 6] * 3


def test_a_layer_is_as_before_after_an_error(net):
    def fail(chosen):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        record_choices(net, [torch.randn(3, 5, 4, 4, dtype=torch.float64)], fail)
    assert net.training
    assert not any("select" in vars(layer) for layer in choosing_layers(net).values())


def test_what_has_no_choice_is_refused(net):
    picture = torch.randn(1, 5, 4, 4, dtype=torch.float64)
    with pytest.raises(UserValueError, match="Conv2d has no cross-Hadamard layer"):
        record_choices(nn.Conv2d(5, 5, 1).double(), [picture], print)
    with pytest.raises(UserValueError, match="has fixed its selection already"):
        record_choices(net.fixed, [picture], print)
    with pytest.raises(UserValueError, match="loader is empty"):
        record_choices(net, [], print)
    with pytest.raises(UserValueError, match="no picture reaches twice"):
        record_choices(net, [picture], lambda chosen: None)
