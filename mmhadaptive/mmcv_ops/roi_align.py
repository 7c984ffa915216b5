"""RoIAlign with average pooling.

A region is divided into a grid of bins, and a bin is the mean of samples that lie on a regular grid
in it; a sample is a bilinear interpolation of the map. So a bin is a weighted sum of pixels, which
``embedding_bag`` computes for all channels at once, and its gradient is the same sum the other way
round. Samples more than a pixel outside of the map are zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from .missing import missing


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the bins of all regions to ``output``.

    Args:
        input: Maps, (batch, channels, height, width).
        rois: Index of the map and the corners x1, y1, x2, y2 of each region, (n, 5).
        output: (n, channels, aligned_height, aligned_width), zeros.
        argmax_y: Not used.
        argmax_x: Not used.
        aligned_height: Bins in a column.
        aligned_width: Bins in a row.
        spatial_scale: Pixels of the map for each unit of ``rois``.
        sampling_ratio: Samples of a bin along each axis; if it is 0, about one for each pixel.
        pool_mode: 1, the mean.
        aligned: Whether pixel centres are at half coordinates; else they are at whole ones, and a
            region has at least one pixel along each axis.

    Raises:
        NotImplementedError: Another ``pool_mode``.
    """
    grid = Grid(aligned_height, aligned_width, spatial_scale, sampling_ratio, aligned)
    check_mode(pool_mode)
    pixels_first = upcast(input.permute(0, 2, 3, 1).flatten(0, 2))
    for regions, pixels, weights in grid.sums(upcast(rois), input.shape):
        bins = embedding_bag(pixels, pixels_first, per_sample_weights=weights, mode="sum")
        bins = bins.view(len(regions), aligned_height, aligned_width, -1)
        output[regions] = bins.permute(0, 3, 1, 2).to(output.dtype)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the gradient by the maps to ``grad_input``, of which each element is summed in order.

    The arguments are those of ``roi_align_forward``.
    """
    grid = Grid(aligned_height, aligned_width, spatial_scale, sampling_ratio, aligned)
    check_mode(pool_mode)
    batch, channels, height, width = grad_input.shape
    bins_of_roi = torch.arange(aligned_height * aligned_width, device=rois.device)
    all_bins, all_pixels, all_weights = [], [], []
    for regions, pixels, weights in grid.sums(upcast(rois), grad_input.shape):
        bins = (regions[:, None] * len(bins_of_roi) + bins_of_roi).view(-1, 1)
        all_bins.append(bins.expand_as(pixels).flatten())
        all_pixels.append(pixels.flatten())
        all_weights.append(weights.flatten())
    if not all_pixels:
        return
    pixels, order = torch.cat(all_pixels).sort(stable=True)
    sizes = torch.bincount(pixels, minlength=batch * height * width)
    gradient = embedding_bag(
        torch.cat(all_bins)[order],
        upcast(grad_output.permute(0, 2, 3, 1).flatten(0, 2)),
        sizes.cumsum(0) - sizes,
        per_sample_weights=torch.cat(all_weights)[order],
        mode="sum",
    )
    grad_input.copy_(gradient.view(batch, height, width, channels).permute(0, 3, 1, 2))


@dataclass(frozen=True)
class Grid:
    """How a region is divided and sampled; the fields are arguments of ``roi_align_forward``."""

    height: int
    width: int
    spatial_scale: float
    sampling_ratio: int
    aligned: bool

    def sums(self, rois: Tensor, shape: torch.Size) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Bins as weighted sums of pixels, for groups of regions with the same number of samples.

        Args:
            rois: (n, 5).
            shape: That of the maps.

        Yields:
            Indices of m regions; for each of their m * height * width bins the indices of pixels
            in all maps, one row after the other, and their weights, (bins, pixels of a bin).
        """
        _, _, map_height, map_width = shape
        half = 0.5 if self.aligned else 0.0
        corners = rois[:, 1:] * self.spatial_scale - half
        starts, lengths = corners[:, :2], corners[:, 2:] - corners[:, :2]
        if not self.aligned:
            lengths = lengths.clamp(min=1)
        bins = lengths / lengths.new_tensor([self.width, self.height])
        if self.sampling_ratio > 0:
            samples = torch.full_like(bins, self.sampling_ratio, dtype=torch.long)
        else:
            samples = bins.ceil().long()
        for counts in samples.unique(dim=0):
            along_x, along_y = counts.tolist()
            if along_x <= 0 or along_y <= 0:
                continue  # A region of no size has no samples.
            regions = (samples == counts).all(1).nonzero()[:, 0]
            start, size = starts[regions], bins[regions]
            x, x_weights = axis_sums(start[:, 0], size[:, 0], self.width, along_x, map_width)
            y, y_weights = axis_sums(start[:, 1], size[:, 1], self.height, along_y, map_height)
            first = rois[regions, 0].long()[:, None, None, None, None] * map_height
            pixels = (first + y[:, :, None, :, None]) * map_width + x[:, None, :, None, :]
            weights = y_weights[:, :, None, :, None] * x_weights[:, None, :, None, :]
            yield regions, pixels.flatten(3).flatten(0, 2), weights.flatten(3).flatten(0, 2)


def axis_sums(
    start: Tensor, size: Tensor, bins: int, samples: int, length: int
) -> tuple[Tensor, Tensor]:
    """The mean of the samples of each bin along one axis, as a weighted sum of pixels.

    Args:
        start: Where each region begins, (m,).
        size: The size of its bins, (m,).
        bins: Their number.
        samples: Samples of a bin.
        length: Pixels of the map along this axis.

    Returns:
        Pixels and weights, (m, bins, 2 * samples).
    """
    start, size = start[:, None, None], size[:, None, None]
    steps = torch.arange(bins, device=start.device)[:, None] * size
    places = start + steps + (torch.arange(samples, device=start.device) + 0.5) * size / samples
    inside = (places >= -1) & (places <= length)
    places = places.clamp(0, length - 1)
    low = places.floor()
    share = places - low
    pixels = torch.stack([low, (low + 1).clamp(max=length - 1)], -1).long()
    weights = torch.stack([1 - share, share], -1) * (inside.to(size.dtype) / samples)[..., None]
    return pixels.flatten(2), weights.flatten(2)


def check_mode(pool_mode: int) -> None:
    if pool_mode != 1:
        raise missing("RoIAlign with pool_mode='max'")


def upcast(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.dtype == torch.float64 else tensor.float()
