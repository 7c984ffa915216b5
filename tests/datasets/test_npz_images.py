"""Labelled images of any size, and files that are refused."""

import numpy as np
import pytest
from mmpretrain.registry import DATASETS

from mmhadaptive.datasets import InMemoryDataset, NpzImages

CLASSES = dict(classes=("a", "b", "c"))


def write(folder, shape=(6, 20, 12, 3), labels=(0, 1, 2, 0, 1, 2), name="train"):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.savez(folder / f"{name}.npz", images=images, labels=np.array(labels, np.int32))
    return images


def test_images_are_those_of_the_file(tmp_path):
    images = write(tmp_path, name="held_out")
    dataset = DATASETS.build(
        dict(type="NpzImages", data_root=str(tmp_path), split="held_out", metainfo=CLASSES)
    )
    assert len(dataset) == 6
    info = dataset.get_data_info(4)
    np.testing.assert_array_equal(info["img"], images[4][..., ::-1])
    assert info["gt_label"] == 1
    assert info["img_shape"] == (20, 12)


def test_it_leaves_memory_by_the_batch(tmp_path):
    images = write(tmp_path)
    source = dict(type="NpzImages", data_root=str(tmp_path), metainfo=CLASSES)
    batch = InMemoryDataset(source, device="cpu").__getitems__([5, 0])
    np.testing.assert_array_equal(batch["images"].permute(0, 2, 3, 1).numpy(), images[[5, 0]])
    assert batch["labels"].tolist() == [2, 0]


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((6, 3, 20, 12), (0,) * 6, r"images are uint8 \(6, 3, 20, 12\)"),
        ((6, 20, 12, 3), (0,) * 5, "for 6 images"),
        ((6, 20, 12, 3), (0, 1, 2, 3, 0, 0), r"0\.\.3, not 0\.\.2"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, shape, labels, message):
    write(tmp_path, shape, labels)
    with pytest.raises(ValueError, match=rf"train\.npz: .*{message}"):
        NpzImages(str(tmp_path), metainfo=CLASSES)
