"""What a newcomer waits for: the set-up and the demo, by their logs."""

from __future__ import annotations

import re
from pathlib import Path

from mmengine.fileio import load

from .tables import markdown_table


def first_contact_table(docs: Path) -> str:
    """Time and disk of ``make setup``, time and accuracy of ``make demo``, in Markdown.

    Raises:
        ValueError: A log lacks one of these.
    """
    setup, demo = docs / "results" / "setup.txt", docs / "results" / "demo.txt"
    machine = _find(setup, r"# commit \w+, (.*), nothing cached")
    seconds, disk = _find(setup, r"is ready: (\d+) s, (.*)")
    operators = _find(setup, r"Building csrc/ (?:.*\n)*?\s+(\d+) s  done")
    minutes = _find(demo, r"Trained in (\S+) minutes")
    accuracy = load(docs / "results" / "demo.json")["metrics"]["coco/bbox_mAP_50"]
    rows = [
        ["`make setup`, nothing cached", f"{seconds} s, {disk}"],
        ["of it the compilation of csrc/", f"{operators} s"],
        ["`make demo`, training", f"{minutes} minutes"],
        ["bbox mAP_50 on digits that it has not seen", f"{accuracy:.3f}"],
    ]
    return markdown_table([f"on {machine}", ""], rows)


def _find(path: Path, pattern: str) -> str | tuple[str, ...]:
    found = re.search(pattern, path.read_text())
    if not found:
        raise ValueError(f"{path} has no line like {pattern!r}")
    return found.groups() if len(found.groups()) > 1 else found[1]
