"""Train networks alike on CIFAR-100 at 64x64, and write one record of their accuracies.

    python tools/paper/compare_cifar100.py DATA work_dirs/compare_cifar100 --seconds 3600 \\
        --out docs/results/comparison_cifar100.json

DATA holds CIFAR-100's train.npz and test.npz. First Hadaptive-Net-S and its twin with Ghost in
place of the products, with every seed; then MobileNetV3-S, and that with cross-Hadamard blocks, for
20 epochs; then, for 10, the ablations, and S with larger batches. It ends after so many seconds;
called again it continues. ``--only`` takes part of them by words of their names, so that two
processes share the work. The record has what is trained to its end; pictures of the curves come
beside it. With these ``--cfg-options`` a dry run takes minutes:

    train_cfg.max_epochs=1 train_dataloader.dataset.dataset.fraction=0.01
"""

import argparse

from mmengine.logging import MMLogger

import mmhadaptive.engine  # noqa: F401  the scope of the configs
from mmhadaptive.analysis.cifar100_comparison import (
    ABLATIONS,
    BATCHES,
    NETWORKS,
    ablations_table,
    accuracies_table,
    batches_table,
    collect,
    curves_by_network,
    runs_of,
)
from mmhadaptive.analysis.runs import keep_settings, parse_arguments, train_all
from mmhadaptive.engine.quiet import quiet_imports
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import UserError, run_script
from mmhadaptive.io.whole import write_file
from mmhadaptive.visualization import draw_compared_curves, to_png


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="as in ghost seed1")
    return parse_arguments(parser)


def main():
    args = parse_args()
    quiet_imports()
    logger = MMLogger.get_instance("mmengine", logger_name="mmhadaptive")
    results = args.results.absolute()
    keep_settings(results, args.cfg_options)
    runs = list(runs_of(results, args.data.absolute(), args.seeds, args.cfg_options))
    chosen = [
        run
        for run in runs
        if any(word in str(run.work_dir.relative_to(results)) for word in args.only)
    ]
    if not chosen:
        raise UserError(f"no run has any of {args.only} in its name")
    train_all(chosen, args.seconds, logger.info)
    record = dict(runs=collect(runs))
    if args.out:
        write_record(args.out, options=args.cfg_options, **record)
        pictures = ((NETWORKS, ""), (ABLATIONS, "_ablations"), (BATCHES, "_batches"))
        for networks, ending in pictures:
            if curves := curves_by_network(record, networks):
                picture = to_png(draw_compared_curves(curves, "top-1 on the test set, %"), dpi=110)
                write_file(args.out.with_name(f"{args.out.stem}{ending}.png"), picture)
    print(accuracies_table(record))
    print(ablations_table(record))
    print(batches_table(record), end="")


if __name__ == "__main__":
    run_script(main)
