"""Fused blocks as the paper writes them, in float64, and blocks of random numbers for tests. The
literal forms share no code with the package."""

import torch
from literal import FUNCTIONS

from mmhadaptive.ops.fused_blocks import Bottleneck, CrossHadamard, PatchConvolution


def convolve(x, weight, bias, stride=1, padding=0):
    """Every channel by itself, every tap as a shifted map."""
    kernel = weight.shape[-1]
    padded = torch.nn.functional.pad(x, [padding] * 4)
    height, width = ((size - kernel) // stride + 1 for size in padded.shape[2:])
    y = bias[:, None, None].expand(len(x), -1, height, width).clone()
    for i in range(kernel):
        for j in range(kernel):
            rows = slice(i, i + (height - 1) * stride + 1, stride)
            columns = slice(j, j + (width - 1) * stride + 1, stride)
            y += weight[:, 0, i, j, None, None] * padded[:, :, rows, columns]
    return y


def activate(name, v):
    if name == "hardswish":
        return v * (v + 3).clamp(0, 6) / 6
    return v.clamp_min(0) if name == "relu" else v


def multiply(x, weight, bias):
    return torch.einsum("oi,nihw->nohw", weight, x) + bias[:, None, None]


def expand(x, index, alpha, weight, bias, norm):
    """x and the normalised products of its selected channels."""
    images = []
    for image, selected in zip(x, index.tolist(), strict=True):
        maps, p = list(image), 0
        for at, i in enumerate(selected):
            for j in selected[at + 1 :]:
                v = alpha * image[i] * image[j]
                v = v if norm == "none" else FUNCTIONS[norm](v)
                maps.append(weight[p] * v + bias[p])
                p += 1
        images.append(torch.stack(maps))
    return torch.stack(images)


def selected(x, expansion):
    if expansion.selection == "fixed":
        return torch.arange(expansion.selected).expand(len(x), -1)
    scores = expansion.scores.double()
    if expansion.selection == "static":
        scores = scores.expand(len(x), -1)
    else:
        half = len(scores) // 2
        means = torch.nn.functional.pad(x.mean((2, 3)), (half, half))
        scores = torch.stack(
            [(scores * means[:, c : c + len(scores)]).sum(1) for c in range(x.shape[1])], 1
        )
    return scores.argsort(dim=1, descending=True)[:, : expansion.selected]


def doubles(given):
    return None if given is None else [t.double() for t in given]


def literal_block(x, block):
    """One block in float64."""
    if isinstance(block, PatchConvolution):
        weight, bias = doubles(block.convolution)
        kernel = weight.shape[-1]
        height, width = x.shape[2] // kernel, x.shape[3] // kernel
        patches = x[:, :, : height * kernel, : width * kernel]
        patches = patches.reshape(len(x), -1, height, kernel, width, kernel)
        y = torch.einsum("oirc,nihrwc->nohw", weight, patches) + bias[:, None, None]
        return activate(block.activation, y)
    y = x
    if block.pointwise is not None:
        y = activate(block.pointwise_activation, multiply(y, *doubles(block.pointwise)))
    expansion = block.expansion
    if isinstance(expansion, CrossHadamard):
        affine = doubles(expansion.affine)
        alpha = expansion.alpha.double()
        y = expand(y, selected(y, expansion), alpha, *affine, expansion.norm)
    elif expansion is not None:
        y = torch.cat([y, convolve(y, *doubles(expansion), padding=1)], 1)
    y = convolve(y, *doubles(block.depthwise), block.stride, block.padding)
    y = multiply(activate(block.activation, y), *doubles(block.project))
    return x + y if block.residual else y


def literal_blocks(x, blocks):
    x = x.double()
    for block in blocks:
        x = literal_block(x, block)
    return x


class Random:
    """Blocks of random numbers, of about the size that a network's have."""

    def __init__(self, seed=0):
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape):
        return torch.randn(*shape, generator=self.generator)

    def affine(self, out_channels, *rest):
        fan_in = torch.Size(rest).numel()
        return self.normal(out_channels, *rest) / fan_in**0.5, 0.3 * self.normal(out_channels)

    def image(self, batch, channels, height, width, channels_last=False):
        x = self.normal(batch, channels, height, width)
        return x.contiguous(memory_format=torch.channels_last) if channels_last else x

    def convolution(self, channels, out_channels, kernel=1, activation=None, planar=False):
        return PatchConvolution(
            self.affine(out_channels, channels, kernel, kernel), activation, planar
        )

    def products(self, channels, selected, selection="eca", norm="softsign"):
        pairs = selected * (selected - 1) // 2
        scores = None
        if selection != "fixed":
            scores = self.normal(5 if selection == "eca" else channels)
        return CrossHadamard(
            selected,
            selection,
            scores,
            norm,
            self.normal(1).abs() + 0.2,
            (self.normal(pairs), self.normal(pairs)),
        )

    def bottleneck(
        self,
        kind,
        channels,
        out_channels=None,
        width=None,
        kernel=5,
        stride=1,
        activation="hardswish",
        pointwise=True,
        **products,
    ):
        """``width``: of the first part of the expansion."""
        out_channels = channels if out_channels is None else out_channels
        first = channels if width is None or not pointwise else width
        expansion, second = None, 0
        if kind == "ach":
            expansion = self.products(first, **products)
            second = len(expansion.affine[0])
        elif kind == "ghost":
            expansion, second = self.affine(first, 1, 3, 3), first
        residual = stride == 1 and kernel % 2 == 1 and channels == out_channels
        return Bottleneck(
            self.affine(first, channels) if pointwise else None,
            None if kind == "ach" or not pointwise else activation,
            expansion,
            self.affine(first + second, 1, kernel, kernel),
            stride,
            (kernel - 1) // 2,
            activation,
            self.affine(out_channels, first + second),
            residual,
        )
