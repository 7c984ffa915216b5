"""Check the data of a detector's config before a training: annotations, boxes and every picture.

It counts the boxes of each class, and lists what is wrong with data sets of COCO's and VOC's form.
The exit status is 0 where nothing is, else 2.
"""

from rich.progress import track

from mmhadaptive.analysis.tables import markdown_table
from mmhadaptive.engine.check_data import check_annotations, check_pictures, picture_problems
from mmhadaptive.engine.data_files import check_data_files
from mmhadaptive.engine.launch import config_arguments, read_config
from mmhadaptive.io.user_errors import UserError, run_script


def parse_args():
    parser = config_arguments(__doc__)
    parser.add_argument(
        "--split",
        nargs="+",
        choices=("train", "val", "test"),
        default=("train", "val"),
        help="what to check (train val)",
    )
    return parser.parse_args()


def main():
    args = parse_args()
    cfg = read_config(args)
    check_data_files(cfg, args.split)
    report = check_annotations(cfg, args.split)
    pictures = report.pictures()
    found = track(check_pictures(pictures), "Decoding", total=len(pictures))
    problems = report.problems + picture_problems(found)
    print(markdown_table(*report.counts()), end="")
    for note in report.notes:
        print(f"Note: {note}")
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise UserError(f"{args.config}: the data do not fit or are damaged:\n{lines}")
    print(f"{len(pictures)} pictures and their annotations are sound.")


if __name__ == "__main__":
    run_script(main)
