"""Losses and gradients that overflow under mixed precision."""

from __future__ import annotations

from .bench import Bench, error_line, expect, finite_weights, last_checkpoint

# Of the loss, of which float32 holds at most 3.4e38.
OVERFLOW = "model.bbox_head.loss_cls.loss_weight=1e39"
# The loss still fits; its gradients, or the step that they lead to, do not.
LARGE = ("model.bbox_head.loss_cls.loss_weight=1e37", "optim_wrapper.clip_grad=None")


def survive_an_infinite_loss(bench: Bench) -> str:
    """A training under bfloat16 whose loss is infinite from the second epoch on."""
    config, work_dir = bench.detector(), bench.folder / "infinite"
    bench.train_well(config, work_dir, "--amp", "bfloat16")
    checkpoint = last_checkpoint(work_dir)
    content = checkpoint.read_bytes()
    options = ("--cfg-options", "train_cfg.max_epochs=2", OVERFLOW)
    result = bench.train(config, work_dir, "--amp", "bfloat16", "--resume", *options)
    message = error_line(result)
    expect("the loss is" in message and "at iteration" in message, message)
    expect(last_checkpoint(work_dir) == checkpoint, "there is another checkpoint")
    expect(checkpoint.read_bytes() == content, "the checkpoint changed")
    finite_weights(checkpoint)
    return f"{message}; the checkpoint of before is whole and finite"


def survive_infinite_gradients(bench: Bench) -> str:
    """A training under bfloat16 in which the loss is finite and its gradients are not.

    A checkpoint is due right after the first step, which spoils the weights.
    """
    config, work_dir = bench.detector(), bench.folder / "gradients"
    hook = "default_hooks.checkpoint.by_epoch=False"
    options = ("--cfg-options", hook, *LARGE, "optim_wrapper.optimizer.lr=1e30")
    result = bench.train(config, work_dir, "--amp", "bfloat16", *options)
    message = error_line(result)
    expect("is not finite" in message or "the loss is" in message, message)
    for path in work_dir.glob("*.pth"):
        finite_weights(path)
    return f"{message}; no checkpoint has weights that are not finite"
