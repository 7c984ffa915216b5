"""Search in the space of Table 3 on CIFAR-100, train what is found, and write one record.

    python tools/paper/search_cifar100.py DATA work_dirs/search_cifar100 --seconds 3600 \\
        --out docs/results/search_cifar100.json

DATA holds CIFAR-100's train.npz and test.npz. For every seed: the search, and then trainings of the
derived network, of Hadaptive-Net-S, and of that with Ghost in place of its products, all at 64x64.
It ends after so many seconds; called again it continues. Two processes, each with one of the
``--seeds`` and without ``--out``, share the work; when both are done, the command above writes the
record, and a picture of each search beside it. With these ``--cfg-options`` a dry run takes
minutes:

    train_cfg.max_epochs=1 train_dataloader.dataset.dataset.fraction=0.01
"""

import argparse

from mmengine.logging import MMLogger

import mmhadaptive.engine  # noqa: F401  the scope of the configs
from mmhadaptive.analysis.runs import parse_arguments
from mmhadaptive.analysis.search_comparison import (
    collect,
    read_history,
    run_all,
    search_table,
    searched_table,
)
from mmhadaptive.engine.quiet import quiet_imports
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import run_script
from mmhadaptive.io.whole import write_file
from mmhadaptive.visualization import draw_confidence, to_png


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    return parse_arguments(parser)


def main():
    args = parse_args()
    quiet_imports()
    logger = MMLogger.get_instance("mmengine", logger_name="mmhadaptive")
    data, results = args.data.absolute(), args.results.absolute()
    if not run_all(results, data, args.seeds, args.seconds, args.cfg_options, logger.info):
        return
    record = collect(results, args.seeds)
    if args.out:
        write_record(args.out, options=args.cfg_options, **record)
        for seed in args.seeds:
            history = read_history(results / f"seed{seed}" / "search")
            epochs = [list(epoch.values()) for epoch in history]
            picture = to_png(draw_confidence(list(history[0]), epochs), dpi=110)
            write_file(args.out.with_name(f"{args.out.stem}_seed{seed}.png"), picture)
    print(search_table(record))
    print(searched_table(record), end="")


if __name__ == "__main__":
    run_script(main)
