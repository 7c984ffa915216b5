"""Augmentation of whole batches beside the stock pipeline, and beside literal crops of images."""

import random
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import DATASETS

from mmhadaptive.datasets import InMemoryDataset
from mmhadaptive.models.data_preprocessors import BatchAugmentPreprocessor
from mmhadaptive.models.data_preprocessors.batch_augmentation import (
    crop_and_flip,
    random_resized_crop,
)

COUNT = 23


def _scope():
    return DefaultScope.overwrite_default_scope("mmpretrain")


@pytest.mark.parametrize("size", [32, 48, 224])
def test_evaluation_equals_the_stock_pipeline(few_images, in_memory, size):
    normalisation = dict(mean=[129.304, 124.070, 112.434], std=[68.170, 65.392, 70.418])
    pipeline = [
        dict(type="Resize", scale=size, interpolation="bicubic"),
        dict(type="PackInputs"),
    ]
    with _scope():
        stock = DATASETS.build(
            dict(type="CIFAR100Files", data_root=str(few_images), pipeline=pipeline, test_mode=True)
        )
        samples = pseudo_collate([stock[i] for i in range(COUNT)])
        expected = ClsDataPreprocessor(**normalisation, to_rgb=True)(samples)
        ours = BatchAugmentPreprocessor(
            size=size, padding=4, flip=0.5, **normalisation, to_rgb=True
        )
        actual = ours(in_memory.__getitems__(range(COUNT)))
        # Inferencers and tools/test.py send batches of the stock pipeline through it.
        torch.testing.assert_close(ours(samples)["inputs"], expected["inputs"], rtol=0, atol=0)
    # OpenCV rounds to a level, with weights of 11 bits.
    levels = (actual["inputs"] - expected["inputs"]).abs() * torch.tensor(
        normalisation["std"]
    ).view(3, 1, 1)
    assert levels.max() < (1e-4 if size == 32 else 1.1)
    labels = [sample.gt_label.item() for sample in actual["data_samples"]]
    assert labels == [sample.gt_label.item() for sample in expected["data_samples"]]


def test_every_crop_is_a_literal_one_and_all_occur():
    torch.manual_seed(0)
    image = torch.randint(1, 256, (3, 5, 6), dtype=torch.uint8)
    padding = 2
    padded = torch.zeros(3, 9, 10, dtype=torch.uint8)
    padded[:, 2:7, 2:8] = image
    literal = {}
    for top in range(2 * padding + 1):
        for left in range(2 * padding + 1):
            crop = padded[:, top : top + 5, left : left + 6]
            literal[crop.numpy().tobytes()] = (top, left, False)
            literal[crop.flip(2).numpy().tobytes()] = (top, left, True)
    assert len(literal) == 50
    crops = crop_and_flip(image.expand(2000, -1, -1, -1), padding, 0.25)
    found = [literal[crop.contiguous().numpy().tobytes()] for crop in crops]
    assert set(found) == set(literal.values())
    assert 0.21 < np.mean([flip for _, _, flip in found]) < 0.29
    assert torch.equal(crop_and_flip(crops, 0, 0.0), crops)
    assert torch.equal(crop_and_flip(crops, 0, 1.0), crops.flip(3))


def test_resized_crop():
    images = torch.rand(64, 3, 16, 16) * 255
    enlarged = torch.nn.functional.interpolate(images, (24, 24), mode="bicubic")
    whole = random_resized_crop(images, 24, (1.0, 1.0), (1.0, 1.0), 0.0)
    torch.testing.assert_close(whole, enlarged, rtol=0, atol=1e-2)
    mirrored = random_resized_crop(images, 24, (1.0, 1.0), (1.0, 1.0), 1.0)
    torch.testing.assert_close(mirrored, enlarged.flip(3), rtol=0, atol=1e-2)
    # A ramp shows what part of the image a crop is, nearly: the cubic kernel bends it a little.
    ramp = torch.arange(16.0).expand(2000, 1, 16, 16)
    ramp = torch.cat([ramp, ramp.transpose(2, 3)], 1)
    torch.manual_seed(0)
    crops = random_resized_crop(ramp, 16, (0.25, 0.5), (0.5, 2.0), 0.0)
    width = (crops[:, 0, 8, 11] - crops[:, 0, 8, 4]) / 7
    height = (crops[:, 1, 11, 8] - crops[:, 1, 4, 8]) / 7
    area, ratio = width * height, width / height
    assert 0.23 < area.min() < 0.27 < 0.48 < area.max() < 0.53
    assert 0.47 < ratio.min() < 0.53 < 1.9 < ratio.max() < 2.1
    assert abs(area.mean() - 0.375) < 0.01
    assert abs(ratio.log().mean()) < 0.05
    assert -0.5 < crops.min() < 0.5 < 14.5 < crops.max() < 15.5


AUGMENTATIONS = {
    "crop": dict(padding=4, flip=0.5),
    "resized crop and erasing": dict(
        resized_crop=dict(scale=(0.3, 1.0)), flip=0.5, erasing=dict(probability=1.0)
    ),
    "RandAugment": dict(padding=4, rand_augment=dict(magnitude=9, groups=3)),
    "mixup": dict(batch_augments=dict(augments=dict(type="Mixup", alpha=0.8), probs=1.0)),
}


@pytest.mark.parametrize("options", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_training_batches(in_memory, options):
    if "erasing" in options:
        pytest.importorskip("timm")
    with _scope():
        preprocessor = BatchAugmentPreprocessor(
            size=40, mean=[0.0] * 3, std=[1.0] * 3, num_classes=100, **options
        )

    def batch(seed, training=True):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        return preprocessor(in_memory.__getitems__(range(COUNT)), training)

    first, again, other = batch(0), batch(0), batch(1)
    assert first["inputs"].shape == (COUNT, 3, 40, 40)
    assert first["inputs"].dtype == torch.float32
    assert torch.equal(first["inputs"], again["inputs"])
    assert not torch.equal(first["inputs"], other["inputs"])
    labels = torch.cat([sample.gt_label for sample in first["data_samples"]])
    assert labels.tolist() == list(range(COUNT))
    if "batch_augments" in options:
        scores = torch.stack([sample.gt_score for sample in first["data_samples"]])
        torch.testing.assert_close(scores.sum(1), torch.ones(COUNT))
        assert (scores.max(1).values < 1).any()
    if "erasing" not in options:
        assert 0 <= first["inputs"].min() < first["inputs"].max() <= 255
    assert torch.equal(batch(0, False)["inputs"], batch(1, False)["inputs"])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_nothing_leaves_the_device(few_images, options, training, monkeypatch):
    """A value that the host reads, or a tensor of the host, is an error on the meta device."""
    # Which knows no autocast.
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())
    if "erasing" in options:
        pytest.importorskip("timm")
    source = dict(type="CIFAR100Files", data_root=str(few_images))
    with _scope():
        dataset = InMemoryDataset(source, device="meta")
        preprocessor = BatchAugmentPreprocessor(
            size=40, mean=[0.0] * 3, std=[1.0] * 3, num_classes=100, **options
        ).to("meta")
    batch = preprocessor(dataset.__getitems__(range(COUNT)), training)
    assert batch["inputs"].shape == (COUNT, 3, 40, 40)
    assert batch["inputs"].is_meta
    assert batch["data_samples"][0].gt_label.is_meta


def test_two_kinds_of_crop_are_refused():
    with pytest.raises(ValueError, match="resized_crop takes the place of padding"):
        BatchAugmentPreprocessor(size=32, padding=4, resized_crop=dict())
