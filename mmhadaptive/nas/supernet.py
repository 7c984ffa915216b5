"""The backbone whose rows are still to be chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmengine.registry import MODELS
from torch import nn

from mmhadaptive.io.user_errors import UserValueError
from mmhadaptive.models import HadaptiveNet, build_block

from .choice import Choice
from .search_space import BLANK, candidates_of, layers_of


@MODELS.register_module()
class HadaptiveSupernet(HadaptiveNet):
    """Hadaptive-Net with several candidates in some rows; :class:`SearchTrainLoop` trains it.

    Args:
        arch: A search space, see :mod:`mmhadaptive.nas.search_space`.
        in_channels: Number of channels of the image.
        **kwargs: The other arguments of :class:`~mmhadaptive.models.HadaptiveNet`.

    Attributes:
        layers: The rows, as :class:`~mmhadaptive.nas.search_space.Layer`.

    Raises:
        ValueError: A row does not fit, or none has a choice.
    """

    def __init__(
        self, arch: Sequence[Sequence[Sequence | Mapping]], in_channels: int = 3, **kwargs
    ) -> None:
        if isinstance(arch, str):
            raise UserValueError(f"the search space {arch!r} has no choice: arch is to be a table")
        self.arch = arch
        self.layers = list(layers_of(arch, in_channels))
        if not any(layer.candidates for layer in self.layers):
            raise UserValueError("no row of arch has a choice: a row is to be a list of candidates")
        self._places = iter([layer.place for layer in self.layers])
        super().__init__(arch=arch, in_channels=in_channels, **kwargs)

    def build_row(
        self, row: Sequence | Mapping, in_channels: int, **options
    ) -> tuple[nn.Module, int]:
        place = next(self._places)
        candidates = candidates_of(row)
        if candidates is None:
            return super().build_row(row, in_channels, **options)
        blocks = {}
        for name, each in candidates.items():
            try:
                blocks[name] = (
                    nn.Identity() if each[0] == BLANK else build_block(each, in_channels, **options)
                )
            except (TypeError, ValueError) as error:
                raise UserValueError(f"{place}, {name} {tuple(each)}: {error}") from error
        return Choice(blocks), next(iter(candidates.values()))[1]
