"""What a training sees: samples of its loader with their labels drawn."""

from __future__ import annotations

from collections.abc import Iterator

import mmcv
import numpy as np
import torch
from mmengine.structures import BaseDataElement


def draw_detection_samples(
    batches: Iterator[dict], metainfo: dict, side: int
) -> Iterator[np.ndarray]:
    """The pictures of batches of ``PackDetInputs`` with boxes and class names, by mmdet.

    Args:
        batches: As a loader with ``pseudo_collate`` gives them: ``inputs``, tensors (3, H, W) in
            BGR, and ``data_samples``.
        metainfo: Of the data set: ``classes`` and, optionally, ``palette``.
        side: To which the longer edge is scaled before anything is drawn, so that lines and names
            have one size in all.

    Yields:
        Pictures (H, W, 3), RGB.
    """
    from mmdet.visualization import DetLocalVisualizer

    visualizer = DetLocalVisualizer(line_width=2)
    palette = metainfo.get("palette")
    if isinstance(palette, (list, tuple)) and len(palette) < len(metainfo["classes"]):
        palette = None
    visualizer.dataset_meta = dict(metainfo, palette=palette)
    for batch in batches:
        for inputs, sample in zip(batch["inputs"], batch["data_samples"], strict=True):
            picture = inputs.permute(1, 2, 0).numpy()[..., ::-1]
            picture, scale = mmcv.imrescale(picture, (side, side), return_scale=True)
            visualizer.add_datasample(
                "sample", np.ascontiguousarray(picture), _scaled(sample, scale), draw_pred=False
            )
            yield visualizer.get_image()


def _scaled(sample: BaseDataElement, scale: float) -> BaseDataElement:
    """The boxes and labels of a sample, in a picture of another size."""
    boxes = sample.gt_instances.bboxes
    instances = type(sample.gt_instances)(
        bboxes=getattr(boxes, "tensor", boxes) * scale, labels=sample.gt_instances.labels
    )
    drawn = type(sample)()
    drawn.gt_instances = instances
    return drawn


def draw_classification_samples(
    batches: Iterator[dict],
    preprocessor: torch.nn.Module,
    training: bool,
    metainfo: dict,
    side: int,
) -> Iterator[np.ndarray]:
    """The images of batches as a classifier gets them, with the names of their classes.

    Args:
        batches: Of mmpretrain's pipelines or of ``InMemoryDataset``.
        preprocessor: The model's, which augments and normalises; its normalisation is undone.
        training: Whether it augments.
        metainfo: Of the data set; ``classes`` where it has names.
        side: To which the longer edge is scaled.

    Yields:
        Images (H, W, 3), RGB.
    """
    from mmpretrain.structures import DataSample
    from mmpretrain.visualization import UniversalVisualizer

    visualizer = UniversalVisualizer()
    for batch in batches:
        data = preprocessor(batch, training=training)
        images = data["inputs"].float()
        if preprocessor._enable_normalize:
            images = images * preprocessor.std + preprocessor.mean
        if "images" not in batch and not preprocessor.to_rgb:
            images = images.flip(1)
        images = images.clamp(0, 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        for image, labels in zip(images, _labels(data["data_samples"]), strict=True):
            image = mmcv.imrescale(image, (side, side))
            sample = DataSample().set_gt_label(labels)
            yield visualizer.visualize_cls(image, sample, metainfo.get("classes"))


def _labels(samples: list[BaseDataElement]) -> Iterator[torch.Tensor]:
    """The label of each image, or the labels of those that were mixed."""
    for sample in samples:
        if "gt_score" in sample:
            yield sample.gt_score.nonzero().flatten()
        else:
            # BatchAugmentPreprocessor gives one sample with the labels of all images.
            yield from sample.gt_label.split(1)
