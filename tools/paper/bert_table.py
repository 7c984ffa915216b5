"""Count parameters and MACs of the BERT classifiers of Table 13, for two classes.

Writes a record and prints its table in Markdown.
"""

import argparse
from pathlib import Path

from mmhadaptive.analysis.bert import bert_complexity, bert_table
from mmhadaptive.io.record import write_record
from mmhadaptive.models.bert import FEED_FORWARDS


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="result file, .json")
    parser.add_argument("--layers", nargs="+", type=int, default=[6, 12])
    parser.add_argument("--length", type=int, default=128, help="tokens")
    args = parser.parse_args()
    entries = [
        bert_complexity(num_layers, feed_forward, args.length)
        for num_layers in args.layers
        for feed_forward in FEED_FORWARDS
    ]
    write_record(args.out, bert=entries)
    print(bert_table(entries), end="")


if __name__ == "__main__":
    main()
