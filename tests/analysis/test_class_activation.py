"""Grad-CAM against its equation, the layers along the depth, targets, and what is refused."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from mmpretrain.models import VisionTransformer as MmpretrainVisionTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from mmhadaptive.analysis.class_activation import (
    box_score,
    class_activation,
    class_label,
    classifier_score,
    classifier_target,
    detector_target,
    layers_along_depth,
)
from mmhadaptive.io.user_errors import UserError
from mmhadaptive.models import HadaptiveNet

pytest.importorskip("pytorch_grad_cam")


class Classifier(nn.Module):
    """Three blocks, of which the second halves the map, and three classes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.Conv2d(4, 5, 3, stride=2, padding=1),
            nn.Conv2d(5, 6, 3, padding=1),
        )
        self.unused = nn.Conv2d(3, 2, 1)
        self.head = nn.Linear(6, 3)

    def forward(self, x, mode="tensor"):
        self.unused(x)
        return self.head(self.backbone(x).tanh().mean((2, 3)))


@pytest.fixture
def model():
    return Classifier().double().eval()


IMAGE = torch.rand(1, 3, 8, 8, dtype=torch.double, generator=torch.Generator().manual_seed(1))


def by_the_equation(model, x, label, name):
    """relu(sum_k w_k A_k) with w_k the mean gradient, from 0 to 1."""
    kept = []
    handle = model.get_submodule(name).register_forward_hook(lambda m, i, y: kept.append(y))
    y = model(x)[0, label]
    handle.remove()
    (gradient,) = torch.autograd.grad(y, kept[0])
    weights = gradient[0].mean((1, 2))
    cam = torch.einsum("k,khw->hw", weights, kept[0][0].detach()).relu()
    return from_0_to_1(cam)


def from_0_to_1(cam):
    return ((cam - cam.min()) / (cam.max() - cam.min()).clamp(min=1e-12)).numpy()


@pytest.mark.parametrize("label", range(3))
def test_is_that_of_the_equation(model, label):
    names = ["backbone.0", "backbone.1", "backbone.2"]
    layers = class_activation(model, IMAGE, classifier_score(label), names)
    assert [layer.name for layer in layers] == names
    assert [layer.size for layer in layers] == [(8, 8), (4, 4), (4, 4)]
    assert [layer.downsamples for layer in layers] == [False, True, False]
    assert all(layer.cam.shape == (8, 8) for layer in layers)
    expected = by_the_equation(model, IMAGE, label, "backbone.0")
    np.testing.assert_allclose(layers[0].cam, expected, atol=1e-5)
    # The middle of the four pixels that one became; OpenCV enlarges bilinearly.
    small = by_the_equation(model, IMAGE, label, "backbone.2")
    ours = layers[2].cam
    inner = (0.75 * small[0, 0] + 0.25 * small[0, 1]) * 0.75
    inner += (0.75 * small[1, 0] + 0.25 * small[1, 1]) * 0.25
    assert ours[1, 1] == pytest.approx(inner, abs=1e-5)
    assert ours[0, 0] == pytest.approx(small[0, 0], abs=1e-5)


def test_the_network_is_left_as_it_was(model):
    for parameter in model.head.parameters():
        parameter.requires_grad = False
    before = model(IMAGE)
    class_activation(model, IMAGE, classifier_score(0), ["backbone.0"])
    assert torch.equal(model(IMAGE), before)
    assert not any(module._forward_hooks for module in model.modules())
    assert [p.requires_grad for p in model.parameters()] == [True] * 8 + [False] * 2
    assert all(p.grad is None for p in model.parameters())


def test_a_layer_without_influence(model):
    (layer,) = class_activation(model, IMAGE, classifier_score(0), ["unused"])
    assert not layer.weight
    assert not layer.cam.any()


def test_layers_are_the_blocks_along_the_depth():
    model = nn.Module()
    model.backbone = HadaptiveNet("s").eval()
    x = torch.rand(1, 3, 64, 64)
    names = layers_along_depth(model, x)
    expected = []
    for i, stage in enumerate(model.backbone.stages):
        blocks = [f".{j}" for j in range(len(stage))] if isinstance(stage, nn.Sequential) else [""]
        expected += [f"backbone.stages.{i}{block}" for block in blocks]
    assert names == expected
    assert layers_along_depth(model, x, most=3) == [
        expected[0],
        expected[len(expected) // 2],
        expected[-1],
    ]

    def score(model, x):
        return model.backbone(x)[-1].mean()

    layers = class_activation(model, x, score, names)
    chosen = [hasattr(getattr(model.get_submodule(n), "expand", 0), "num_selected") for n in names]
    assert [layer.kind == "ACH" for layer in layers] == chosen
    assert sum(chosen) == 6
    sizes = [64, *(layer.size[0] for layer in layers)]
    halved = [a > b for a, b in pairwise(sizes)]
    assert [layer.downsamples for layer in layers] == halved
    assert sum(halved) == 5


class Timm(nn.Module):
    """timm's transformer as mmpretrain's TimmClassifier holds it."""

    def __init__(self):
        super().__init__()
        self.model = VisionTransformer(8, 2, num_classes=3, embed_dim=12, depth=2, num_heads=2)

    def forward(self, x, mode="tensor"):
        return self.model(x)


class Mmpretrain(nn.Module):
    def __init__(self):
        super().__init__()
        arch = dict(embed_dims=12, num_layers=2, num_heads=2, feedforward_channels=24)
        self.backbone = MmpretrainVisionTransformer(arch, img_size=8, patch_size=2)
        self.head = nn.Linear(12, 3)

    def forward(self, x, mode="tensor"):
        return self.head(self.backbone(x)[-1])


@pytest.mark.parametrize(
    ("network", "blocks"), [(Timm, "model.blocks"), (Mmpretrain, "backbone.layers")]
)
def test_tokens_after_that_of_the_class_are_a_map(network, blocks):
    torch.manual_seed(0)
    model = network().double().eval()
    assert layers_along_depth(model, IMAGE)[-2:] == [f"{blocks}.0", f"{blocks}.1"]
    kept = []
    handle = model.get_submodule(f"{blocks}.0").register_forward_hook(
        lambda m, i, y: kept.append(y)
    )
    (gradient,) = torch.autograd.grad(model(IMAGE)[0, 1], kept)
    handle.remove()
    weights = gradient[0, 1:].mean(0)
    small = from_0_to_1((kept[0][0, 1:].detach() @ weights).relu().reshape(4, 4))
    (layer,) = class_activation(model, IMAGE, classifier_score(1), [f"{blocks}.0"])
    assert layer.size == (4, 4)
    corners = np.ix_([0, -1], [0, -1])
    np.testing.assert_allclose(layer.cam[corners], small[corners], atol=1e-5)


def test_target_of_a_classifier(model):
    probabilities = model(IMAGE)[0].softmax(0)
    best = int(probabilities.argmax())
    target = classifier_target(model, IMAGE)
    assert (target.label, target.score) == (best, pytest.approx(float(probabilities[best])))
    assert classifier_target(model, IMAGE, 2).label == 2
    with pytest.raises(UserError, match="no class 3: the network has 3"):
        classifier_target(model, IMAGE, 3)


def test_classes_by_name_and_number():
    assert class_label(["cat", "7"], "cat") == 0
    # A name comes first.
    assert class_label(["cat", "7"], "7") == 1
    assert class_label(["cat", "dog"], "1") == 1
    assert class_label(None, "9") == 9
    with pytest.raises(UserError, match="no class bird; classes are cat, dog"):
        class_label(["cat", "dog"], "bird")


class Detector(nn.Module):
    """Three boxes whose scores are means of maps; as mmdet, it detaches maps of a picture."""

    bbox_head = True

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Conv2d(3, 3, 1))
        self.backbone[0].weight.data.abs_()

    def predict(self, x, samples, rescale):
        assert not rescale
        maps = self.backbone(x)[0].detach()
        scores = torch.stack([torch.sigmoid(m.mean() + i) for i, m in enumerate(maps)])
        boxes = torch.tensor([[0.0, 0, 2, 2], [2, 2, 6, 6], [4, 4, 8, 8]])
        found = InstanceData(scores=scores, labels=torch.tensor([0, 1, 0]), bboxes=boxes)
        return [SimpleNamespace(pred_instances=found)]


def test_target_of_a_detector():
    model, x = Detector().eval(), IMAGE.float()
    first = detector_target(model, x, [None])
    assert (first.label, first.number, first.box) == (0, 1, (4, 4, 8, 8))
    of_class = detector_target(model, x, [None], label=0, number=2)
    assert (of_class.number, of_class.box) == (3, (0, 0, 2, 2))
    near = detector_target(model, x, [None], near=(2, 2, 5, 5))
    assert near.box == (2, 2, 6, 6)
    with pytest.raises(UserError, match="no box of class 1 with the number 2: Detector finds 1"):
        detector_target(model, x, [None], label=1, number=2)
    with pytest.raises(UserError, match="finds no box of class 0 where the other network does"):
        detector_target(model, x, [None], label=0, near=(2, 2, 3, 3))


def test_the_score_of_a_box_can_be_differentiated():
    model, x = Detector().eval(), IMAGE.float()
    (layer,) = class_activation(model, x, box_score([None], 2), ["backbone.0"])
    # The second box by score is that of the second map, whose gradient alone is not zero.
    cam = model.backbone(x)[0, 1].detach().relu()
    assert cam.any()
    np.testing.assert_allclose(layer.cam, from_0_to_1(cam), atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "no layer is given"),
        (["backbone.7"], "backbone has 0, 1, 2"),
        (["head"], "head gives no map"),
    ],
)
def test_layers_that_are_refused(model, layers, message):
    with pytest.raises(UserError, match=message):
        class_activation(model, IMAGE, classifier_score(0), layers)


def test_a_score_without_gradient_is_refused(model):
    with pytest.raises(UserError, match="the score of Classifier can't be differentiated"):
        class_activation(model, IMAGE, lambda m, x: m(x)[0, 0].detach(), ["backbone.0"])
