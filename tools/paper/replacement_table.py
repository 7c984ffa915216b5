"""Count the networks of configs/replacement, before and after: parameters, MACs and FLOPs.

Writes a record and prints its table in Markdown.
"""

import argparse
from pathlib import Path

from mmengine.logging import MMLogger

from mmhadaptive.analysis.replaced import replaced_complexity, replaced_table
from mmhadaptive.io.model_index import FOLDER
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import run_script


def numbers_last(path):
    """A key for sorting by words, and by numbers where they differ: 9 before 10."""
    return [(w.isdigit(), int(w) if w.isdigit() else 0, w) for w in path.stem.split("_")]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="result file, .json")
    args = parser.parse_args()
    logger = MMLogger.get_instance("mmengine", logger_name="mmhadaptive")
    networks = []
    for path in sorted((FOLDER / "configs/replacement").glob("*.py"), key=numbers_last):
        logger.info(path.stem)
        networks.append(replaced_complexity(path))
    write_record(args.out, networks=networks)
    print(replaced_table(networks), end="")


if __name__ == "__main__":
    run_script(main)
