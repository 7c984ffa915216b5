"""Write the tables of docs/ anew from the records, or say which are not current.

python tools/dev/docs_tables.py
python tools/dev/docs_tables.py --check
"""

import argparse
import sys
from pathlib import Path

from mmhadaptive.analysis.docs import stale_blocks
from mmhadaptive.io.user_errors import run_script
from mmhadaptive.io.whole import write_file

DOCS = Path(__file__).resolve().parents[2] / "docs"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder (%(default)s)")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; status 1 if a table is not current"
    )
    args = parser.parse_args()
    stale = stale_blocks(args.docs)
    for path, (names, text) in stale.items():
        print(f"{path}: {', '.join(names)}")
        if not args.check:
            write_file(path, text)
    if args.check and stale:
        sys.exit("not what the records say: make docs-tables")


if __name__ == "__main__":
    run_script(main)
