"""What of a model is exported: a network from a tensor to named tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmhadaptive.io.user_errors import UserError

OUTPUTS = ("raw", "boxes", "nms")


def task_of(model: nn.Module) -> str:
    """``detector``, ``classifier`` or ``backbone``, by what the model has."""
    if getattr(model, "bbox_head", None) is not None or hasattr(model, "roi_head"):
        return "detector"
    if hasattr(model, "data_preprocessor") and getattr(model, "head", None) is not None:
        return "classifier"
    return "backbone"


class RawNetwork(nn.Module):
    """A model without data preprocessor and predictions.

    Args:
        model: mmdet's detector, mmpretrain's classifier, or a backbone.

    Shapes:
        ``(N, 3, H, W)``, normalised, to a list: of a classifier the logits; of a detector, level by
        level, the maps of scores, those of boxes, and what else the head gives; of a backbone its
        maps.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.task = task_of(model)
        self.whole = hasattr(model, "data_preprocessor")
        if hasattr(model, "roi_head"):
            raise UserError(
                f"{type(model).__name__} has two stages; only its backbone and single-stage "
                "detectors can be exported"
            )

    def forward(self, x: Tensor) -> list[Tensor]:
        return flat(self.model(x, mode="tensor") if self.whole else self.model(x))

    def names(self, outputs: Sequence[Tensor]) -> list[str]:
        """Names of the outputs."""
        if self.task == "classifier":
            return ["logits"]
        if self.task == "backbone":
            return [f"map_{i}" for i in range(len(outputs))]
        levels = len(self.model.bbox_head.prior_generator.strides)
        kinds = ["scores", "boxes", "factors"][: len(outputs) // levels]
        return [f"{kind}_{level}" for kind in kinds for level in range(levels)]


def flat(y) -> list[Tensor]:
    """The tensors of nested lists and tuples, in their order."""
    return [y] if isinstance(y, Tensor) else [t for part in y for t in flat(part)]


class DetectorBoxes(nn.Module):
    """A single-stage detector with its boxes decoded, as mmdet decodes them.

    The scores of what mmdet drops before it looks for overlaps are zero: all but the ``nms_pre``
    best of a level, and boxes that are not larger than ``min_bbox_size``.

    Args:
        model: mmdet's detector, whose head has no factors of scores (such as a centerness) and
            one of the coders ``DeltaXYWHBBoxCoder`` and ``DistancePointBBoxCoder``.
        size: Height and width of the input, to which boxes are clipped.

    Shapes:
        ``(N, 3, H, W)`` to ``boxes`` (N, P, 4), x1, y1, x2, y2 in pixels of the input, and
        ``scores`` (N, P, classes).

    Raises:
        UserError: The head is another one.
    """

    def __init__(self, model: nn.Module, size: Sequence[int]) -> None:
        super().__init__()
        self.network = RawNetwork(model)
        head = model.bbox_head
        self.levels = len(head.prior_generator.strides)
        with torch.no_grad():
            maps = self.network(torch.zeros(1, 3, *size))
        if len(maps) != 2 * self.levels:
            raise UserError(f"{type(head).__name__} gives more than scores and boxes: use raw")
        self.coder = head.bbox_coder
        if type(self.coder).__name__ not in ("DeltaXYWHBBoxCoder", "DistancePointBBoxCoder"):
            raise UserError(f"boxes of a {type(self.coder).__name__} can't be decoded: use raw")
        priors = head.prior_generator.grid_priors(
            [m.shape[-2:] for m in maps[: self.levels]], device=torch.device("cpu")
        )
        self.register_buffer("priors", torch.cat([torch.as_tensor(p) for p in priors]))
        self.classes, self.use_sigmoid = head.cls_out_channels, head.use_sigmoid_cls
        self.size = tuple(size)
        self.nms_pre = model.test_cfg.get("nms_pre", -1)
        self.min_size = model.test_cfg.get("min_bbox_size", -1)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = self.network(x)
        scores = torch.cat([self._scores(m) for m in maps[: self.levels]], 1)
        boxes = torch.cat([_by_prior(m, 4) for m in maps[self.levels :]], 1)
        boxes = self._decode(boxes)
        if self.min_size >= 0:
            sides = boxes[..., 2:] - boxes[..., :2]
            large = sides.amin(-1, keepdim=True) > self.min_size
            scores = torch.where(large, scores, 0.0)
        return [boxes, scores]

    def names(self, outputs: Sequence[Tensor]) -> list[str]:
        return ["boxes", "scores"]

    def _scores(self, m: Tensor) -> Tensor:
        scores = _by_prior(m, self.classes)
        scores = scores.sigmoid() if self.use_sigmoid else scores.softmax(-1)[..., :-1]
        if 0 < self.nms_pre < scores.shape[1] * scores.shape[2]:
            least = scores.flatten(1).topk(self.nms_pre).values[:, -1:]
            scores = torch.where(scores >= least.unsqueeze(2), scores, 0.0)
        return scores

    def _decode(self, y: Tensor) -> Tensor:
        coder, priors = self.coder, self.priors
        if type(coder).__name__ == "DistancePointBBoxCoder":
            corners = [priors - y[..., :2], priors + y[..., 2:]]
        else:
            y = y * y.new_tensor(coder.stds) + y.new_tensor(coder.means)
            sides = priors[:, 2:] - priors[:, :2]
            shift, bound = sides * y[..., :2], 4.135166556742356  # |log(16 / 1000)|
            if coder.add_ctr_clamp:
                shift = shift.clamp(-coder.ctr_clamp, coder.ctr_clamp)
                scale = y[..., 2:].clamp(max=bound)
            else:
                scale = y[..., 2:].clamp(-bound, bound)
            centre, half = (priors[:, :2] + priors[:, 2:]) * 0.5 + shift, sides * scale.exp() * 0.5
            corners = [centre - half, centre + half]
        boxes = torch.cat(corners, -1)
        if coder.clip_border is False:
            return boxes
        height, width = self.size
        limit = boxes.new_tensor([width, height, width, height])
        return torch.minimum(boxes.clamp(min=0), limit)


def _by_prior(m: Tensor, entries: int) -> Tensor:
    """A map (N, priors * entries, H, W) as (N, H * W * priors, entries)."""
    priors = m.shape[1] * m.shape[2] * m.shape[3] // entries
    return m.permute(0, 2, 3, 1).reshape(-1, priors, entries)
