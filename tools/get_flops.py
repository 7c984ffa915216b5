"""Count parameters, MACs and activations.

    python tools/get_flops.py configs/ssd_hadaptive_s_coco.py
    python tools/get_flops.py --table7 --out docs/results/complexity.json
    python tools/get_flops.py --sweeps --out docs/results/expansion_sweeps.json

The first counts the classifier or detector of a config, at the size at which the config tests it
or at ``--size``. ``--table7`` counts the networks of the paper's Table 7 for 100 classes, and again
as they were published (``configs/classification/published.csv``), with the difference.
``--sweeps`` counts the three expansions, 1x1 convolution, Ghost and ACH, over the input's width and
over the expansion ratio, as Figs. 5 and 6, beside closed formulas, and draws
``docs/images/complexity_{width,ratio}.png``. ``--out`` is the file of the record.

Networks that train with parallel branches are counted with these merged.
"""

import argparse
import csv
import io
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import EngFormatter
from mmcv.cnn import ConvModule
from mmengine.config import Config
from mmengine.fileio import put
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope

from mmhadaptive.engine.complexity import complexity, network_complexity
from mmhadaptive.engine.input_size import input_size
from mmhadaptive.io.record import write_record
from mmhadaptive.layers import AdaptiveCrossHadamard, GhostExpansion, selected_for_width

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs" / "classification"
COUNTS = ("parameters", "macs", "activations")
# (input channels, expansion ratio).
SWEEPS = {
    "width": [(channels, 4) for channels in (16, 32, 64, 96, 128, 160, 192, 224, 256)],
    "ratio": [(64, ratio) for ratio in (2, 3, 4, 6, 8, 12, 16)],
}
# Height and width of the late stages, in an image of 224.
EXTENT = 14
ECA_KERNEL_SIZE = 5


def merge_branches(model):
    """Bring a network into its form for inference, in place."""
    if hasattr(getattr(model, "backbone", None), "switch_to_deploy"):
        model.backbone.switch_to_deploy()
    elif hasattr(model, "model"):
        from timm.utils.model import reparameterize_model

        model.model = reparameterize_model(model.model)


def count_config(cfg, size, num_classes=None, merged=True):
    init_default_scope(cfg.get("default_scope", "mmengine"))
    if num_classes is not None:
        (cfg.model.head if "head" in cfg.model else cfg.model).num_classes = num_classes
    model = MODELS.build(cfg.model).eval()
    if merged:
        merge_branches(model)
    return network_complexity(model, size)


def table7(logger):
    with (CONFIGS / "published.csv").open() as file:
        published = list(csv.DictReader(file))
    networks = []
    for name in dict.fromkeys(row["model"] for row in published):
        logger.info(name)
        path = CONFIGS / f"{name}_cifar100.py"
        counts = count_config(Config.fromfile(path), (224, 224), 100)
        entry = dict(model=name, **counts, published=[])
        for row in (row for row in published if row["model"] == name):
            size, num_classes = int(row["input_size"]), int(row["num_classes"])
            merged = row["merged"] == "yes"
            ours = count_config(Config.fromfile(path), (size, size), num_classes, merged)
            theirs = {key: float(row[f"{key}_m"]) for key in COUNTS if row[f"{key}_m"]}
            percent = {k: round(100 * (ours[k] / 1e6 / v - 1), 2) for k, v in theirs.items()}
            entry["published"].append(
                dict(
                    source=row["source"],
                    num_classes=num_classes,
                    input_size=size,
                    merged=merged,
                    millions=theirs,
                    ours=ours,
                    difference_percent=percent,
                )
            )
        networks.append(entry)
    return networks


def table7_rows(networks):
    yield "| network | parameters, M | MACs, M | activations, M | published: parameters, MACs |"
    yield "| --- | --- | --- | --- | --- |"
    for entry in networks:
        counts = " | ".join(f"{entry[key] / 1e6:.3f}" for key in COUNTS)
        published = []
        for row in entry["published"]:
            by = row["source"]
            if row["num_classes"] != 100:
                by += f", {row['num_classes']} classes"
            if row["input_size"] != 224:
                by += f", {row['input_size']} pixels"
            if not row["merged"]:
                by += ", branches not merged"
            theirs, percent = row["millions"], row["difference_percent"]
            published.append(
                f"{theirs['parameters']:g}, {theirs['macs']:g} "
                f"({percent['parameters']:+.1f} %, {percent['macs']:+.1f} %; {by})"
            )
        yield f"| `{entry['model']}` | {counts} | {'<br>'.join(published)} |"


# For C channels and the ratio r: the layer, its parameters, its MACs a pixel and those an image.
# A convolution has no bias, its normalisation two parameters a channel.


def pointwise(c, r):
    """A 1x1 convolution: C rC weights."""
    layer = ConvModule(c, r * c, 1, norm_cfg=dict(type="BN"))
    return layer, r * c * c + 2 * r * c, r * c * c, 0


def ghost(c, r):
    """Half of the width by a 1x1 convolution, half by a 3x3 depthwise one: (C + 9) rC / 2."""
    weights = (c + 9) * r * c // 2
    return GhostExpansion(c, r * c), weights + 2 * r * c, weights, 0


def ach(c, r):
    """A 1x1 convolution of C C, scores by a 1-D convolution, and p = k(k-1)/2 products.

    DySoft has two parameters a product and one of its own.
    """
    k = selected_for_width(c, r * c)
    p = k * (k - 1) // 2
    layer = AdaptiveCrossHadamard(c, k, eca_kernel_size=ECA_KERNEL_SIZE)
    parameters = c * c + 2 * c + ECA_KERNEL_SIZE + 2 * p + 1
    return layer, parameters, c * c + p, c * ECA_KERNEL_SIZE


EXPANSIONS = {"pointwise": pointwise, "ghost": ghost, "ach": ach}


def sweep(points):
    rows = []
    for in_channels, ratio in points:
        for kind, expansion in EXPANSIONS.items():
            layer, parameters, pixel, image = expansion(in_channels, ratio)
            counts = complexity(layer.eval(), (in_channels, EXTENT, EXTENT))
            rows.append(
                dict(
                    expansion=kind,
                    in_channels=in_channels,
                    ratio=ratio,
                    out_channels=getattr(layer, "out_channels", None),
                    parameters=counts["parameters"],
                    macs=counts["macs"],
                    formula=dict(parameters=parameters, macs=pixel * EXTENT**2 + image),
                )
            )
    return rows


def sweep_rows(sweeps):
    yield "| input | ratio | 1x1: parameters, MACs | Ghost | ACH (width) |"
    yield "| --- | --- | --- | --- | --- |"
    for rows in sweeps.values():
        for start in range(0, len(rows), len(EXPANSIONS)):
            group = rows[start : start + len(EXPANSIONS)]
            cells = [f"{row['parameters']:,}, {row['macs']:,}" for row in group]
            first, last = group[0], group[-1]
            yield (
                f"| {first['in_channels']} | {first['ratio']} | {' | '.join(cells)} "
                f"({last['out_channels']}) |"
            )


def draw(rows, axis, label, path):
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for panel, count in zip(panels, ("parameters", "macs"), strict=True):
        for kind, name in (("pointwise", "1x1"), ("ghost", "Ghost"), ("ach", "ACH")):
            points = [(row[axis], row[count]) for row in rows if row["expansion"] == kind]
            panel.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
        panel.set(xlabel=label, ylabel=count if count == "parameters" else "MACs")
        panel.set_ylim(bottom=0)
        panel.yaxis.set_major_formatter(EngFormatter(sep=" "))
        panel.grid(alpha=0.3)
    panels[0].legend()
    image = io.BytesIO()
    figure.savefig(image, dpi=150)
    put(image.getvalue(), path)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("config", nargs="?", help="a config of a classifier or detector")
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
    if args.size and (not args.config or len(args.size) > 2):
        parser.error("--size is one or two numbers for a config")
    if args.config:
        cfg = Config.fromfile(args.config)
        try:
            size = args.size or input_size(cfg)
        except ValueError as error:
            parser.error(f"{error}; give it with --size")
        # One number stands for both sides.
        height, width = size[0], size[-1]
        counts = count_config(cfg, (height, width))
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
    if args.table7:
        networks = table7(MMLogger.get_instance("mmengine", logger_name="mmhadaptive"))
        write_record(args.out, networks=networks)
        print("\n".join(table7_rows(networks)))
        return
    sweeps = {name: sweep(points) for name, points in SWEEPS.items()}
    draw(sweeps["width"], "in_channels", "input channels", args.images / "complexity_width.png")
    draw(sweeps["ratio"], "ratio", "expansion ratio", args.images / "complexity_ratio.png")
    write_record(args.out, extent=EXTENT, **sweeps)
    print("\n".join(sweep_rows(sweeps)))


if __name__ == "__main__":
    main()
