"""The in-memory data path beside the stock one, and beside literal crops of single images."""

import json
import os
import random
from contextlib import nullcontext
from itertools import chain

import cv2
import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import DATASETS
from torch.utils.data import DataLoader

from mmhadaptive.datasets import (
    BatchAugmentPreprocessor,
    InMemoryDataset,
    ResumableSampler,
    whole_batch,
)
from mmhadaptive.datasets.batch_augmentation import crop_and_flip, random_resized_crop

COUNT = 23


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small data set of noise and, so that enlarging is tested on edges too, of squares."""
    path = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8)
    images[::2, 8:24, 8:24] = 255
    np.savez(path / "train.npz", images=images, labels=np.arange(COUNT))
    return path


@pytest.fixture
def dataset(folder):
    return InMemoryDataset(dict(type="CIFAR100Files", data_root=str(folder)), device="cpu")


def loader_of(dataset, sampler, batch_size=4):
    return DataLoader(dataset, batch_size, sampler=sampler, collate_fn=whole_batch)


def test_a_batch_holds_the_images_asked_for(folder, dataset):
    file = np.load(folder / "train.npz")
    (batch,) = loader_of(dataset, [7, 0, 7, 22])
    expected = file["images"][[7, 0, 7, 22]].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(batch["images"].numpy(), expected)
    assert batch["images"].dtype == torch.uint8
    assert batch["labels"].tolist() == [7, 0, 7, 22]
    assert len(dataset.metainfo["classes"]) == 100


def test_a_dataset_without_arrays_is_refused(tmp_path):
    (tmp_path / "class").mkdir()
    cv2.imwrite(str(tmp_path / "class" / "image.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(TypeError, match="CustomDataset does not hold"), _scope():
        InMemoryDataset(dict(type="CustomDataset", ann_file="", data_prefix=str(tmp_path)))


def _scope():
    return DefaultScope.overwrite_default_scope("mmpretrain")


@pytest.mark.parametrize("size", [32, 48, 224])
def test_evaluation_equals_the_stock_pipeline(folder, dataset, size):
    normalisation = dict(mean=[129.304, 124.070, 112.434], std=[68.170, 65.392, 70.418])
    pipeline = [
        dict(type="Resize", scale=size, interpolation="bicubic"),
        dict(type="PackInputs"),
    ]
    with _scope():
        stock = DATASETS.build(
            dict(type="CIFAR100Files", data_root=str(folder), pipeline=pipeline, test_mode=True)
        )
        samples = pseudo_collate([stock[i] for i in range(COUNT)])
        expected = ClsDataPreprocessor(**normalisation, to_rgb=True)(samples)
        ours = BatchAugmentPreprocessor(
            size=size, padding=4, flip=0.5, **normalisation, to_rgb=True
        )
        actual = ours(dataset.__getitems__(range(COUNT)))
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
def test_training_batches(dataset, options):
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
        return preprocessor(dataset.__getitems__(range(COUNT)), training)

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
def test_nothing_leaves_the_device(folder, options, training, monkeypatch):
    """A value that the host reads, or a tensor of the host, is an error on the meta device."""
    # Which knows no autocast.
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())
    if "erasing" in options:
        pytest.importorskip("timm")
    dataset = InMemoryDataset(dict(type="CIFAR100Files", data_root=str(folder)), device="meta")
    with _scope():
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


def test_the_sampler_begins_in_the_middle(dataset):
    sampler = ResumableSampler(dataset, seed=3)
    loader = loader_of(dataset, sampler)
    sampler.set_epoch(2)
    whole = [batch["labels"].tolist() for batch in loader]
    assert sorted(chain(*whole)) == list(range(COUNT))
    sampler.start = 3 * 4
    assert [batch["labels"].tolist() for batch in loader] == whole[3:]
    assert [batch["labels"].tolist() for batch in loader] == whole
    sampler.set_epoch(3)
    assert [batch["labels"].tolist() for batch in loader] != whole


def sample_as_rank(rank, folder, port):
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    dataset = InMemoryDataset(dict(type="CIFAR100Files", data_root=str(folder)), device="cpu")
    sampler = ResumableSampler(dataset, seed=1, round_up=False)
    loader = loader_of(dataset, sampler)
    labels = [batch["labels"].tolist() for batch in loader]
    sampler.start = 4
    rest = [batch["labels"].tolist() for batch in loader]
    (folder / f"rank{rank}.json").write_text(json.dumps([labels, rest]))
    torch.distributed.destroy_process_group()


def test_two_ranks_see_disjoint_halves(folder):
    mp.spawn(sample_as_rank, (folder, 21_000 + os.getpid() % 20_000), nprocs=2)
    seen = []
    for rank in range(2):
        labels, rest = json.loads((folder / f"rank{rank}.json").read_text())
        assert rest == labels[1:]
        seen.append(list(chain(*labels)))
    assert not set(seen[0]) & set(seen[1])
    assert sorted(seen[0] + seen[1]) == list(range(COUNT))
    assert abs(len(seen[0]) - len(seen[1])) <= 1
