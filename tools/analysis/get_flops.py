"""Count parameters, MACs, FLOPs and activations.

    python tools/analysis/get_flops.py configs/ssd_hadaptive_s_coco.py
    python tools/analysis/get_flops.py --table6 --out docs/results/detectors.json
    python tools/analysis/get_flops.py --detectors-today --out docs/results/detectors_today.json
    python tools/analysis/get_flops.py --table7 --out docs/results/complexity.json
    python tools/analysis/get_flops.py --sweeps --out docs/results/expansion_sweeps.json

The first counts the classifier or detector of a config, at the size at which the config tests it
or at ``--size``: MACs as the paper's Table 7, FLOPs as its Tables 5 and 8. ``--table6`` counts the
whole detectors of Table 6, ``--detectors-today`` those with RTMDet's head. ``--table7`` counts the
networks of Table 7 for 100 classes, and again as they were published
(``configs/classification/metafile.yml``), with the difference.
``--sweeps`` counts the three expansions, 1x1 convolution, Ghost and ACH, over the input's width and
over the expansion ratio, as Figs. 5 and 6, beside closed formulas and eqs. 15 to 18, and draws
``docs/images/complexity_{width,ratio}.png``. ``--out`` is the file of the record.

Networks that train with parallel branches are counted with these merged.
"""

import argparse
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import MMLogger

import mmhadaptive.engine  # noqa: F401  the scope of the configs
from mmhadaptive.analysis.complexity import COUNTS, config_complexity
from mmhadaptive.analysis.detectors import count_detectors, detectors_table
from mmhadaptive.analysis.detectors_today import count_today, today_table
from mmhadaptive.analysis.expansions import EXTENT, SWEEPS, sweep, sweep_table
from mmhadaptive.analysis.input_size import input_size
from mmhadaptive.analysis.published import compare_published, published_table
from mmhadaptive.engine.quiet import quiet_imports
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import blame_config, run_script
from mmhadaptive.io.whole import write_file
from mmhadaptive.visualization import draw_complexity, to_png

ROOT = Path(__file__).resolve().parents[2]
# Sweep, what it is drawn over, and its name.
AXES = (("width", "in_channels", "input channels"), ("ratio", "ratio", "expansion ratio"))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("config", nargs="?", help="a config of a classifier or detector")
    what.add_argument("--table6", action="store_true", help="the detectors of Table 6")
    what.add_argument(
        "--detectors-today", action="store_true", help="the detectors with RTMDet's head"
    )
    what.add_argument("--table7", action="store_true", help="the networks of Table 7")
    what.add_argument("--sweeps", action="store_true", help="the expansions of Figs. 5 and 6")
    parser.add_argument(
        "--size",
        type=int,
        nargs="+",
        metavar="PIXELS",
        help="side of the image, or its height and width, in place of the config's",
    )
    parser.add_argument("--out", type=Path, help="file of the record, .json")
    parser.add_argument(
        "--images", type=Path, default=ROOT / "docs" / "images", help="folder of the drawings"
    )
    args = parser.parse_args()
    quiet_imports()
    if args.size and (not args.config or len(args.size) > 2):
        parser.error("--size is one or two numbers for a config")
    if args.config:
        with blame_config():
            cfg = Config.fromfile(args.config)
        try:
            size = args.size or input_size(cfg)
        except ValueError as error:
            parser.error(f"{error}; give it with --size")
        # One number stands for both sides.
        height, width = size[0], size[-1]
        with blame_config():
            counts = config_complexity(cfg, (height, width))
        print(f"input        3 x {height} x {width}")
        for name in COUNTS:
            print(f"{name:12} {counts[name] / 1e6:.3f} M")
        if "proposals" in counts:
            print(f"proposals    {counts['proposals']}")
        if args.out:
            write_record(args.out, config=args.config, input=[3, height, width], **counts)
        return
    if args.out is None:
        parser.error("--out is missing")
    logger = MMLogger.get_instance("mmengine", logger_name="mmhadaptive")
    if args.table6 or args.detectors_today:
        count, table = (
            (count_detectors, detectors_table) if args.table6 else (count_today, today_table)
        )
        detectors = count(logger.info)
        write_record(args.out, detectors=detectors)
        print(table(detectors), end="")
        return
    if args.table7:
        networks = compare_published(logger.info)
        write_record(args.out, networks=networks)
        print(published_table(networks), end="")
        return
    sweeps = {name: sweep(points) for name, points in SWEEPS.items()}
    for name, axis, label in AXES:
        picture = to_png(draw_complexity(sweeps[name], axis, label), dpi=150)
        write_file(args.images / f"complexity_{name}.png", picture)
    write_record(args.out, extent=EXTENT, **sweeps)
    print(sweep_table([row for rows in sweeps.values() for row in rows]), end="")


if __name__ == "__main__":
    run_script(main)
