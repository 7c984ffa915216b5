"""A checkpoint that would run code."""

from __future__ import annotations

from pathlib import Path

import torch

from .bench import Bench, error_line, expect


class _Malicious:
    """Makes a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def refuse_a_malicious_pickle(bench: Bench) -> str:
    """Resume from it, test it, and start a training from it."""
    mark, path = bench.folder / "executed", bench.folder / "malicious.pth"
    torch.save(dict(state_dict=dict(weight=torch.zeros(1)), meta=_Malicious(mark)), path)
    torch.load(path, weights_only=False)
    expect(mark.exists(), "the pickle is harmless")
    mark.unlink()
    config, work_dir = bench.detector(), ("--work-dir", bench.folder / "malicious")
    commands = (
        bench.command("train.py", config, *work_dir, "--resume", path),
        bench.command("test.py", config, path, *work_dir),
        bench.command("train.py", config, *work_dir, "--cfg-options", f"load_from={path}"),
    )
    for command in commands:
        message = error_line(bench.run(command))
        expect(not mark.exists(), "it was executed")
        expect(path.name in message, message)
    return f"refused by {len(commands)} commands, and never executed"
