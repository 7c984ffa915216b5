"""The random crop of SSD, with all its tries drawn at once."""

from __future__ import annotations

import numpy as np
from mmdet.datasets.transforms import MinIoURandomCrop
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type

NUM_TRIES = 50


@TRANSFORMS.register_module()
class BatchedMinIoURandomCrop(MinIoURandomCrop):
    """mmdet's ``MinIoURandomCrop``, many times as fast.

    A mode is drawn: the whole picture, any crop, or crops whose least IoU with a box reaches one of
    ``min_ious``. Of 50 random crops the first is taken that is allowed by the mode, is at most
    twice as high as wide or as wide as high, and has the centre of a box in it; if there is none,
    another mode is drawn. Boxes whose centre is outside of the crop are dropped.

    Results, their keys, and their distribution are those of mmdet's transform. It draws its tries
    one by one; here those of a mode are drawn at once by NumPy's global generator, and compared
    with all boxes in one matrix.

    Args:
        min_ious: The least IoUs that may be asked for.
        min_crop_size: The least height and width of a crop, as parts of those of the picture.
        bbox_clip_border: Whether boxes are clipped to the crop.
    """

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Crop the picture, and the boxes, masks and segmentation map that there are.

        Args:
            results: ``img`` and ``gt_bboxes``, as mmdet's boxes or an array ``(n, 4)``; maybe
                ``gt_bboxes_labels``, ``gt_ignore_flags``, ``gt_masks`` and ``gt_seg_map``.

        Returns:
            The same dict, with ``img_shape``.
        """
        height, width = results["img"].shape[:2]
        boxes = results["gt_bboxes"]
        corners = boxes.convert_to("hbox").tensor.numpy()
        centers = boxes.centers.numpy()
        while True:
            self.mode = self._random_mode()
            if self.mode == 1:
                return results
            patches = self._random_patches(height, width)
            allowed = (_ious(patches, corners) >= self.mode).all(axis=1)
            inside = _has_inside(patches, centers)
            if len(centers):
                allowed &= inside.any(axis=1)
            if allowed.any():
                first = allowed.argmax()
                return self._crop(results, patches[first], inside[first])

    def _random_patches(self, height: int, width: int) -> np.ndarray:
        """Corners x1, y1, x2, y2 of those of the tries that have a crop's shape, ``(m, 4)``."""
        draws = np.random.random_sample((4, NUM_TRIES))
        w = _between(self.min_crop_size * width, width, draws[0])
        h = _between(self.min_crop_size * height, height, draws[1])
        # As mmdet has it, a corner lies between 1 and where the crop ends with the picture.
        x = _between(width - w, 1, draws[2])
        y = _between(height - h, 1, draws[3])
        patches = np.stack([x, y, x + w, y + h], axis=1).astype(np.int64)
        ratios = h / w
        extents = patches[:, 2:] - patches[:, :2]
        return patches[(ratios >= 0.5) & (ratios <= 2) & extents.all(axis=1)]

    def _crop(self, results: dict, patch: np.ndarray, inside: np.ndarray) -> dict:
        x1, y1, x2, y2 = patch
        if len(inside):
            boxes = results["gt_bboxes"][inside]
            boxes.translate_([-x1, -y1])
            if self.bbox_clip_border:
                boxes.clip_([y2 - y1, x2 - x1])
            results["gt_bboxes"] = boxes
            for key in ("gt_ignore_flags", "gt_bboxes_labels"):
                if results.get(key) is not None:
                    results[key] = results[key][inside]
            if results.get("gt_masks") is not None:
                results["gt_masks"] = results["gt_masks"][inside.nonzero()[0]].crop(patch)
        results["img"] = results["img"][y1:y2, x1:x2]
        results["img_shape"] = results["img"].shape[:2]
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = results["gt_seg_map"][y1:y2, x1:x2]
        return results


def _between(low: np.ndarray | float, high: float, draws: np.ndarray) -> np.ndarray:
    return low + (high - low) * draws


def _ious(patches: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """IoU of all pairs, ``(m, n)``, by the steps of mmdet's ``bbox_overlaps`` in float32."""
    patches = patches.astype(np.float32)
    near = np.maximum(patches[:, None, :2], boxes[:, :2])
    far = np.minimum(patches[:, None, 2:], boxes[:, 2:])
    common = _areas(np.concatenate([near, np.maximum(near, far)], axis=2))
    union = _areas(patches)[:, None] + _areas(boxes) - common
    return common / np.maximum(union, 1e-6)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _has_inside(patches: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which points lie within which patches, not on their edges, ``(m, n)``."""
    after = points > patches[:, None, :2]
    before = points < patches[:, None, 2:]
    return (after & before).all(axis=2)
