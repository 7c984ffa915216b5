"""Both file formats, subsets, and files that are refused."""

import os
import pickle

import numpy as np
import pytest

from mmhadaptive.datasets import CIFAR100Files


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (400, 32, 32, 3), dtype=np.uint8), np.repeat(np.arange(20), 20)


def write_pickle(path, images, labels, protocol=2):
    path.parent.mkdir(exist_ok=True)
    data = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    path.write_bytes(pickle.dumps(dict(data=data, fine_labels=labels.tolist()), protocol))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_both_formats_agree(tmp_path, arrays, protocol):
    images, labels = arrays
    np.savez(tmp_path / "train.npz", images=images, labels=labels)
    write_pickle(tmp_path / "cifar-100-python" / "test", images, labels, protocol)
    for split in ("train", "test"):
        dataset = CIFAR100Files(str(tmp_path), split)
        np.testing.assert_array_equal(dataset.images, images)
        np.testing.assert_array_equal(dataset.labels, labels)
    info = dataset.get_data_info(30)
    np.testing.assert_array_equal(info["img"], images[30][..., ::-1])
    assert info["gt_label"] == 1


def test_the_stock_pipeline_takes_it(tmp_path, arrays):
    images, labels = arrays
    np.savez(tmp_path / "train.npz", images=images, labels=labels)
    pipeline = [dict(type="PackInputs", _scope_="mmpretrain")]
    sample = CIFAR100Files(str(tmp_path), pipeline=pipeline)[399]
    np.testing.assert_array_equal(sample["inputs"].permute(1, 2, 0).numpy(), images[399][..., ::-1])
    assert sample["data_samples"].gt_label.tolist() == [19]


def test_a_fraction_is_balanced_and_seeded(tmp_path, arrays):
    images, labels = arrays
    np.savez(tmp_path / "train.npz", images=images, labels=labels)
    first, again, other = (
        CIFAR100Files(str(tmp_path), fraction=0.1, subset_seed=seed) for seed in (1, 1, 2)
    )
    assert np.bincount(first.labels).tolist() == [2] * 20
    np.testing.assert_array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)
    assert len(CIFAR100Files(str(tmp_path), indices=7)) == 7
    with pytest.raises(ValueError, match="fraction"):
        CIFAR100Files(str(tmp_path), fraction=0)


class Malicious:
    def __reduce__(self):
        return os.system, ("touch broken-in",)


def test_a_malicious_pickle_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train").write_bytes(pickle.dumps(dict(data=Malicious())))
    with pytest.raises(ValueError, match=r"train was not loaded: it asks for \w+\.system"):
        CIFAR100Files(str(tmp_path))
    assert not (tmp_path / "broken-in").exists()


@pytest.mark.parametrize("name", ["train.npz", "cifar-100-python/train"])
def test_a_truncated_file_is_refused(tmp_path, arrays, name):
    path = tmp_path / name
    if path.suffix:
        np.savez(path, images=arrays[0], labels=arrays[1])
    else:
        write_pickle(path, *arrays)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=path.name):
        CIFAR100Files(str(tmp_path))


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ((4, 3, 32, 32), [0, 1, 2, 3], "images are uint8"),
        ((4, 32, 32, 3), [0, 1, 2], "for 4 images"),
        ((4, 32, 32, 3), [0, 1, 2, 100], r"0\.\.100"),
        ((0, 32, 32, 3), [], "images are uint8"),
    ],
)
def test_wrong_shapes_are_refused(tmp_path, images, labels, message):
    labels = np.array(labels, dtype=np.int64)
    np.savez(tmp_path / "train.npz", images=np.zeros(images, np.uint8), labels=labels)
    with pytest.raises(ValueError, match=rf"train\.npz: .*{message}"):
        CIFAR100Files(str(tmp_path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"test\.npz, cifar-100-python/test"):
        CIFAR100Files(str(tmp_path), "test")
