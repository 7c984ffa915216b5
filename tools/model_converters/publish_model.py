"""Prepare a checkpoint for publication: weights and what inference needs, nothing of the training.

    python tools/model_converters/publish_model.py work_dirs/demo/detector/epoch_4.pth digits.pth

writes ``digits-<first eight digits of its sha256>.pth`` and prints that name. Optimizer, schedules
and log are left out, and so are the folders of absolute paths in the config that it carries.
"""

import argparse

from mmhadaptive.io.publish import KEYS, publish
from mmhadaptive.io.user_errors import blame_config, run_script


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("in_file", help="a checkpoint that training wrote")
    parser.add_argument("out_file", help="name of the file, to which the digits are added")
    parser.add_argument(
        "--save-keys", nargs="+", default=KEYS, help=f"what to keep ({' '.join(KEYS)})"
    )
    parser.add_argument(
        "--no-ema",
        action="store_true",
        help="where training averaged the weights, those that it averaged",
    )
    parser.add_argument("--half", action="store_true", help="weights in float16")
    args = parser.parse_args()
    options = dict(keys=args.save_keys, averaged=not args.no_ema, half=args.half)
    with blame_config():
        name = publish(args.in_file, args.out_file, **options)
    print(name)


if __name__ == "__main__":
    run_script(main)
