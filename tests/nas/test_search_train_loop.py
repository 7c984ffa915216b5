"""The training of a search: what it finds, its halves, and its resumption."""

import json

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS
from torch import nn

import mmhadaptive.nas.search_train_loop as module
from mmhadaptive.io.checkpoint import load_checkpoint_file
from mmhadaptive.nas import Choice, choices, temperature
from mmhadaptive.nas.candidate_costs import CostPenalty
from mmhadaptive.nas.halves import halves
from mmhadaptive.nas.search_train_loop import search_step

from .toys import search, search_config, write_images
from .two_ranks import search_as_rank


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("colours"))


@HOOKS.register_module()
class SearchSpy(Hook):
    """Keep what every iteration drew, saw and lost."""

    seen: list

    def before_train(self, runner):
        SearchSpy.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.batch = data_batch

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        wrappers = runner.optim_wrapper
        module = getattr(runner.model, "module", runner.model)
        SearchSpy.seen.append(
            dict(
                iteration=runner.iter,
                losses=[outputs["loss"].item(), outputs["alphas_loss"].item()],
                drawn=[choice.index for choice in choices(module)],
                alphas=torch.cat([choice.alpha.detach() for choice in choices(module)]).tolist(),
                rates=[wrappers[name].get_lr()["lr"] for name in ("weights", "alphas")],
                tau=runner.message_hub.get_scalar("train/search_tau").current(),
            )
        )


def config(*args, **kwargs):
    cfg = search_config(*args, **kwargs)
    cfg.custom_hooks = [dict(type="SearchSpy")]
    # What a loop test does not look at.
    del cfg.default_hooks.search_result
    return cfg


def run(*args, **kwargs):
    search(config(*args, **kwargs))
    return SearchSpy.seen


class Line(nn.Module):
    """A candidate that can be any linear map; damaged, it adds noise."""

    def __init__(self, damaged=False):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.damaged = damaged

    def forward(self, x):
        y = self.linear(x)
        return y + 2 * torch.randn_like(y) if self.damaged else y


class ToyModel(BaseModel):
    """Regression by two linear maps, each a choice with one candidate without noise."""

    def __init__(self):
        super().__init__()
        self.first = Choice(dict(damaged=Line(True), whole=Line(), worse=Line(True)))
        self.second = Choice(dict(whole=Line(), damaged=Line(True)))

    def forward(self, x, y, mode="loss"):
        return dict(loss=(self.second(self.first(x)) - y).square().mean())


def optimizers(model, lr=0.05):
    one = dict(optimizer=dict(type="AdamW", lr=lr), clip_grad=dict(max_norm=1.0))
    cfg = dict(constructor="SearchOptimWrapperConstructor", weights=dict(one), alphas=dict(one))
    return build_optim_wrapper(model, cfg)


def train_toy(seed, penalty=None, steps=150):
    torch.manual_seed(seed)
    model = ToyModel().train()
    wrappers = optimizers(model)
    weights = [p for group in wrappers["weights"].param_groups for p in group["params"]]
    target = torch.randn(4, 4)
    costs = [dict(damaged=1, whole=20, worse=1), dict(whole=20, damaged=1)]
    cost = CostPenalty(choices(model), costs, penalty) if penalty else None
    for step in range(steps):
        batches = []
        for _ in range(2):
            x = torch.randn(16, 4)
            batches.append(dict(x=x, y=x @ target))
        tau = temperature(step, steps, "cosine", 4.0, 0.1)
        search_step(model, wrappers, batches, tau, weights, cost)
    return model


@pytest.mark.parametrize("seed", range(4))
def test_a_plainly_better_candidate_is_found(seed):
    model = train_toy(seed)
    first, second = (dict(zip(c.names, c.confidence.tolist(), strict=True)) for c in choices(model))
    assert first["whole"] > 0.8
    assert second["whole"] > 0.8


def test_a_large_penalty_outweighs_it():
    model = train_toy(0, penalty=1e4)
    assert model.first.confidence[1] < 0.1
    assert model.second.confidence[0] < 0.1


def test_the_penalty_is_the_expected_cost():
    torch.manual_seed(0)
    model = ToyModel()
    first, second = torch.tensor([0.1, 0.7, 0.2]), torch.tensor([0.4, 0.6])
    model.first.alpha.data, model.second.alpha.data = first.log(), second.log()
    costs = [dict(damaged=1, whole=20, worse=4), dict(whole=10, damaged=0)]
    penalty = CostPenalty(choices(model), costs, 0.5)
    expected = 0.5 * (0.1 * 1 + 0.7 * 20 + 0.2 * 4 + 0.4 * 10) / 30
    assert penalty().item() == pytest.approx(expected)
    with pytest.raises(ValueError, match="cost something"):
        CostPenalty([model.second], [dict(whole=0, damaged=0)], 1)


def test_one_step_changes_either_weights_or_logits():
    torch.manual_seed(0)
    model = ToyModel().train()
    wrappers = optimizers(model)
    states = []

    def state():
        return {key: value.detach().clone() for key, value in model.named_parameters()}

    for wrapper in wrappers.values():
        wrapper.optimizer.register_step_pre_hook(lambda *args: states.append(state()))
        wrapper.optimizer.register_step_post_hook(lambda *args: states.append(state()))
    weights = [p for group in wrappers["weights"].param_groups for p in group["params"]]
    batch = dict(x=torch.randn(3, 4), y=torch.randn(3, 4))
    search_step(model, wrappers, (batch, batch), 1.0, weights)
    before, between, again, after = states

    def changed(a, b):
        return {key.rpartition(".")[2] for key in a if not torch.equal(a[key], b[key])}

    assert changed(before, between) == {"weight", "bias"}
    assert not changed(between, again)
    assert changed(again, after) == {"alpha"}
    assert all(each.requires_grad for each in model.parameters())


@pytest.mark.parametrize("length", [2, 9, 50000])
def test_halves_are_disjoint_and_whole(length):
    first, second = halves(length, 0)
    assert sorted([*first, *second]) == list(range(length))
    assert len(first) - len(second) in (0, 1)
    if length > 2:
        assert halves(length, 1)[0] != first
    assert halves(length, 0)[0] == first


def test_weights_and_logits_see_disjoint_images_and_nothing_else(folder, tmp_path, monkeypatch):
    seen = [], []

    def spy(model, wrappers, batches, *args):
        for images, batch in zip(seen, batches, strict=True):
            images += [image.numpy().tobytes() for image in batch["images"]]
        return search_step(model, wrappers, batches, *args)

    monkeypatch.setattr(module, "search_step", spy)
    run(folder, tmp_path, epochs=3)
    with np.load(folder / "train.npz") as file:
        images = [image.transpose(2, 0, 1).tobytes() for image in file["images"]]
    assert len(images) == len(set(images))
    numbers = [{images.index(image) for image in each} for each in seen]
    assert not numbers[0] & numbers[1]
    assert len(numbers[0] | numbers[1]) >= 42
    # Five batches of four in each epoch, none twice.
    for each in seen:
        epochs = [each[20 * epoch : 20 * (epoch + 1)] for epoch in range(3)]
        assert all(len(set(epoch)) == 20 for epoch in epochs)
        assert epochs[0] != epochs[1]


def test_temperatures_and_rates_are_those_of_the_epoch(folder, tmp_path):
    seen = run(folder, tmp_path, epochs=4)
    expected = [temperature(epoch, 4) for epoch in range(4) for _ in range(5)]
    assert [entry["tau"] for entry in seen] == pytest.approx(expected)
    cosine = [0.5 * 3e-3 * (1 + np.cos(np.pi * step / 20)) for step in range(20)]
    assert [entry["rates"][0][0] for entry in seen] == pytest.approx(cosine, abs=1e-9)
    assert {entry["rates"][1][0] for entry in seen} == {3e-4}


def stopping_after(iterations):
    hook = dict(type="TimedCheckpointHook", stop_seconds=0, interval=iterations)
    return {"default_hooks.timed_checkpoint": hook}


def test_a_search_in_pieces_equals_an_uninterrupted_one(folder, tmp_path):
    whole = run(folder, tmp_path / "whole")
    assert [entry["iteration"] for entry in whole] == list(range(10))
    pieces = []
    for piece in range(3):
        options = stopping_after(4)
        pieces += run(folder, tmp_path / "pieces", resume=piece > 0, **options)
        if piece < 2:
            assert (tmp_path / "pieces/last_checkpoint").read_text().endswith("latest.pth")
    # The same draws, losses and logits to the last bit.
    assert pieces == whole
    a, b = (load_checkpoint_file(tmp_path / name / "epoch_2.pth") for name in ("whole", "pieces"))
    for key, value in a["state_dict"].items():
        assert torch.equal(value, b["state_dict"][key]), key
    assert a["param_schedulers"] == b["param_schedulers"]
    for name in ("weights", "alphas"):
        states = [each["optimizer"][name]["state"] for each in (a, b)]
        assert states[0].keys() == states[1].keys()
        for key, state in states[0].items():
            for part, value in state.items():
                assert torch.equal(value, states[1][key][part])


def test_logits_with_a_data_set_of_their_own(folder, tmp_path):
    """A smaller one, which begins again within an epoch; it resumes there as well."""
    loader = search_config(folder, tmp_path).train_dataloader.to_dict()
    loader["dataset"]["dataset"]["split"] = "test"
    options = {"train_cfg.alphas_dataloader": loader}
    whole = run(folder, tmp_path / "whole", epochs=1, **options)
    # The weights have all 44 images, the logits 10 of them: 2 batches.
    assert len(whole) == 11
    first = run(folder, tmp_path / "pieces", epochs=1, **options, **stopping_after(5))
    assert first + run(folder, tmp_path / "pieces", epochs=1, resume=True, **options) == whole


def test_macs_enter_the_objective(folder, tmp_path):
    plain = run(folder, tmp_path / "plain", epochs=1)
    penalized = run(folder, tmp_path / "macs", epochs=1, **{"train_cfg.penalty": dict(weight=1e6)})
    assert plain[0]["losses"][0] == penalized[0]["losses"][0]
    # The blank candidate costs nothing, so its logit alone rises.
    change = np.sign(np.subtract(penalized[-1]["alphas"], penalized[0]["alphas"]))[2:]
    assert change.tolist() == [-1, -1, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_cfg.tau": dict(schedule="step")}, "one of .* got 'step'"),
        ({"train_cfg.penalty": dict(weight=1, cost="joules")}, "one of .* got 'joules'"),
        ({"train_cfg.penalty": dict(weight=1, cost="milliseconds")}, "needs a table"),
        ({"train_dataloader.batch_size": 23}, "smaller than a batch"),
        ({"optim_wrapper.other": dict()}, r"has weights and alphas, got \[.*'other'\]"),
        ({"optim_wrapper": dict(optimizer=dict(type="SGD", lr=1))}, "SearchOptimWrapperCons"),
    ],
)
def test_bad_options(folder, tmp_path, options, message):
    cfg = config(folder, tmp_path)
    cfg.param_scheduler = None
    for key, value in options.items():
        if key == "optim_wrapper":
            cfg.optim_wrapper = value
        else:
            cfg.merge_from_dict({key: value})
    with pytest.raises(ValueError, match=message):
        search(cfg)


def test_two_processes_choose_alike(tmp_path):
    mp.spawn(search_as_rank, (tmp_path,), nprocs=2)
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2))
    for a, b in zip(first, second, strict=True):
        assert a["drawn"] == b["drawn"]
        assert a["parameters"] == b["parameters"]
        # They saw other batches.
        assert a["loss"] != b["loss"]
    assert len({tuple(entry["drawn"]) for entry in first}) > 2
