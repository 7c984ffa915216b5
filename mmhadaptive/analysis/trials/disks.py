"""Disks that take nothing more."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

from .bench import Bench, error_line, expect, finite_weights, last_checkpoint

# Between the sizes of a log and of a checkpoint, in bytes.
LARGEST = 1_000_000
# Root may write anywhere; without this capability it may not.
AS_A_USER = ("setpriv", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()


def _begin(bench: Bench, name: str) -> tuple[Path, Path, Path, bytes]:
    """Config, work dir and last checkpoint of a training of one epoch, and what it holds."""
    config, work_dir = bench.detector(), bench.folder / name
    bench.train_well(config, work_dir)
    checkpoint = last_checkpoint(work_dir)
    return config, work_dir, checkpoint, checkpoint.read_bytes()


def _goes_on(bench: Bench, config: Path, work_dir: Path, checkpoint: Path, content: bytes) -> None:
    """Raise unless the checkpoint is as it was, and a run resumes from it."""
    expect(checkpoint.read_bytes() == content, f"{checkpoint.name} changed")
    expect(last_checkpoint(work_dir) == checkpoint, "another checkpoint is the last")
    bench.train_well(config, work_dir, "--resume", *_two_epochs())
    finite_weights(work_dir / "epoch_2.pth")


def _two_epochs() -> tuple[str, ...]:
    return ("--cfg-options", "train_cfg.max_epochs=2")


def survive_a_large_file(bench: Bench) -> str:
    """Resume where no file may grow to the size of a checkpoint; then where it may."""
    began = config, work_dir, *_ = _begin(bench, "large_file")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, LARGEST))

    result = bench.train(config, work_dir, "--resume", *_two_epochs(), preexec_fn=limit)
    message = error_line(result)
    expect("File too large" in message and ".pth" in message, message)
    _goes_on(bench, *began)
    return f"{message.replace(str(bench.folder), '')}; the last checkpoint is whole, and resumes"


def survive_a_full_disk(bench: Bench) -> str:
    """Resume on a disk that has no room for another checkpoint; then where there is some.

    The disk is one in memory, in a mount namespace of the run; without the right to make one the
    trial fails.
    """
    began = config, work_dir, checkpoint, content = _begin(bench, "full_disk")
    kept = bench.folder / "full_disk_kept"
    shutil.copytree(work_dir, kept)
    room = sum(path.stat().st_size for path in work_dir.rglob("*")) + len(content) // 2
    # The disk ends with the run, so the run's folder is copied to and from it.
    script = (
        'mount -t tmpfs -o size="$1" tmpfs "$2" && cp -r "$3/." "$2" && shift 3 || exit 99; '
        '"$@"; status=$?; cp -r "$WORK_DIR/." "$KEPT"; exit $status'
    )
    prefix = [
        *("unshare", "--map-root-user", "--mount"),
        *("env", f"WORK_DIR={work_dir}", f"KEPT={kept}"),
        *("sh", "-c", script, "sh", str(room), str(work_dir), str(kept)),
    ]
    result = bench.train(config, work_dir, "--resume", *_two_epochs(), prefix=prefix)
    expect(result.returncode != 99, f"no disk was made: {result.stderr[-300:]}")
    message = error_line(result)
    expect("No space left on device" in message and ".pth" in message, message)
    expect((kept / checkpoint.name).read_bytes() == content, f"{checkpoint.name} changed")
    shutil.rmtree(work_dir)
    kept.rename(work_dir)
    _goes_on(bench, *began)
    return f"{message.replace(str(bench.folder), '')}; the last checkpoint is whole, and resumes"


def survive_a_read_only_work_dir(bench: Bench) -> str:
    """Resume in a work dir that became read-only; then with the rights of before."""
    began = config, work_dir, *_ = _begin(bench, "read_only")
    folders = [path for path in [work_dir, *work_dir.rglob("*")] if path.is_dir()]
    modes = [path.stat().st_mode for path in folders]
    for path in folders:
        path.chmod(0o555)
    try:
        result = bench.train(config, work_dir, "--resume", *_two_epochs(), prefix=AS_A_USER)
    finally:
        for path, mode in zip(folders, modes, strict=True):
            path.chmod(mode)
    message = error_line(result)
    expect("Permission denied" in message and str(work_dir) in message, message)
    _goes_on(bench, *began)
    return f"{message.replace(str(bench.folder), '')}; the last checkpoint is whole, and resumes"
