"""The crop by IoU against mmdet's: the same crop for the same draws, the same distribution."""

import copy

import mmdet.datasets.transforms.transforms as of_mmdet
import numpy as np
import pytest
from mmdet.datasets.transforms import MinIoURandomCrop
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from scipy import stats

from mmhadaptive.transforms import BatchedMinIoURandomCrop

from ..paths import CONFIGS

OPTIONS = dict(min_ious=(0.1, 0.3, 0.5), min_crop_size=0.3)


class Draws:
    """In the place of ``numpy.random``: both transforms get the same modes and tries."""

    def __init__(self, seed):
        self.generator = np.random.default_rng(seed)

    def choice(self, modes):
        self.tries = self.generator.random((4, 50))
        self.at, self.row = -1, None
        return modes[self.generator.integers(len(modes))]

    def random_sample(self, shape):
        assert shape == self.tries.shape
        return self.tries

    def uniform(self, low, high=None):
        """mmdet draws width and height with two arguments, then left and top with one."""
        if high is not None and self.row != 0:
            self.at, self.row = self.at + 1, 0
        else:
            self.row += 1
        high = 1.0 if high is None else high
        return low + (high - low) * self.tries[self.row, self.at]


def picture(seed, num_boxes, height=60, width=80, **more):
    """A picture whose pixels tell where they were, and boxes partly beyond its border."""
    rng = np.random.default_rng(seed)
    centers = rng.uniform(0, (width, height), (num_boxes, 2))
    sizes = rng.uniform(0.05, 0.6, (num_boxes, 2)) * (width, height)
    corners = np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=1)
    rows, columns = np.indices((height, width))
    return dict(
        img=np.stack([rows, columns, rows], axis=2),
        img_shape=(height, width),
        gt_bboxes=HorizontalBoxes(corners.astype(np.float32)),
        gt_bboxes_labels=rng.integers(0, 5, num_boxes),
        gt_ignore_flags=rng.random(num_boxes) < 0.3,
        gt_masks=BitmapMasks(
            rng.integers(0, 2, (num_boxes, height, width), dtype=np.uint8), height, width
        ),
        gt_seg_map=rng.integers(0, 9, (height, width), dtype=np.uint8),
        **more,
    )


def plain(results):
    """A result as arrays and numbers."""
    boxes, masks = results["gt_bboxes"], results["gt_masks"]
    found = dict(results, gt_masks=masks.masks, mask_size=(masks.height, masks.width))
    found["gt_bboxes"] = boxes if isinstance(boxes, np.ndarray) else boxes.numpy()
    return found


def both(monkeypatch, seed, results, **options):
    """What mmdet's transform and ours make of the same picture with the same draws."""
    found = []
    for cls in (MinIoURandomCrop, BatchedMinIoURandomCrop):
        draws = Draws(seed)
        with monkeypatch.context() as patch:
            patch.setattr(of_mmdet, "random", draws)
            patch.setattr(np.random, "random_sample", draws.random_sample)
            transform = cls(**{**OPTIONS, **options})
            found.append((plain(transform(copy.deepcopy(results))), transform.mode))
    return found


def assert_equal(found):
    (expected, mode), (ours, our_mode) = found
    assert mode == our_mode
    assert expected.keys() == ours.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(ours[key], value, err_msg=key)
        if isinstance(value, np.ndarray):
            assert ours[key].dtype == value.dtype


@pytest.mark.parametrize("num_boxes", [0, 1, 3, 8])
@pytest.mark.parametrize("clip", [True, False])
def test_the_first_try_that_passes(monkeypatch, num_boxes, clip):
    cropped = 0
    for seed in range(60):
        found = both(monkeypatch, seed, picture(seed, num_boxes), bbox_clip_border=clip)
        assert_equal(found)
        cropped += found[1][0]["img"].shape != (60, 80, 3)
    assert cropped > 20


def test_boxes_as_an_array_stay_one(monkeypatch):
    for seed in range(20):
        results = picture(seed, 3)
        results["gt_bboxes"] = results["gt_bboxes"].numpy()
        found = both(monkeypatch, seed, results)
        assert_equal(found)
        assert isinstance(found[1][0]["gt_bboxes"], np.ndarray)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 3), (5, 4), (40, 7)])
@pytest.mark.parametrize("num_boxes", [0, 2])
def test_very_small_pictures(monkeypatch, size, num_boxes):
    for seed in range(30):
        # Of the smallest crops none may have a centre in it, so that only the whole remains.
        assert_equal(both(monkeypatch, seed, picture(seed, num_boxes, *size)))


def test_pictures_without_labels_masks_or_maps():
    np.random.seed(0)
    transform = BatchedMinIoURandomCrop(**OPTIONS)
    for seed in range(10):
        results = picture(seed, 2)
        bare = transform({key: results[key] for key in ("img", "gt_bboxes")})
        assert bare.keys() <= {"img", "img_shape", "gt_bboxes"}


def test_equal_in_distribution():
    """Modes, corners and sizes of the crops, and boxes that are kept, over 1,500 pictures."""
    samples = []
    for cls in (MinIoURandomCrop, BatchedMinIoURandomCrop):
        np.random.seed(3)
        transform = cls(**OPTIONS)
        rows = []
        for seed in range(1500):
            results = transform(picture(seed, 1 + seed % 3))
            top, left = results["img"][0, 0, :2]
            height, width = results["img"].shape[:2]
            kept = len(results["gt_bboxes"])
            rows.append((transform.mode, top, left, height, width, kept))
        samples.append(np.array(rows))
    theirs, ours = samples
    for column in (0, 5):
        values = np.unique(np.concatenate([theirs[:, column], ours[:, column]]))
        counts = [[(s[:, column] == value).sum() for value in values] for s in samples]
        assert stats.chi2_contingency(counts).pvalue > 0.01, column
    whole = [s[:, 0] == 1 for s in samples]
    crops = [s[~w] for s, w in zip(samples, whole, strict=True)]
    ratios = [np.abs(np.log(c[:, 3] / c[:, 4])) for c in crops]
    for column, pair in enumerate([*([c[:, i] for c in crops] for i in (1, 2, 3, 4)), ratios]):
        assert stats.ks_2samp(*pair).pvalue > 0.01, column
    # The whole picture is one of five modes, and what is left where no try passes.
    assert all(w.mean() > 0.2 for w in whole)


def test_seeds_reach_the_draws():
    crops = []
    for seed in (5, 5, 6):
        np.random.seed(seed)
        transform = BatchedMinIoURandomCrop(**OPTIONS)
        crops.append([transform(picture(i, 2))["img"].shape for i in range(10)])
    assert crops[0] == crops[1] != crops[2]


def test_all_configs_have_it():
    for path in sorted((CONFIGS / "detection").glob("ssd_*.py")):
        cfg = Config.fromfile(path)
        dataset = cfg.train_dataloader.dataset
        # A repeated set holds the one with the pipeline.
        pipeline = dataset.get("dataset", dataset).pipeline
        assert "MinIoURandomCrop" not in [transform.type for transform in pipeline], path
        for transform in pipeline:
            assert TRANSFORMS.get(transform.type) is not None, transform.type
    crops = [t for t in cfg.train_pipeline if t.type == "BatchedMinIoURandomCrop"]
    assert [crop.min_ious for crop in crops] == [(0.1, 0.3, 0.5)]
