"""What a search has found, after every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmhadaptive.analysis.confidence import (
    ConfidenceRow,
    confidence_csv,
    confidence_table,
    history_csv,
)
from mmhadaptive.engine.unwrap import unwrap
from mmhadaptive.io.whole import write_file
from mmhadaptive.visualization import draw_confidence, draw_entropy, to_png

from .candidate_costs import supernet_of
from .choice import choices
from .search_space import derive
from .searched_config import base_config, searched_complexity, searched_config
from .supernet import HadaptiveSupernet

HISTORY = "search_history"


@HOOKS.register_module()
class SearchResultHook(Hook):
    """Write the candidates' probabilities and the architecture into the work dir.

    =============================  ===========================================================
    ``confidence.md``, ``.csv``    the table, in the layout of the paper
    ``confidence_history.csv``     the probabilities of all epochs
    ``confidence.png``             the same as a picture, a panel a row
    ``entropy.png``                the entropies of the rows over the epochs
    ``searched.py``                the config of the likeliest architecture, with its size
    =============================  ===========================================================

    Args:
        train_config: The config that trains what is found, apart from its architecture: a path, or
            a name of a package as ``'mmhadaptive::classification/cifar100/...'``.
        size: Height and width for which MACs are counted; by default those of ``train_config``.

    Raises:
        ValueError: ``train_config`` has another backbone.
    """

    def __init__(self, train_config: str, size: Sequence[int] | None = None) -> None:
        self.train_config = train_config
        self.size = size
        self.arch: list | None = None
        self.counts: dict = {}

    def before_train(self, runner) -> None:
        base_config(self.train_config)
        supernet_of(unwrap(runner.model))

    def after_train_epoch(self, runner) -> None:
        supernet = supernet_of(unwrap(runner.model))
        history = [*runner.message_hub.runtime_info.get(HISTORY, []), confidences(supernet)]
        # Checkpoints hold it, so a resumed run has all epochs.
        runner.message_hub.update_info(HISTORY, history)
        if not is_main_process():
            return
        folder = Path(runner.work_dir)
        rows = confidence_rows(supernet, history[-1])
        write_file(folder / "confidence.md", confidence_table(rows))
        write_file(folder / "confidence.csv", confidence_csv(rows))
        searched = [row for row in rows if row.confidence]
        places = [row.place for row in searched]
        write_file(folder / "confidence_history.csv", history_csv(places, history))
        titles = [f"{row.place}, {row.channels} channels" for row in searched]
        write_file(folder / "confidence.png", to_png(draw_confidence(titles, history)))
        write_file(folder / "entropy.png", to_png(draw_entropy(titles, history)))
        self.write_config(runner, supernet, history[-1])

    def write_config(
        self, runner, supernet: HadaptiveSupernet, confidence: Sequence[dict[str, float]]
    ) -> None:
        """Write ``searched.py``."""
        arch = derive(supernet.arch, [max(each, key=each.__getitem__) for each in confidence])
        if arch != self.arch:
            self.arch = arch
            self.counts = searched_complexity(self.train_config, arch, self.size)
        name = Path(runner.cfg.filename or "a config").name
        origin = f"Found by {name} after {runner.epoch + 1} of {runner.max_epochs} epochs."
        text = searched_config(self.train_config, arch, self.counts, origin)
        write_file(Path(runner.work_dir) / "searched.py", text)


def confidences(supernet: HadaptiveSupernet) -> list[dict[str, float]]:
    """The probabilities of the candidates by their names, a dict a choice."""
    return [
        dict(zip(choice.names, choice.confidence.tolist(), strict=True))
        for choice in choices(supernet)
    ]


def confidence_rows(
    supernet: HadaptiveSupernet, confidence: Sequence[dict[str, float]]
) -> list[ConfidenceRow]:
    """The rows of a supernet for a table, with the final convolution where there is one."""
    values = iter(confidence)
    rows = [
        ConfidenceRow(
            layer.place, layer.channels, layer.stride, next(values) if layer.candidates else None
        )
        for layer in supernet.layers
    ]
    if len(supernet.stages) > len(supernet.arch):
        rows.append(ConfidenceRow("final", supernet.out_channels[-1], 1, None))
    return rows
