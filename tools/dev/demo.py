"""Train, evaluate and draw a small detector with the commands a user would type.

Data and results go into ``data/digits`` and ``work_dirs/demo`` of the current folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

# As a user would type them, from wherever he stands.
ROOT = os.path.relpath(Path(__file__).resolve().parents[2])
TOOLS = Path(ROOT, "tools")
CONFIG = Path(ROOT, "configs/detection/ssd_hadaptive_s_digits.py")
DATA = Path("data/digits")
WORK_DIR = Path("work_dirs/demo")
TARGET = 0.5


def run(*command: str | Path) -> None:
    """Print and run one of the tools with this Python."""
    command = [str(word) for word in command]
    print(f"\n$ python {' '.join(command)}", flush=True)
    result = subprocess.run([sys.executable, *command])
    if result.returncode:
        sys.exit(f"demo: {command[0]} failed with exit status {result.returncode}")


def main() -> None:
    if not DATA.exists():
        run(TOOLS / "data" / "make_digits.py", "--out-dir", DATA)
    start = time.monotonic()
    run(TOOLS / "train.py", CONFIG, "--work-dir", WORK_DIR)
    minutes = (time.monotonic() - start) / 60
    checkpoint = WORK_DIR / (WORK_DIR / "last_checkpoint").read_text().strip()
    record = WORK_DIR / "test.json"
    run(TOOLS / "test.py", CONFIG, checkpoint, "--work-dir", WORK_DIR, "--record", record)
    metrics = json.loads(record.read_text())["metrics"]
    sheet = WORK_DIR / "contact_sheet.png"
    run(
        TOOLS / "infer.py",
        *(DATA / "val", CONFIG, checkpoint),
        *("--out-dir", WORK_DIR / "inference", "--limit", "48", "--contact-sheet", sheet),
    )
    ap50 = metrics["coco/bbox_mAP_50"]
    print(f"\nTrained in {minutes:.1f} minutes; bbox mAP_50 {ap50:.3f} on held-out digits")
    print(f"Detections drawn: {sheet.resolve()}")
    if ap50 < TARGET:
        sys.exit(f"demo: bbox mAP_50 {ap50:.3f} is below {TARGET}")


if __name__ == "__main__":
    main()
