"""A data preprocessor that augments whole batches on the device of the model."""

from __future__ import annotations

import torch
from mmengine.utils import is_installed
from mmpretrain.models import ClsDataPreprocessor
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

from .batch_augmentation import by_groups, crop_and_flip, random_resized_crop


@MODELS.register_module()
class BatchAugmentPreprocessor(ClsDataPreprocessor):
    """Augment, enlarge and normalise the batches of :class:`~mmhadaptive.datasets.InMemoryDataset`.

    In training: a crop out of the zero-padded image and a flip, or a random resized crop and a
    flip; RandAugment; the enlargement; normalisation; random erasing; ``batch_augments`` (mixup,
    CutMix). In evaluation only the enlargement and the normalisation. Everything is float32,
    whatever autocast says. Batches of stock pipelines are treated as mmpretrain's
    ``ClsDataPreprocessor`` treats them.

    Args:
        size: Height and width of what the network gets; bicubic like OpenCV's, clamped to 0..255.
            None leaves the images as they are.
        padding: Of the random crop, in pixels of the stored image; 0 for no crop.
        flip: Probability of a mirrored image.
        resized_crop: ``dict(scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3))``, or a part of it, in place
            of the crop; needs a size.
        rand_augment: Arguments of torchvision's ``RandAugment``, such as ``dict(magnitude=9)``;
            ``groups=8`` tells among how many random groups of a batch the operations differ.
        erasing: Arguments of timm's ``RandomErasing``, such as ``dict(probability=0.25)``. It
            needs ``pip install -e '.[timm]'``.
        kwargs: Those of ``ClsDataPreprocessor``: mean, std, num_classes, batch_augments, and
            to_rgb for stock pipelines.

    Raises:
        ValueError: Both kinds of crop, or a resized crop without a size.
        ImportError: erasing without timm.
    """

    def __init__(
        self,
        size: int | None = None,
        padding: int = 0,
        flip: float = 0.0,
        resized_crop: dict | None = None,
        rand_augment: dict | None = None,
        erasing: dict | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if resized_crop is not None and (padding or size is None):
            raise ValueError("resized_crop takes the place of padding and needs a size")
        self.size = size
        self.padding = padding
        self.flip = flip
        self.resized_crop = None
        if resized_crop is not None:
            self.resized_crop = dict(scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)) | resized_crop
        self.rand_augment = None
        if rand_augment is not None:
            rand_augment = dict(rand_augment)
            self.groups = rand_augment.pop("groups", 8)
            self.rand_augment = v2.RandAugment(**rand_augment)
        self.erasing = None
        if erasing is not None:
            if not is_installed("timm"):
                raise ImportError("erasing needs timm: pip install -e '.[timm]'")
            from timm.data.random_erasing import RandomErasing

            self.erasing = RandomErasing(**erasing)

    @torch.no_grad()
    def forward(self, data: dict, training: bool = False) -> dict:
        """See mmengine's ``BaseDataPreprocessor``."""
        if "images" not in data:
            return super().forward(data, training)
        data = self.cast_data(data)
        images, labels = data["images"], data["labels"]
        with torch.autocast(images.device.type, enabled=False):
            inputs = self.augment(images) if training else self.enlarge(images.float())
            if self._enable_normalize:
                inputs = inputs.sub_(self.mean).div_(self.std)
            if training and self.erasing is not None:
                # Where timm draws its noise; a GPU unless told.
                self.erasing.device = inputs.device
                inputs = self.erasing(inputs)
            if training and self.batch_augments is not None:
                scores = F.one_hot(labels, self.num_classes).float()
                inputs, scores = self.batch_augments(inputs, scores)
                samples = samples_of(labels)
                for sample, score in zip(samples, scores, strict=True):
                    sample.set_gt_score(score)
                return dict(inputs=inputs, data_samples=samples)
        if training:
            # One sample with all labels: the head's loss joins the labels of all samples anyway,
            # and making a sample an image costs more than a step of a small network.
            return dict(inputs=inputs, data_samples=[DataSample().set_gt_label(labels)])
        return dict(inputs=inputs, data_samples=samples_of(labels))

    def augment(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 to (B, 3, size, size) float32 in 0..255."""
        if self.resized_crop is None:
            if self.padding or self.flip:
                images = crop_and_flip(images, self.padding, self.flip)
            images = self.rand_augmented(images)
            return self.enlarge(images.float())
        images = self.rand_augmented(images).float()
        return random_resized_crop(images, self.size, **self.resized_crop, flip=self.flip).clamp(
            0, 255
        )

    def rand_augmented(self, images: Tensor) -> Tensor:
        if self.rand_augment is None:
            return images
        return by_groups(images, self.groups, self.rand_augment)

    def enlarge(self, images: Tensor) -> Tensor:
        if self.size is None or images.shape[-2:] == (self.size, self.size):
            return images
        images = F.interpolate(images, (self.size, self.size), mode="bicubic", align_corners=False)
        return images.clamp_(0, 255)


def samples_of(labels: Tensor) -> list[DataSample]:
    """A sample for each image."""
    return [DataSample().set_gt_label(label) for label in labels.split(1)]
