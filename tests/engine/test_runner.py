"""Training with mmengine's Runner: temperature, mixed precision, averaging, several processes."""

import gc
import json
import os
import runpy
import signal
import time
from pathlib import Path

import mmdet
import mmpretrain
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import DATASETS, HOOKS, MODELS
from torch import nn

from mmhadaptive.engine.launch import build_runner, leave_process_group, train
from mmhadaptive.io.checkpoint import load_checkpoint_file
from mmhadaptive.layers import AdaptiveCrossHadamard

from ..apart import Apart, free_port, run_ranks
from ..paths import ROOT


@MODELS.register_module()
class Toy(BaseModel):
    """Regress the mean of an image through one ACH layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.ach = AdaptiveCrossHadamard(8, 4, tau=2.0)
        self.out = nn.Conv2d(14, 1, 1)

    def forward(self, inputs, target, mode):
        prediction = self.out(self.ach(self.stem(inputs))).mean((1, 2, 3))
        assert mode == "loss"
        self.dtype = prediction.dtype
        return dict(loss=(prediction.float() - target).square().mean())


@DATASETS.register_module()
class Images(torch.utils.data.Dataset):
    def __len__(self):
        return 16

    def __getitem__(self, i):
        image = torch.randn(3, 6, 6, generator=torch.Generator().manual_seed(i))
        return dict(inputs=image, target=image.mean())


def toy_config(work_dir, name, max_epochs=2, hooks=(), **options):
    cfg = dict(
        model=dict(type="Toy"),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=4,
            num_workers=0,
            persistent_workers=False,
            dataset=dict(type="Images"),
            sampler=dict(type="DefaultSampler", shuffle=True),
            collate_fn=dict(type="default_collate"),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
        optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.05)),
        custom_hooks=[dict(type="AdaptTemperatureHook"), dict(type="EpochSeedHook"), *hooks],
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=1)),
        randomness=dict(seed=3),
        experiment_name=name,
        log_level="ERROR",
        launcher="none",
    )
    cfg.update(options)
    return Config(cfg)


def toy_runner(work_dir, name, **options):
    return build_runner(toy_config(work_dir, name, **options))


class TwoOptimizers(Toy):
    """The layer and the rest have optimizers of their own."""

    def train_step(self, data, optim_wrapper):
        loss = self(**self.data_preprocessor(data), mode="loss")["loss"]
        loss.backward()
        for wrapper in optim_wrapper.values():
            wrapper.step()
        optim_wrapper.zero_grad()
        return dict(loss=loss)


def test_of_several_optimizers_each_moves_its_own_layers(tmp_path):
    model = toy_runner(tmp_path / "one", "one optimizer").train()
    runner = toy_runner(tmp_path / "two", "two optimizers", model=dict(type=TwoOptimizers))
    parts = dict(layer=runner.model.ach, stem=runner.model.stem, out=runner.model.out)
    runner.optim_wrapper = OptimWrapperDict(
        **{
            name: OptimWrapper(torch.optim.SGD(part.parameters(), lr=0.05))
            for name, part in parts.items()
        }
    )
    assert history(runner.train()) == history(model)
    assert history(model)[0] != 2.0


@pytest.mark.parametrize(("interval", "steps"), [(3, [3, 7]), (10, [4, 8])])
def test_mmdet_finds_tau_in_every_entry_of_the_log(tmp_path, interval, steps):
    logger = dict(type="LoggerHook", interval=interval)
    toy_runner(tmp_path, f"logged {interval}", default_hooks=dict(logger=logger)).train()
    (scalars,) = tmp_path.glob("*/vis_data/scalars.json")
    analyze_logs = Path(mmdet.__file__).parent / ".mim/tools/analysis_tools/analyze_logs.py"
    (epochs,) = runpy.run_path(str(analyze_logs))["load_json_logs"]([scalars])
    logged = [step for entries in epochs.values() for step in entries["step"]]
    assert logged == steps
    assert all(len(entries["tau"]) == len(entries["step"]) for entries in epochs.values())


@pytest.mark.parametrize(
    ("evaluator", "best"),
    [(None, "coco_bbox_mAP"), (dict(type="VOCMetric", metric="mAP"), "pascal_voc_mAP")],
)
def test_the_best_checkpoint_follows_the_metric_of_the_config(
    tmp_path, digits_config, evaluator, best
):
    cfg = Config.fromfile(digits_config)
    cfg.train_dataloader.dataset.indices = 8
    cfg.val_dataloader.dataset.indices = 4
    cfg.val_evaluator = evaluator or cfg.val_evaluator
    cfg.merge_from_dict(dict(work_dir=str(tmp_path), launcher="none", experiment_name=best))
    build_runner(cfg).train()
    assert [path.name for path in tmp_path.glob("best_*.pth")] == [f"best_{best}_epoch_1.pth"]


def test_mmpretrain_draws_the_schedule(tmp_path, run_here):
    script = Path(mmpretrain.__file__).parent / ".mim/tools/visualization/vis_scheduler.py"
    config = ROOT / "configs" / "classification" / "cifar100" / "hadaptive_s_cifar100_10pct_32px.py"
    picture = tmp_path / "schedule.png"
    options = ("--dataset-size", 128, "--save-path", picture, "--not-show")
    run_here(script, config, *options, "--cfg-options", f"work_dir={tmp_path}")
    assert picture.exists()


def history(model):
    return [model.ach.temperature.tau.item(), model.ach.temperature.last_norm.item()]


@pytest.mark.parametrize("wrapper", ["OptimWrapper", "BFloat16OptimWrapper"])
@pytest.mark.parametrize("accumulative_counts", [1, 2])
def test_temperature_moves(tmp_path, wrapper, accumulative_counts):
    runner = toy_runner(
        tmp_path,
        f"{wrapper}{accumulative_counts}",
        optim_wrapper=dict(
            type=wrapper,
            optimizer=dict(type="SGD", lr=0.05),
            accumulative_counts=accumulative_counts,
        ),
    )
    model = runner.train()
    tau, norm = history(model)
    assert norm > 0
    # One step of 1 % up or down for each optimizer step but the first.
    steps = 8 // accumulative_counts - 1
    reachable = [2.0 * 1.01**up * 0.99 ** (steps - up) for up in range(steps + 1)]
    assert min(abs(tau - value) for value in reachable) < 1e-5
    assert model.dtype == (torch.float32 if wrapper == "OptimWrapper" else torch.bfloat16)


def test_averaging_does_not_disturb_the_temperature(tmp_path):
    plain = toy_runner(tmp_path / "a", "plain").train()
    runner = toy_runner(tmp_path / "b", "averaged", hooks=[dict(type="EMAHook")])
    averaged = runner.train()
    assert history(averaged) == history(plain)
    resumed = toy_runner(
        tmp_path / "b",
        "averaged again",
        max_epochs=3,
        hooks=[dict(type="EMAHook")],
        resume=True,
    ).train()
    straight = toy_runner(
        tmp_path / "c", "straight", max_epochs=3, hooks=[dict(type="EMAHook")]
    ).train()
    assert history(resumed) == history(straight)
    for a, b in zip(resumed.state_dict().values(), straight.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_epochs_draw_different_numbers_that_the_seed_decides(tmp_path):
    draws = {}
    for name in ("first", "second"):
        runner = toy_runner(tmp_path / name, name, max_epochs=1)
        hook = next(h for h in runner.hooks if type(h).__name__ == "EpochSeedHook")
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        draws[name] = []
        for epoch in range(2):
            runner.train_loop._epoch = epoch
            hook.before_train_epoch(runner)
            draws[name].append(torch.rand(1).item())
    assert draws["first"] == draws["second"]
    assert draws["first"][0] != draws["first"][1]


@pytest.mark.parametrize("interval", [2, 100])
def test_a_training_that_diverged_ends_without_a_checkpoint(tmp_path, interval):
    runner = toy_runner(
        tmp_path,
        f"diverged {interval}",
        hooks=[dict(type="CheckLossHook", interval=interval)],
        optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=1e30)),
    )
    with pytest.raises(FloatingPointError, match=r"the loss is (inf|nan) at iteration [24]"):
        runner.train()
    assert not list(tmp_path.rglob("*.pth"))


@HOOKS.register_module()
class SpoilWeight(Hook):
    """What an infinite gradient of a finite loss leaves."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 5:
            runner.model.out.weight.data[0, 3] = float("nan")


def test_weights_that_are_not_finite_take_no_checkpoint(tmp_path):
    hooks = [dict(type="CheckLossHook", interval=100), dict(type="SpoilWeight")]
    each = dict(checkpoint=dict(type="CheckpointHook", interval=1, by_epoch=False))
    runner = toy_runner(tmp_path, "spoiled", hooks=hooks, default_hooks=each)
    with pytest.raises(FloatingPointError, match=r"out\.weight is not finite after iteration 6"):
        runner.train()
    assert (tmp_path / "last_checkpoint").read_text().endswith("iter_5.pth")
    assert not (tmp_path / "iter_6.pth").exists()


def test_persistent_workers_are_refused(tmp_path):
    runner = toy_runner(tmp_path, "persistent")
    runner._train_dataloader.update(num_workers=1, persistent_workers=True)
    with pytest.raises(ValueError, match="persistent_workers=False"):
        runner.train()


def be_rank(rank, port):
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    torch.set_num_threads(1)


def train_as_rank(rank, work_dir, port, hooks=()):
    be_rank(rank, port)
    runner = toy_runner(work_dir, "two ranks", hooks=hooks, launcher="pytorch")
    drawn = []
    forward = Toy.forward

    def spy(self, inputs, target, mode):
        loss = forward(self, inputs, target, mode)
        drawn.append(loss["loss"].item())
        return loss

    Toy.forward = spy
    model = runner.train()
    module = getattr(model, "module", model)
    (work_dir / f"rank{rank}.json").write_text(json.dumps([history(module), drawn]))
    del runner, model, module
    leave_process_group()


def test_channels_last_does_not_change_the_gradients_of_two_processes(tmp_path):
    states = []
    for name, hooks in (("plain", []), ("channels_last", [dict(type="ChannelsLastHook")])):
        folder = tmp_path / name
        folder.mkdir()
        run_ranks(train_as_rank, folder, free_port(), hooks)
        states.append(load_checkpoint_file(folder / "epoch_2.pth")["state_dict"])
    plain, channels_last = states
    assert channels_last["stem.weight"].is_contiguous(memory_format=torch.channels_last)
    for key, value in plain.items():
        torch.testing.assert_close(channels_last[key], value, rtol=1e-4, atol=1e-6, msg=key)


def leave_as_rank(rank, result, port):
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", address, rank=rank, world_size=2)
    if rank == 0:
        time.sleep(1)
        result.write_text("written")
    leave_process_group()
    assert result.exists()
    assert not torch.distributed.is_initialized()


def test_no_process_ends_while_another_writes_its_results(tmp_path):
    run_ranks(leave_as_rank, tmp_path / "result", free_port())
    leave_process_group()


def leave_after_training_as_rank(rank, work_dir, port):
    be_rank(rank, port)
    leave = torch.distributed.destroy_process_group

    def spy():
        wrapped = [o for o in gc.get_objects() if type(o) is MMDistributedDataParallel]
        (work_dir / f"rank{rank}.json").write_text(json.dumps(len(wrapped)))
        leave()

    torch.distributed.destroy_process_group = spy
    train(toy_config(work_dir, "leaving", launcher="pytorch"))


def test_no_wrapped_model_outlives_the_communication(tmp_path):
    run_ranks(leave_after_training_as_rank, tmp_path, free_port())
    assert [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)] == [0, 0]


def test_two_processes_keep_equal_temperatures(tmp_path):
    run_ranks(train_as_rank, tmp_path, free_port())
    (first, losses), (second, other_losses) = (
        json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)
    )
    assert first == second
    assert first[0] != 2.0
    # Each rank saw other images, so equal temperatures come from the averaged gradients.
    assert losses != other_losses


def losses_by_step(work_dir):
    """Loss and tau of every logged step; a later run's entry replaces an earlier one's."""
    found = {}
    for path in sorted(work_dir.glob("*/vis_data/scalars.json")):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if "loss" in entry:
                found[entry["step"]] = (entry["loss"], entry["tau"])
    return found


def test_resume_after_a_kill_continues_bit_for_bit(tmp_path, run_tool, digits_config):
    # A window of one step, to compare single losses.
    options = ["train_cfg.max_epochs=3", "train_cfg.val_interval=9", "log_processor.window_size=1"]
    arguments = [str(digits_config), "--cfg-options", *options]
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    run_tool("train.py", *arguments, "--work-dir", straight)

    started = Apart("tools/train.py", *arguments, "--work-dir", killed)
    while started.process.is_alive() and not (killed / "last_checkpoint").exists():
        time.sleep(0.02)
    os.killpg(started.process.pid, signal.SIGKILL)
    started.wait(check=False)
    assert (killed / "epoch_1.pth").exists()
    assert not (killed / "epoch_3.pth").exists(), "killed too late to test anything"
    run_tool("train.py", *arguments, "--work-dir", killed, "--resume")

    expected, actual = losses_by_step(straight), losses_by_step(killed)
    assert len(expected) == 9
    assert actual == expected
    a, b = (
        load_checkpoint_file(folder / "epoch_3.pth")["state_dict"] for folder in (straight, killed)
    )
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(key.endswith("temperature.tau") for key in a)
