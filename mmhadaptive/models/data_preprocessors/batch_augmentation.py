"""Augmentation of whole batches, every image by draws of its own, on any device."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def crop_and_flip(images: Tensor, padding: int, flip: float) -> Tensor:
    """Crop each image from its zero-padded self and mirror it at random.

    Args:
        images: ``(B, C, H, W)``, any type.
        padding: Pixels on every side; the crop has the size of the image.
        flip: Probability of a mirrored image.

    Returns:
        ``(B, C, H, W)``, of the same type, channels_last.
    """
    count, _, height, width = images.shape
    device = images.device
    rows = torch.arange(height, device=device)
    columns = torch.arange(width, device=device)
    shifts = torch.randint(2 * padding + 1, (2, count, 1), device=device)
    mirrored = torch.rand(count, 1, device=device) < flip
    rows = rows + shifts[0]
    columns = torch.where(mirrored, columns.flip(0), columns) + shifts[1]
    padded = F.pad(images, (padding,) * 4).permute(0, 2, 3, 1)
    numbers = torch.arange(count, device=device)[:, None, None]
    return padded[numbers, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def random_resized_crop(
    images: Tensor,
    size: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    flip: float,
) -> Tensor:
    """Cut a random part out of each image, mirror it at random and enlarge it.

    The area is uniform in ``scale`` (parts of the image) and the aspect ratio log-uniform in
    ``ratio``, as usual; a side that would exceed the image is cut to it, where the stock transform
    draws again. Bicubic, not antialiased: for small images that are enlarged.

    Args:
        images: ``(B, C, H, W)``, floating-point.
        size: Height and width of the result.
        flip: Probability of a mirrored image.

    Returns:
        ``(B, C, size, size)``.
    """
    count = len(images)
    area, aspect, left, top, mirror = torch.rand(5, count, device=images.device)
    area = scale[0] + (scale[1] - scale[0]) * area
    low, high = math.log(ratio[0]), math.log(ratio[1])
    root = torch.exp((low + (high - low) * aspect) / 2)
    # Parts of the image's sides, and the centre in the coordinates -1..1 of affine_grid.
    width, height = (area.sqrt() * root).clamp(max=1), (area.sqrt() / root).clamp(max=1)
    centre_x, centre_y = (2 * left - 1) * (1 - width), (2 * top - 1) * (1 - height)
    sign = 1 - 2 * (mirror < flip).to(width.dtype)
    zero = torch.zeros_like(width)
    matrix = torch.stack([width * sign, zero, centre_x, zero, height, centre_y], 1)
    grid = F.affine_grid(matrix.view(count, 2, 3), (count, 3, size, size), align_corners=False)
    return F.grid_sample(
        images, grid.to(images.dtype), "bicubic", padding_mode="border", align_corners=False
    )


def by_groups(images: Tensor, groups: int, transform) -> Tensor:
    """Apply a transform that draws once a call to random groups of the images."""
    parts = torch.randperm(len(images), device=images.device).chunk(groups)
    result = torch.empty_like(images)
    for part in parts:
        result[part] = transform(images[part])
    return result
