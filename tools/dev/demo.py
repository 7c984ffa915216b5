"""Train, evaluate and draw a small detector with the commands a user would type.

Its backbone learns digits as a classifier first, and is loaded into the detector. Data and results
go into ``data/digits`` and ``work_dirs/demo`` of the current folder.
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
CLASSIFIER = Path(ROOT, "configs/classification/digits/hadaptive_s_digits.py")
DETECTOR = Path(ROOT, "configs/detection/ssd_hadaptive_s_digits.py")
DATA = Path("data/digits")
WORK_DIR = Path("work_dirs/demo")
TARGET = 0.85


def run(*command: str | Path) -> None:
    """Print and run one of the tools with this Python."""
    command = [str(word) for word in command]
    print(f"\n$ python {' '.join(command)}", flush=True)
    result = subprocess.run([sys.executable, *command])
    if result.returncode:
        sys.exit(f"demo: {command[0]} failed with exit status {result.returncode}")


def last_checkpoint(work_dir: Path) -> Path:
    """The checkpoint that a training in ``work_dir`` ended with."""
    # mmengine writes an absolute path; a relative one lies in the work dir.
    path = work_dir / (work_dir / "last_checkpoint").read_text().strip()
    return Path(os.path.relpath(path))


def main() -> None:
    if not DATA.exists():
        run(TOOLS / "data" / "make_digits.py", "--out-dir", DATA)
    start = time.monotonic()
    run(TOOLS / "train.py", CLASSIFIER, "--work-dir", WORK_DIR / "classifier")
    backbone = last_checkpoint(WORK_DIR / "classifier")
    middle = time.monotonic()
    run(
        *(TOOLS / "train.py", DETECTOR, "--work-dir", WORK_DIR / "detector"),
        *("--cfg-options", f"model.backbone.init_cfg.checkpoint={backbone}"),
    )
    checkpoint = last_checkpoint(WORK_DIR / "detector")
    end = time.monotonic()
    record = WORK_DIR / "test.json"
    run(
        *(TOOLS / "test.py", DETECTOR, checkpoint),
        *("--work-dir", WORK_DIR / "detector", "--record", record),
    )
    metrics = json.loads(record.read_text())["metrics"]
    sheet = WORK_DIR / "contact_sheet.png"
    run(
        *(TOOLS / "infer.py", DATA / "val", DETECTOR, checkpoint),
        *("--out-dir", WORK_DIR / "inference", "--limit", "48", "--contact-sheet", sheet),
    )
    ap50 = metrics["coco/bbox_mAP_50"]
    print(
        f"\nTrained in {(end - start) / 60:.1f} minutes (classifier {(middle - start) / 60:.1f}, "
        f"detector {(end - middle) / 60:.1f}); bbox mAP_50 {ap50:.3f} on held-out digits"
    )
    print(f"Detections drawn: {sheet.resolve()}")
    if ap50 < TARGET:
        sys.exit(f"demo: bbox mAP_50 {ap50:.3f} is below {TARGET}")


if __name__ == "__main__":
    main()
