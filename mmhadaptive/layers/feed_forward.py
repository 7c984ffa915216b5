"""Cross-Hadamard expansion of tokens, and the feed-forward network of a transformer with it."""

from __future__ import annotations

from mmcv.cnn import build_activation_layer, build_norm_layer
from mmcv.cnn.bricks.drop import build_dropout
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from .expansion import ach_expansion


@MODELS.register_module()
class ACHTokenExpansion(BaseModule):
    """Expand tokens by products of adaptively chosen channels: the first half of a feed-forward.

    A sample's tokens are the pixels of a map of ``T x 1`` in channels_last order, which the
    operator reads in place. The scores pool over all tokens of a sample, padding too. As in Fig. 2
    of the paper, a linear layer takes the place of the 1x1 convolution, and a batch normalisation
    over all tokens of all samples follows it.

    Args:
        in_channels: Number ``C`` of channels of a token.
        num_selected: Number ``k`` of chosen channels; None for the largest one whose expansion
            does not exceed ``hidden_channels``.
        hidden_channels: Width of the expansion that this one replaces.
        norm_cfg: Normalisation after the linear layer, of a map ``(N * T, C)``; or None.
        act_cfg: Activation of the output, or None.
        ach_cfg: Further arguments of :class:`AdaptiveCrossHadamard`.
        init_cfg: Initialization of the weights.

    Shapes:
        ``(N, T, C)`` to ``(N, T, out_channels)`` with ``out_channels = C + k(k-1)/2``.

    Raises:
        ValueError: The input has no three dimensions, or no expansion is as wide.
    """

    def __init__(
        self,
        in_channels: int,
        num_selected: int | None = None,
        hidden_channels: int | None = None,
        norm_cfg: dict | None = dict(type="BN1d"),
        act_cfg: dict | None = dict(type="GELU"),
        ach_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        cfg = ach_expansion(
            in_channels, num_selected, hidden_channels, within=True, **(ach_cfg or {})
        )
        self.pointwise = nn.Linear(in_channels, in_channels)
        self.norm = build_norm_layer(norm_cfg, in_channels)[1] if norm_cfg else nn.Identity()
        self.ach = MODELS.build(dict(cfg, in_channels=in_channels, pointwise=False))
        self.act = build_activation_layer(act_cfg) if act_cfg else nn.Identity()
        self.out_channels = self.ach.out_channels

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 3:
            raise ValueError(f"tokens must have the shape (N, T, C), got {tuple(x.shape)}")
        tokens = self.norm(self.pointwise(x).flatten(0, 1)).view_as(x)
        pixels = tokens.transpose(1, 2).unsqueeze(3)
        return self.act(self.ach(pixels).squeeze(3).transpose(1, 2))


@MODELS.register_module()
class ACHFeedForward(BaseModule):
    """``identity + project(expand(x))`` with a cross-Hadamard expansion; called like mmcv's FFN.

    Args:
        embed_dims: Number ``C`` of channels of a token.
        num_selected: Number ``k`` of chosen channels; see :class:`ACHTokenExpansion`.
        hidden_channels: Width of the feed-forward that this one replaces.
        norm_cfg: Normalisation before the choice of channels; see there.
        act_cfg: Activation between expansion and projection.
        ffn_drop: Probability of dropout after the activation and after the projection.
        dropout_layer: Config of the dropout of the whole branch, such as ``DropPath``.
        add_identity: Whether to add the input, or the ``identity`` of the call.
        ach_cfg: Further arguments of :class:`AdaptiveCrossHadamard`.
        init_cfg: Initialization of the weights.

    Shapes:
        ``(N, T, C)`` in and out.
    """

    def __init__(
        self,
        embed_dims: int,
        num_selected: int | None = None,
        hidden_channels: int | None = None,
        norm_cfg: dict | None = dict(type="BN1d"),
        act_cfg: dict | None = dict(type="GELU"),
        ffn_drop: float = 0.0,
        dropout_layer: dict | None = None,
        add_identity: bool = True,
        ach_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.expand = ACHTokenExpansion(
            embed_dims, num_selected, hidden_channels, norm_cfg, act_cfg, ach_cfg
        )
        self.drop = nn.Dropout(ffn_drop)
        self.project = nn.Linear(self.expand.out_channels, embed_dims)
        self.dropout_layer = build_dropout(dropout_layer) if dropout_layer else nn.Identity()
        self.add_identity = add_identity

    def forward(self, x: Tensor, identity: Tensor | None = None) -> Tensor:
        y = self.drop(self.project(self.drop(self.expand(x))))
        if not self.add_identity:
            return self.dropout_layer(y)
        return (x if identity is None else identity) + self.dropout_layer(y)
