"""What a training logs of the choice, and that it does not change the training."""

import json

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmhadaptive.analysis.selection_log import read_selection_log
from mmhadaptive.layers import selection_entropy

from .test_runner import toy_runner


@HOOKS.register_module()
class ScoresOfEveryStep(Hook):
    """Keep the scores of every iteration, by a hook of its own."""

    def before_train(self, runner):
        runner.kept = []
        runner.model.ach.scores.register_forward_hook(
            lambda module, inputs, output: runner.kept.append(output.detach().clone())
        )


def options(interval=3, **hook):
    logger = dict(type="LoggerHook", interval=interval)
    return dict(
        default_hooks=dict(logger=logger, checkpoint=dict(type="CheckpointHook", interval=1)),
        custom_hooks=[
            dict(type="AdaptTemperatureHook", **hook),
            dict(type="EpochSeedHook"),
            dict(type="ScoresOfEveryStep"),
        ],
    )


def test_entries_are_those_of_the_scores(tmp_path):
    runner = toy_runner(tmp_path, "selection logged", **options())
    model = runner.train()
    (scalars,) = tmp_path.glob("*/vis_data/scalars.json")
    taus = {e["step"]: e["tau"] for e in map(json.loads, scalars.read_text().splitlines())}
    layers = read_selection_log(tmp_path)
    assert list(layers) == ["ach"]
    # Also at the ends of epochs, as tau.
    assert [(e.step, e.epoch) for e in layers["ach"]] == [(3, 1), (4, 1), (7, 2), (8, 2)]
    for entry in layers["ach"]:
        expected = [value.item() for value in selection_entropy(runner.kept[entry.step - 1])]
        assert [entry.entropy, entry.information] == pytest.approx(expected, abs=1e-4)
        assert entry.channels == 8
        if entry.step in taus:
            assert entry.tau == taus[entry.step]
    assert {3, 7} <= taus.keys()
    # Only that of this test listens after the training.
    assert len(model.ach.scores._forward_hooks) == 1


def test_the_log_changes_nothing(tmp_path):
    states = []
    for name, hook in (("on", {}), ("off", dict(log_selection=False))):
        runner = toy_runner(tmp_path / name, f"log {name}", **options(1, **hook))
        states.append(runner.train().state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert list((tmp_path / "on").glob("*/vis_data/selection.jsonl"))
    assert not list((tmp_path / "off").glob("*/vis_data/selection.jsonl"))


def test_a_resumed_run_logs_what_an_uninterrupted_one_does(tmp_path):
    toy_runner(tmp_path / "whole", "whole log", **options()).train()
    toy_runner(tmp_path / "pieces", "first piece", max_epochs=1, **options()).train()
    toy_runner(tmp_path / "pieces", "second piece", resume=True, **options()).train()
    whole, pieces = (read_selection_log(tmp_path / name) for name in ("whole", "pieces"))
    assert len(whole["ach"]) == 4
    assert pieces == whole


def test_a_compiled_model_has_its_temperature_logged(tmp_path):
    compiled = dict(backend="eager")
    toy_runner(tmp_path, "compiled log", max_epochs=1, compile=compiled, **options()).train()
    entries = read_selection_log(tmp_path)["ach"]
    assert [(e.entropy, e.information) for e in entries] == [(None, None)] * 2
    assert all(e.tau > 0 for e in entries)
