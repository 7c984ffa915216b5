"""Count parameters and MACs of the BERT classifiers of Table 13, by the configs for SST-2.

Writes a record and prints its table in Markdown.
"""

import argparse
from pathlib import Path

from mmhadaptive.analysis.bert import bert_complexity, bert_table
from mmhadaptive.io.model_index import FOLDER
from mmhadaptive.io.published import published_figures
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import run_script


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="result file, .json")
    parser.add_argument("--length", type=int, default=128, help="word pieces of a sentence")
    args = parser.parse_args()
    entries = [
        bert_complexity(FOLDER / figure.config, args.length)
        for figure in published_figures()
        if (figure.source, figure.dataset) == ("Table 13", "SST-2")
    ]
    write_record(args.out, bert=entries)
    print(bert_table(entries), end="")


if __name__ == "__main__":
    run_script(main)
