"""Count parameters and MACs of the networks of configs/replacement and of BERT, before and after.

Writes a record and prints its tables in Markdown.
"""

import argparse
import csv
from pathlib import Path

import torch
from mmengine.analysis import parameter_count
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from mmhadaptive.engine.complexity import mac_analyzer
from mmhadaptive.io.record import write_record
from mmhadaptive.models import replace_blocks
from mmhadaptive.models.bert import FEED_FORWARDS, build_bert

CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "replacement"
PUBLISHED = CONFIGS.parent / "classification" / "published.csv"


def numbers_last(path):
    """A key for sorting by words, and by numbers where they differ: 9 before 10."""
    return [(w.isdigit(), int(w) if w.isdigit() else 0, w) for w in path.stem.split("_")]


def paper_figures():
    """Millions of parameters and of MACs of originals. Those of replaced ones are not at hand."""
    with PUBLISHED.open() as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == "Table 7"]
    return {row["model"]: (float(row["parameters_m"]), float(row["macs_m"])) for row in rows}


def replaced_network(path, published):
    cfg = Config.fromfile(path)
    size = cfg.model.get("input_size", 224)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build(cfg.model.model)
        report = replace_blocks(model, cfg.model.replace, (torch.zeros(1, 3, size, size),))
    entry = dict(
        config=path.stem,
        input_size=size,
        num_classes=cfg.data_preprocessor.num_classes,
        targets=[block.target for block in report.blocks],
        num_selected=[
            module.num_selected
            for block in report.blocks
            for module in model.get_submodule(block.target).modules()
            if hasattr(module, "num_selected")
        ],
        parameters=report.parameters,
        macs=report.macs,
    )
    paper = published.get(path.stem.partition("_ach")[0])
    if paper:
        entry["paper_original"] = dict(parameters_m=paper[0], macs_m=paper[1])
        entry["difference_percent"] = [
            round(100 * (count / 1e6 / published - 1), 2)
            for count, published in zip((report.parameters[0], report.macs[0]), paper, strict=True)
        ]
    return entry


def bert(num_layers, feed_forward, length):
    model = build_bert(feed_forward, num_layers, return_dict=False).eval()
    ids = torch.zeros(1, length, dtype=torch.long)
    with torch.no_grad():
        macs = int(mac_analyzer(model, (ids,)).total())
    return dict(
        layers=num_layers,
        feed_forward=feed_forward,
        width=model.bert.encoder.layer[0].output.dense.in_features,
        parameters=parameter_count(model)[""],
        macs=macs,
        length=length,
    )


def markdown(networks, berts):
    yield "| network | blocks | k | parameters, M | MACs, M | paper's original |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for entry in networks:
        counts = [
            f"{entry[key][0] / 1e6:.3f} → {entry[key][1] / 1e6:.3f}"
            for key in ("parameters", "macs")
        ]
        if "paper_original" in entry:
            paper = "{parameters_m} M, {macs_m} M".format(**entry["paper_original"])
            paper += " ({:+.1f} %, {:+.1f} %)".format(*entry["difference_percent"])
        else:
            paper = "not at hand"
        targets = [t.removeprefix("backbone.").removeprefix("model.") for t in entry["targets"]]
        blocks = targets[0] if len(targets) == 1 else f"{targets[0]} to {targets[-1]}"
        selected = ", ".join(map(str, dict.fromkeys(entry["num_selected"])))
        name = entry["config"].partition("_ach")[0]
        yield f"| {name} | `{blocks}` | {selected} | {counts[0]} | {counts[1]} | {paper} |"
    yield ""
    yield "| BERT layers | feed-forward | width | parameters, M | MACs, G |"
    yield "| --- | --- | --- | --- | --- |"
    for entry in berts:
        yield (
            f"| {entry['layers']} | {entry['feed_forward']} | {entry['width']} | "
            f"{entry['parameters'] / 1e6:.1f} | {entry['macs'] / 1e9:.2f} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="result file, .json")
    parser.add_argument("--layers", nargs="+", type=int, default=[6, 12], help="of BERT")
    parser.add_argument("--length", type=int, default=128, help="tokens for BERT")
    args = parser.parse_args()
    logger = MMLogger.get_instance("mmengine", logger_name="mmhadaptive")
    networks, berts, published = [], [], paper_figures()
    for path in sorted(CONFIGS.glob("*.py"), key=numbers_last):
        logger.info(path.stem)
        networks.append(replaced_network(path, published))
    for num_layers in args.layers:
        for feed_forward in FEED_FORWARDS:
            logger.info(f"BERT, {num_layers} layers, {feed_forward}")
            berts.append(bert(num_layers, feed_forward, args.length))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_record(args.out, networks=networks, bert=berts)
    print("\n".join(markdown(networks, berts)))


if __name__ == "__main__":
    main()
