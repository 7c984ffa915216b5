"""The adaptive cross-Hadamard (ACH) module, section 3 of the paper."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache

import torch
from mmcv.cnn import ConvModule, build_norm_layer
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmhadaptive.ops import cross_hadamard
from mmhadaptive.ops.arguments import MAX_SELECTED, MIN_SELECTED, num_products
from mmhadaptive.ops.slices import sliced_channels, sliced_products

from .channel_scores import ECAScores, StaticScores
from .dynamic_norm import DynamicNorm
from .gumbel_top_k import gumbel_top_k, top_k
from .temperature import TAU_MAX, AdaptiveTemperature

SELECTIONS = ("eca", "static", "fixed")


def selected_for_width(in_channels: int, width: int, within: bool = False) -> int:
    """The ``k`` whose expansion ``in_channels + k(k-1)/2`` is as wide as ``width``.

    Args:
        in_channels: Number of input channels.
        width: The width to come to.
        within: Whether it is a bound. If no ``k`` meets it exactly, the result is the smallest that
            exceeds it, or, within it, the largest that does not.

    Raises:
        ValueError: Every ``k``, which is at least 2 and at most ``in_channels`` or the operator's
            limit, stays below the width, or, within it, exceeds it.
    """
    largest = min(in_channels, MAX_SELECTED)
    widths = {k: in_channels + num_products(k) for k in range(MIN_SELECTED, largest + 1)}
    chosen = next((k for k, reached in widths.items() if reached >= width), None)
    if within and chosen and widths[chosen] > width:
        chosen -= 1
    if chosen not in widths:
        raise ValueError(
            f"{in_channels} channels cannot be expanded to {width}: with num_selected="
            f"{MIN_SELECTED} to {largest} they become {', '.join(map(str, widths.values()))}"
        )
    return chosen


@cache
def _say_that_tau_stays() -> None:
    """Log it, once a process."""
    print_log(
        "cross-Hadamard layers are trained whose temperature nothing adapts, so it stays as it is: "
        "give the config's default_hooks adapt_temperature=dict(type='AdaptTemperatureHook'), call "
        "mmhadaptive.layers.adapt_temperature(model, optimizer) in a loop of your own, or set "
        "tau_rate=0",
        logger="current",
        level=logging.WARNING,
    )


@MODELS.register_module()
class AdaptiveCrossHadamard(BaseModule):
    """Expand a feature map by products of adaptively chosen channels.

    With ``X`` the input after a 1x1 convolution and batch normalisation, ``k`` channels are
    chosen for each sample by their scores, ``Z_s = gate_s * X[index_s]``, and the output is ``X``
    followed by ``norm(Z_i * Z_j)`` for all ``i < j``, at position ``i(2k-i-1)/2 + (j-i-1)``. A
    product channel thus means "rank i times rank j". The mapping matrix of eqs. 8-10 reduces to
    this gather, since its forward value is one-hot.

    In training the choice is a Gumbel top-k at temperature ``tau`` with a straight-through
    gradient; let :func:`~mmhadaptive.layers.adapt_temperature` or the hook
    ``AdaptTemperatureHook`` adapt ``tau``. In inference it is the plain top-k.

    Args:
        in_channels: Number ``C`` of input channels.
        num_selected: Number ``k`` of chosen channels, 2 to ``C``.
        pointwise: Whether the 1x1 convolution and its normalisation precede the choice.
        selection: Where the scores come from: ``'eca'`` (from the input), ``'static'`` (learned,
            independent of the input), or ``'fixed'`` (no choice: the first ``k`` channels, or
            those of :meth:`fix_channels`).
        eca_kernel_size: Width of the ECA convolution over channels.
        tau: Initial temperature, 0.01 to 4.
        tau_rate: Relative step of the temperature; 0 for a constant one.
        norm_cfg: Normalisation after the 1x1 convolution.
        product_norm_cfg: Normalisation of the products for mmcv's ``build_norm_layer``: a
            :class:`DynamicNorm` (``DySoft``, ``DySig``, ``DyAlge``) or another layer (``BN``), by
            name or as the class itself; or None.
        init_cfg: Initialization of the weights.

    Shapes:
        ``(N, C, H, W)`` to ``(N, out_channels, H, W)`` with ``out_channels = C + k(k-1)/2``.

    Raises:
        ValueError: An argument is out of its range; the message names it.
    """

    def __init__(
        self,
        in_channels: int,
        num_selected: int,
        pointwise: bool = True,
        selection: str = "eca",
        eca_kernel_size: int = 5,
        tau: float = TAU_MAX,
        tau_rate: float = 0.01,
        norm_cfg: dict | None = dict(type="BN"),
        product_norm_cfg: dict | None = dict(type="DySoft"),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not 2 <= num_selected <= in_channels:
            raise ValueError(
                f"num_selected must be between 2 and in_channels={in_channels}, got {num_selected}"
            )
        if selection not in SELECTIONS:
            raise ValueError(f"selection must be one of {SELECTIONS}, got {selection!r}")
        self.in_channels = in_channels
        self.num_selected = num_selected
        self.out_channels = in_channels + num_products(num_selected)
        self.pointwise = (
            ConvModule(in_channels, in_channels, 1, norm_cfg=norm_cfg, act_cfg=None)
            if pointwise
            else nn.Identity()
        )
        if selection != "fixed":
            self.scores = (
                ECAScores(eca_kernel_size) if selection == "eca" else StaticScores(in_channels)
            )
            self.temperature = AdaptiveTemperature(tau, tau_rate)
        self.selection = selection
        self.register_buffer("channels", None)
        self.fixed_channels = list(range(num_selected)) if selection == "fixed" else None
        self.product_norm = (
            build_norm_layer(product_norm_cfg, num_products(num_selected))[1]
            if product_norm_cfg
            else None
        )

    def select(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Choose channels of ``x`` (N, C, H, W): ``index`` and ``gate``, both (N, k), by rank."""
        if self.selection == "fixed":
            index = self.channels
            if index is None:
                index = torch.arange(self.num_selected, device=x.device)
            index = index.expand(x.shape[0], -1)
            return index, x.new_ones(index.shape)
        scores = self.scores(x)
        if self.training:
            self._check_temperature()
            return gumbel_top_k(scores, self.num_selected, self.temperature.tau)
        return top_k(scores, self.num_selected)

    def _check_temperature(self) -> None:
        # A graph under capture has no place for a log.
        if torch.compiler.is_compiling() or self.temperature.adapted:
            return
        if self.temperature.rate and torch.is_grad_enabled():
            _say_that_tau_stays()

    def fix_channels(self, channels: Sequence[int] | None = None) -> None:
        """Choose the same channels for every sample from now on, and drop the scores.

        The selection is ``'fixed'`` then. Other channels than the first are part of the state dict,
        which a layer with ``selection='fixed'`` loads.

        Args:
            channels: The chosen channels by rank; None for the first ``k``.

        Raises:
            ValueError: These are not ``k`` different channels.
        """
        if channels is not None:
            channels = [int(channel) for channel in channels]
            if len(set(channels)) != len(channels) or len(channels) != self.num_selected:
                raise ValueError(f"needs {self.num_selected} different channels, got {channels}")
            if not all(0 <= channel < self.in_channels for channel in channels):
                raise ValueError(f"channels must be in 0..{self.in_channels - 1}, got {channels}")
        device = next((t.device for t in self.state_dict().values()), None)
        if self.selection != "fixed":
            del self.scores, self.temperature
            self.selection = "fixed"
        self._fix(channels, device)

    def _fix(self, channels: list[int] | None, device: torch.device | None) -> None:
        # Exporters need the numbers, which a tensor under export does not tell.
        self.fixed_channels = channels or list(range(self.num_selected))
        self.channels = None if channels is None else torch.tensor(channels, device=device)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args, **kwargs) -> None:
        channels = state_dict.get(f"{prefix}channels")
        if self.selection == "fixed" and channels is not None:
            self.fix_channels(channels.tolist())
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _by_slices(self, x: Tensor) -> Tensor:
        products = sliced_products(sliced_channels(x, self.fixed_channels))
        norm = self.product_norm
        return torch.cat([x, products if norm is None else norm(products)], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pointwise(x)
        if self.selection == "fixed" and torch.onnx.is_in_onnx_export():
            return self._by_slices(x)
        index, gate = self.select(x)
        norm = self.product_norm
        if isinstance(norm, DynamicNorm):
            return cross_hadamard(
                x, index, gate, norm.alpha, norm.weight, norm.bias, norm=norm.function
            )
        y = cross_hadamard(x, index, gate, None, None, None, norm="none")
        if norm is None:
            return y
        x, products = y.split([self.in_channels, self.out_channels - self.in_channels], dim=1)
        return torch.cat([x, norm(products)], dim=1)

    def extra_repr(self) -> str:
        return (
            f"in_channels={self.in_channels}, num_selected={self.num_selected}, "
            f"out_channels={self.out_channels}, selection={self.selection!r}"
        )
