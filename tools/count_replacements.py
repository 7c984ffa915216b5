"""Parameters and MACs of the presets of replacement, before and after, at 224x224."""

import argparse
from pathlib import Path

from mmengine.registry import MODELS
from rich.console import Console
from rich.table import Table

from mmhadaptive.engine.complexity import complexity
from mmhadaptive.engine.record import write_record
from mmhadaptive.models.replacement import PRESETS, replace_blocks

IMAGE = (3, 224, 224)


def count(preset):
    """One row: counts of the backbone without head, original and replaced."""
    model = MODELS.build(dict(type="mmpretrain.MobileNetV3", arch="small"))
    model.eval()
    original = complexity(model, IMAGE)
    blocks = replace_blocks(model, preset, IMAGE)
    return dict(
        preset=preset,
        num_selected=[block.num_selected for block in blocks],
        original=original,
        replaced=complexity(model, IMAGE),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the counts")
    args = parser.parse_args()
    rows = [count(preset) for preset in PRESETS]
    table = Table("preset", "k", "parameters, M", "replaced", "MACs, M", "replaced")
    for row in rows:
        values = [
            f"{row[which][what] / 1e6:.3f}"
            for what in ("parameters", "macs")
            for which in ("original", "replaced")
        ]
        table.add_row(row["preset"], ", ".join(map(str, row["num_selected"])), *values)
    Console().print(table)
    if args.out:
        write_record(args.out, rows=rows)


if __name__ == "__main__":
    main()
