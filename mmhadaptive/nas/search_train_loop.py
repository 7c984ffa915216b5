"""The training of a search: weights and logits of the candidates in turns."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import DATASETS, LOOPS
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from mmhadaptive.analysis.input_size import input_size
from mmhadaptive.engine import ResumableTrainLoop
from mmhadaptive.engine.sampler_seed import seed_sampler, seed_workers
from mmhadaptive.engine.unwrap import unwrap
from mmhadaptive.io.user_errors import UserValueError

from .candidate_costs import COSTS, CostPenalty, count_candidates, read_costs, supernet_of
from .choice import choices, draw_choices
from .halves import halves
from .optim_wrapper_constructor import NAMES
from .temperature_schedule import temperature


@LOOPS.register_module()
class SearchTrainLoop(ResumableTrainLoop):
    """GDAS: every iteration is a step of the weights, then one of the logits.

    The two see batches of disjoint halves of the training set, an epoch being one pass through the
    first. For each step a candidate of every choice is drawn at the temperature of the epoch
    (:func:`~mmhadaptive.nas.choice.draw_choices`). The step of the weights is that of the drawn
    network. That of the logits computes no gradients of weights.

    It resumes as :class:`~mmhadaptive.engine.ResumableTrainLoop`, in the middle of an epoch too.

    Args:
        runner: The run; its ``optim_wrapper`` is to be that of
            :class:`~mmhadaptive.nas.optim_wrapper_constructor.SearchOptimWrapperConstructor`.
        dataloader: Config of the loader of the training set.
        max_epochs: Number of epochs.
        tau: Arguments of :func:`~mmhadaptive.nas.temperature_schedule.temperature`: ``schedule``,
            ``start`` and ``end``.
        split_seed: Chooses the halves.
        alphas_dataloader: Config of a loader for the logits, where they have a data set of their
            own; the other one is then not split.
        penalty: ``dict(weight=0.1, cost='macs')`` adds the expected cost of the network to the loss
            of the logits, see :class:`~mmhadaptive.nas.candidate_costs.CostPenalty`.
            ``cost='milliseconds'`` needs the ``table`` of ``tools/analysis/measure_candidates.py``;
            MACs are counted for images of ``size`` (height, width), by default the config's.
        **kwargs: Those of mmengine's ``EpochBasedTrainLoop``.

    Raises:
        ValueError: An argument does not fit.
    """

    def __init__(
        self,
        runner,
        dataloader: dict,
        max_epochs: int,
        tau: dict | None = None,
        split_seed: int = 0,
        alphas_dataloader: dict | None = None,
        penalty: dict | None = None,
        **kwargs,
    ) -> None:
        first, second = dataloader, alphas_dataloader
        if alphas_dataloader is None:
            first, second = split_loader(dataloader, split_seed)
        super().__init__(runner, first, max_epochs, **kwargs)
        self.alphas_dataloader = runner.build_dataloader(second, seed=runner.seed)
        for name, loader in (("weights", self.dataloader), ("logits", self.alphas_dataloader)):
            if not len(loader):
                raise UserValueError(f"the half of the {name} is smaller than a batch")
        self.tau_options = dict(tau or {})
        # A wrong argument is to be found before the first epoch.
        temperature(0, max_epochs, **self.tau_options)
        self.penalty = penalty and self._build_penalty(**penalty)
        self._alphas_batches: Iterator | None = None

    def _build_penalty(
        self,
        weight: float,
        cost: str = "macs",
        table: str | None = None,
        size: Sequence[int] | None = None,
    ) -> CostPenalty:
        if cost not in COSTS:
            raise UserValueError(f"the cost of a penalty is one of {COSTS}, got {cost!r}")
        if cost != "macs" and table is None:
            raise UserValueError(f"a penalty on {cost} needs a table")
        supernet = supernet_of(self.runner.model)
        if table is not None:
            costs = read_costs(table, supernet, cost)
        else:
            costs = count_candidates(supernet, tuple(size or input_size(self.runner.cfg)))
        return CostPenalty(choices(supernet), costs, weight)

    @property
    def tau(self) -> float:
        """The temperature of the present epoch."""
        return temperature(self._epoch, self._max_epochs, **self.tau_options)

    def run(self) -> nn.Module:
        wrappers = self.runner.optim_wrapper
        if not isinstance(wrappers, OptimWrapperDict) or set(wrappers.keys()) != set(NAMES):
            raise UserValueError(
                "a search needs optim_wrapper.constructor='SearchOptimWrapperConstructor'"
            )
        seed_sampler(self.runner, self.alphas_dataloader)
        groups = wrappers["weights"].param_groups
        # Frozen ones stay so.
        self.weights = [p for group in groups for p in group["params"] if p.requires_grad]
        for wrapper in wrappers.values():
            wrapper.initialize_count_status(self.runner.model, self._iter, self._max_iters)
        return super().run()

    def run_iter(self, idx: int, data_batch) -> None:
        """Both steps of an iteration."""
        runner = self.runner
        alphas_batch = self.alphas_batch(idx)
        runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        outputs = search_step(
            runner.model,
            runner.optim_wrapper,
            (data_batch, alphas_batch),
            self.tau,
            self.weights,
            self.penalty,
        )
        runner.message_hub.update_scalar("train/search_tau", self.tau)
        runner.call_hook("after_train_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)
        self._iter += 1

    def alphas_batch(self, index: int):
        """The logits' batch of iteration ``index`` of the epoch; their loader may be shorter."""
        loader = self.alphas_dataloader
        rounds, start = divmod(index, len(loader))
        if self._alphas_batches is None or not start:
            self._begin_alphas(rounds, start)
        return next(self._alphas_batches)

    def _begin_alphas(self, rounds: int, start: int) -> None:
        loader = self.alphas_dataloader
        sampler = getattr(loader.batch_sampler, "sampler", loader.sampler)
        passes = self._epoch * -(-len(self.dataloader) // len(loader)) + rounds
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(passes)
        if start:
            sampler.start = start * loader.batch_size
        # Two more numbers than those of the other loader's workers.
        words = np.random.SeedSequence([self.runner.seed, get_rank(), passes, 1])
        seed_workers(loader, int(words.generate_state(1)[0]))
        # A loader draws a number to begin with; where it begins is no matter of the random state.
        with torch.random.fork_rng(devices=()):
            self._alphas_batches = iter(loader)

    def check_resumable(self) -> None:
        super().check_resumable()
        sampler, workers = self.alphas_dataloader.sampler, self.alphas_dataloader.num_workers
        if workers or not hasattr(sampler, "start"):
            raise UserValueError(
                f"a {type(sampler).__name__} with {workers} workers in alphas_dataloader cannot "
                "begin in the middle of an epoch; it takes a ResumableSampler and no workers"
            )


def split_loader(config: dict, seed: int) -> tuple[dict, dict]:
    """The configs of two loaders, each of one half of the data set of ``config``.

    Raises:
        ValueError: ``config`` is a loader already.
    """
    if isinstance(config, DataLoader):
        raise UserValueError("a search splits the data set of a loader's config, got a loader")
    dataset = config["dataset"]
    if isinstance(dataset, dict):
        dataset = DATASETS.build(dataset)
    if hasattr(dataset, "full_init"):
        dataset.full_init()
    loaders = []
    for indices in halves(len(dataset), seed):
        half = _Half(dataset, indices)
        rest = {key: copy.deepcopy(value) for key, value in config.items() if key != "dataset"}
        loaders.append(dict(rest, dataset=half))
    return loaders[0], loaders[1]


class _Half(Subset):
    """A part of a data set, which stays one in memory: mmengine copies the configs of loaders."""

    def __deepcopy__(self, memo: dict) -> _Half:
        return self

    @property
    def metainfo(self) -> dict | None:
        return getattr(self.dataset, "metainfo", None)


def search_step(
    model: nn.Module,
    optim_wrappers: OptimWrapperDict,
    batches: tuple,
    tau: float,
    weights: Sequence[nn.Parameter],
    penalty: Callable[[], Tensor] | None = None,
) -> dict[str, Tensor]:
    """A step of the weights and one of the logits.

    Args:
        model: mmengine's, with or without the wrapper of a distributed training.
        optim_wrappers: Those of the ``weights`` and the ``alphas``.
        batches: A batch for each of the two.
        tau: Temperature.
        weights: What is held fixed in the second step.
        penalty: What is added to the second loss.

    Returns:
        The log of the first step, and of the second the ``alphas_loss``.
    """
    network = unwrap(model)
    draw_choices(network, tau)
    logs = model.train_step(batches[0], optim_wrappers["weights"])
    draw_choices(network, tau, differentiable=True)
    alphas = optim_wrappers["alphas"]
    with _held_fixed(weights):
        others = model.train_step(batches[1], _Penalized(alphas, penalty) if penalty else alphas)
    return dict(logs, alphas_loss=others["loss"])


@contextmanager
def _held_fixed(weights: Sequence[nn.Parameter]) -> Iterator[None]:
    try:
        for weight in weights:
            weight.requires_grad_(False)
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


class _Penalized:
    """An optimizer wrapper, as a ``train_step`` takes it, that adds a penalty to the loss."""

    def __init__(self, wrapper: OptimWrapper, penalty: Callable[[], Tensor]) -> None:
        self.optim_context = wrapper.optim_context
        self.wrapper = wrapper
        self.penalty = penalty

    def update_params(self, loss: Tensor) -> None:
        self.wrapper.update_params(loss + self.penalty())
