"""Training from memory: resumption in the middle of an epoch, and the stock pipeline beside it."""

import itertools
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmhadaptive.engine.launch import build_runner
from mmhadaptive.io.checkpoint import load_checkpoint_file

from ..paths import ROOT

CONFIGS = ROOT / "configs" / "classification" / "cifar100"
names = itertools.count()
EPOCHS = 20
# A stage of each kind of block.
ARCH = [
    [("conv", 16, 2, 2, None)],
    [("ghost", 24, 2, 2, 2)],
    [("ach", 24, 8, 3)],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """44 images to train on, so 5 batches of 8 an epoch, and 20 to test on; four colours."""
    path = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (4, 3))
    for split, count in (("train", 44), ("test", 20)):
        labels = np.arange(count) % 4
        images = colours[labels][:, None, None] + rng.normal(0, 20, (count, 32, 32, 3))
        images = np.clip(images, 0, 255).astype(np.uint8)
        np.savez(path / f"{split}.npz", images=images, labels=labels)
    return path


@HOOKS.register_module()
class Spy(Hook):
    """Keep the labels and the loss of every iteration."""

    seen: list

    rates: list

    def before_train(self, runner):
        Spy.seen, Spy.rates = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        Spy.rates += runner.optim_wrapper.get_lr()["lr"]

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if "labels" in data_batch:
            labels = data_batch["labels"]
        else:
            labels = torch.cat([sample.gt_label for sample in data_batch["data_samples"]])
        Spy.seen.append((runner.iter, labels.tolist(), outputs["loss"].item()))


def config(folder, work_dir, name="hadaptive_s_cifar100_10pct_32px", epochs=2, **options):
    cfg = Config.fromfile(CONFIGS / f"{name}.py")
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        dataset = loader.dataset.get("dataset", loader.dataset)
        dataset.data_root = str(folder)
        dataset.fraction = 1.0
        loader.update(batch_size=8, num_workers=0)
    cfg.model.backbone.update(arch=ARCH, final_channels=64)
    cfg.model.head.update(in_channels=64, mid_channels=[64])
    cfg.train_cfg.update(max_epochs=epochs, val_interval=epochs)
    cfg.default_hooks.checkpoint = dict(type="CheckpointHook", interval=epochs)
    cfg.custom_hooks.append(dict(type="Spy"))
    cfg.merge_from_dict(dict(work_dir=str(work_dir), log_level="ERROR", launcher="none", **options))
    cfg.experiment_name = f"resumable{next(names)}"
    return cfg


def train(cfg):
    runner = build_runner(cfg)
    runner.train()
    return Spy.seen


def stopping_after(iterations):
    """The hook's clock is asked after so many iterations and always says that time is up."""
    hook = dict(type="TimedCheckpointHook", stop_seconds=0, interval=iterations)
    return {"default_hooks.timed_checkpoint": hook}


def test_a_run_in_pieces_equals_an_uninterrupted_one(folder, tmp_path):
    whole = train(config(folder, tmp_path / "whole"))
    assert [iteration for iteration, *_ in whole] == list(range(10))
    assert sorted({label for _, labels, _ in whole for label in labels}) == [0, 1, 2, 3]

    pieces, work_dir = [], tmp_path / "pieces"
    for piece in range(4):
        seen = train(config(folder, work_dir, resume=piece > 0, **stopping_after(3)))
        marker = (work_dir / "last_checkpoint").read_text()
        assert marker.endswith("latest.pth" if piece < 3 else "epoch_2.pth")
        pieces.append([iteration for iteration, *_ in seen])
        # The same next batch, and the same loss to the last bit.
        assert seen == [whole[iteration] for iteration in pieces[-1]]
        if piece < 3:
            assert not (work_dir / "epoch_2.pth").exists()
            meta = load_checkpoint_file(work_dir / "latest.pth")["meta"]
            assert meta["iter"] == 3 * (piece + 1)
            assert meta["epoch"] == meta["iter"] // 5
    assert pieces == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]

    a, b = (load_checkpoint_file(f / "epoch_2.pth") for f in (tmp_path / "whole", work_dir))
    for key, value in a["state_dict"].items():
        assert torch.equal(value, b["state_dict"][key]), key
    for key, state in a["optimizer"]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, b["optimizer"]["state"][key][name]), (key, name)
    assert a["param_schedulers"] == b["param_schedulers"]


def test_a_stop_at_the_end_of_an_epoch_validates(folder, tmp_path):
    cfg = config(folder, tmp_path, epochs=1, **stopping_after(5))
    assert len(train(cfg)) == 5
    (scalars,) = tmp_path.glob("*/vis_data/scalars.json")
    assert "accuracy/top1" in scalars.read_text()
    assert (tmp_path / "epoch_1.pth").exists()


def test_a_checkpoint_of_the_last_iteration_of_an_epoch(folder, tmp_path):
    whole = train(config(folder, tmp_path / "whole"))
    # mmengine's hook, which also writes at the end of an epoch, only does at the second.
    train(config(folder, tmp_path / "pieces", **stopping_after(5)))
    assert (tmp_path / "pieces" / "last_checkpoint").read_text().endswith("latest.pth")
    rest = train(config(folder, tmp_path / "pieces", resume=True))
    assert rest == whole[5:]


def test_a_loader_that_cannot_begin_there_is_refused(folder, tmp_path):
    train(config(folder, tmp_path, **stopping_after(3)))
    cfg = config(folder, tmp_path, resume=True)
    del cfg.default_hooks.timed_checkpoint
    cfg.train_dataloader.sampler.type = "DefaultSampler"
    with pytest.raises(ValueError, match="a DefaultSampler with 0 workers cannot begin"):
        train(cfg)


def test_checkpoints_that_nothing_could_resume_from_are_refused(folder, tmp_path):
    cfg = config(folder, tmp_path / "workers", **{"train_dataloader.num_workers": 1})
    with pytest.raises(ValueError, match="with 1 workers cannot begin in the middle"):
        train(cfg)
    cfg = config(folder, tmp_path / "loop", **{"train_cfg.type": "EpochBasedTrainLoop"})
    with pytest.raises(ValueError, match="ResumableTrainLoop', got EpochBasedTrainLoop"):
        train(cfg)
    assert not list(tmp_path.rglob("*.pth"))


@pytest.mark.parametrize(("batch", "steps"), [(16, 2), (4, 11)])
@pytest.mark.parametrize("end", ["epoch_2.pth", "latest.pth"])
def test_another_batch_size_at_the_end_of_an_epoch(folder, tmp_path, batch, steps, end):
    options = {"train_dataloader.batch_size": batch}
    if end == "latest.pth":
        first = config(folder, tmp_path / "pieces", epochs=4, **stopping_after(10))
    else:
        first = config(folder, tmp_path / "pieces", epochs=2)
    train(first)
    assert (tmp_path / "pieces" / "last_checkpoint").read_text().endswith(end)

    seen = train(config(folder, tmp_path / "pieces", epochs=4, resume=True, **options))
    assert [iteration for iteration, *_ in seen] == list(range(10, 10 + 2 * steps))
    rates = Spy.rates
    train(config(folder, tmp_path / "whole", epochs=4, **options))
    assert rates == pytest.approx(Spy.rates[2 * steps :], rel=1e-6)
    meta = load_checkpoint_file(tmp_path / "pieces" / "epoch_4.pth")["meta"]
    assert (meta["epoch"], meta["iter"]) == (4, 10 + 2 * steps)

    # Later pieces count from there.
    again = dict(options, resume=True, load_from=str(tmp_path / "pieces" / "epoch_4.pth"))
    seen = train(config(folder, tmp_path / "pieces", epochs=5, **again))
    assert [iteration for iteration, *_ in seen] == list(range(10 + 2 * steps, 10 + 3 * steps))


def test_another_batch_size_brings_its_learning_rate(folder, tmp_path):
    """As a whole run with that batch would have it, scaled where the config asks for it."""
    options = {"param_scheduler": []}
    train(config(folder, tmp_path, epochs=1, **options))
    assert Spy.rates == [0.001] * 5
    options.update({"train_dataloader.batch_size": 16})
    options.update({"auto_scale_lr.enable": True, "auto_scale_lr.base_batch_size": 8})
    train(config(folder, tmp_path, epochs=2, resume=True, **options))
    assert Spy.rates == pytest.approx([0.002] * 2)


def test_another_batch_size_in_the_middle_of_an_epoch_is_refused(folder, tmp_path):
    train(config(folder, tmp_path, **stopping_after(3)))
    cfg = config(folder, tmp_path, resume=True, **{"train_dataloader.batch_size": 16})
    with pytest.raises(ValueError, match=r"3 iterations into an epoch of 5, .* epochs have 2"):
        train(cfg)
    cfg = config(folder, tmp_path, resume=True)
    assert [iteration for iteration, *_ in train(cfg)] == list(range(3, 10))


def test_another_batch_size_forgets_no_plateau(folder, tmp_path):
    train(config(folder, tmp_path, epochs=1))
    cfg = config(folder, tmp_path, resume=True, **{"train_dataloader.batch_size": 16})
    cfg.param_scheduler = [dict(type="ReduceOnPlateauLR", monitor="accuracy/top1")]
    with pytest.raises(ValueError, match="ReduceOnPlateauLR"):
        train(cfg)


def test_a_checkpoint_of_another_loop_begins_the_next_epoch(folder, tmp_path):
    stock = {"train_cfg.type": "EpochBasedTrainLoop"}
    cfg = config(folder, tmp_path, epochs=1, **stock)
    del cfg.default_hooks.timed_checkpoint
    train(cfg)
    cfg = config(folder, tmp_path, resume=True, **{"train_dataloader.batch_size": 16})
    assert [iteration for iteration, *_ in train(cfg)] == [5, 6]


@pytest.mark.parametrize("stop", [3, 5])
def test_without_a_seed_or_its_hook_the_order_is_that_of_the_uninterrupted_run(
    folder, tmp_path, stop
):
    def without(*args, **options):
        cfg = config(*args, **options)
        cfg.randomness = dict(seed=None)
        del cfg.default_hooks.epoch_seed
        return cfg

    first = train(without(folder, tmp_path, **stopping_after(stop)))
    seed = load_checkpoint_file(tmp_path / "latest.pth")["meta"]["seed"]
    whole = config(folder, tmp_path / "whole")
    whole.randomness = dict(seed=seed)
    assert first + train(without(folder, tmp_path, resume=True)) == train(whole)


def test_a_stop_waits_for_the_accumulated_step(folder, tmp_path):
    options = {"optim_wrapper.accumulative_counts": 4}
    whole = train(config(folder, tmp_path / "whole", **options))
    # The clock is asked within the second step, which the next epoch ends.
    first = train(config(folder, tmp_path / "pieces", **options, **stopping_after(5)))
    assert load_checkpoint_file(tmp_path / "pieces" / "latest.pth")["meta"]["iter"] == 8
    rest = train(config(folder, tmp_path / "pieces", resume=True, **options))
    assert first + rest == whole
    a, b = (
        load_checkpoint_file(tmp_path / name / "epoch_2.pth")["state_dict"]
        for name in ("whole", "pieces")
    )
    assert all(torch.equal(value, b[key]) for key, value in a.items())


def test_a_moved_work_dir_resumes(folder, tmp_path):
    best = {"default_hooks.checkpoint.save_best": "accuracy/top1"}
    train(config(folder, tmp_path / "old", epochs=1, **best))
    (tmp_path / "old").rename(tmp_path / "new")
    path = tmp_path / "new" / "epoch_1.pth"
    checkpoint = load_checkpoint_file(path)
    # The next epoch is better.
    checkpoint["message_hub"]["runtime_info"]["best_score"] = -1.0
    torch.save(checkpoint, path)
    cfg = config(folder, tmp_path / "new", resume=True, **best)
    assert [iteration for iteration, *_ in train(cfg)] == list(range(5, 10))
    assert (tmp_path / "new" / "epoch_2.pth").exists()
    (path,) = (tmp_path / "new").glob("best_*.pth")
    assert path.stem.endswith("epoch_2")
    assert not (tmp_path / "old").exists()


def test_losses_equal_those_of_the_stock_pipeline(folder, tmp_path):
    """Without augmentation the two paths see the same images in the same order."""
    stock = config(folder, tmp_path / "stock", "hadaptive_s_cifar100_stock", epochs=1)
    pipeline = [dict(type="PackInputs")]
    stock.train_dataloader.dataset.pipeline = pipeline
    stock.val_dataloader.dataset.pipeline = pipeline
    ours = config(folder, tmp_path / "ours", epochs=1)
    ours.data_preprocessor.update(padding=0, flip=0.0)
    ours.param_scheduler = stock.param_scheduler = None
    expected, actual = train(stock), train(ours)
    assert [entry[:2] for entry in actual] == [entry[:2] for entry in expected]
    for (_, _, a), (_, _, b) in zip(actual, expected, strict=True):
        assert a == pytest.approx(b, rel=1e-3)


def test_accuracy_agrees_with_the_stock_pipeline(folder, tmp_path):
    stock = config(folder, tmp_path / "stock", "hadaptive_s_cifar100_stock", epochs=EPOCHS)
    stock.train_dataloader.dataset.pipeline.pop(2)
    stock.val_dataloader.dataset.pipeline.pop(0)
    ours = config(folder, tmp_path / "ours", epochs=EPOCHS)
    for name, cfg in (("stock", stock), ("ours", ours)):
        cfg.param_scheduler = None
        cfg.optim_wrapper.optimizer.lr = 0.003
        train(cfg)
        (scalars,) = (tmp_path / name).glob("*/vis_data/scalars.json")
        entries = [json.loads(line) for line in scalars.read_text().splitlines()]
        assert entries[-1]["accuracy/top1"] >= 90, name


@pytest.mark.parametrize("compiled", [False, dict(backend="eager")])
@pytest.mark.parametrize("options", [dict(), {"optim_wrapper.type": "BFloat16OptimWrapper"}])
def test_averaging_and_bfloat16(folder, tmp_path, options, compiled):
    cfg = config(folder, tmp_path, epochs=1, compile=compiled, **options)
    cfg.custom_hooks.append(dict(type="EMAHook", momentum=0.1))
    assert all(np.isfinite(loss) for _, _, loss in train(cfg))
    checkpoint = load_checkpoint_file(tmp_path / "epoch_1.pth")
    assert "ema_state_dict" in checkpoint


def test_a_compiled_step_equals_a_plain_one(folder, tmp_path):
    """Captured by Dynamo and run without code generation: the same random numbers."""
    compiled = train(config(folder, tmp_path / "compiled", epochs=1, compile=dict(backend="eager")))
    plain = train(config(folder, tmp_path / "plain", epochs=1))
    assert [seen[:2] for seen in compiled] == [seen[:2] for seen in plain]
    # The optimizer's step rounds differently.
    assert [loss for *_, loss in compiled] == pytest.approx([loss for *_, loss in plain], rel=1e-5)
