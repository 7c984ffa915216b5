"""Count the networks of configs/replacement and BERT, before and after: parameters, MACs, FLOPs.

Writes a record and prints its tables in Markdown.
"""

import argparse
from pathlib import Path

from mmengine.logging import MMLogger

from mmhadaptive.analysis.replaced import (
    bert_complexity,
    bert_table,
    replaced_complexity,
    replaced_table,
)
from mmhadaptive.io.published import FOLDER
from mmhadaptive.io.record import write_record
from mmhadaptive.models.bert import FEED_FORWARDS


def numbers_last(path):
    """A key for sorting by words, and by numbers where they differ: 9 before 10."""
    return [(w.isdigit(), int(w) if w.isdigit() else 0, w) for w in path.stem.split("_")]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="result file, .json")
    parser.add_argument("--layers", nargs="+", type=int, default=[6, 12], help="of BERT")
    parser.add_argument("--length", type=int, default=128, help="tokens for BERT")
    args = parser.parse_args()
    logger = MMLogger.get_instance("mmengine", logger_name="mmhadaptive")
    networks, berts = [], []
    for path in sorted((FOLDER / "configs/replacement").glob("*.py"), key=numbers_last):
        logger.info(path.stem)
        networks.append(replaced_complexity(path))
    for num_layers in args.layers:
        for feed_forward in FEED_FORWARDS:
            logger.info(f"BERT, {num_layers} layers, {feed_forward}")
            berts.append(bert_complexity(num_layers, feed_forward, args.length))
    write_record(args.out, networks=networks, bert=berts)
    print(replaced_table(networks))
    print(bert_table(berts), end="")


if __name__ == "__main__":
    main()
