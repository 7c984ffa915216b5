"""Show which operators of an ONNX file take the time in ONNX Runtime, on the CPU."""

import argparse
from pathlib import Path

from mmhadaptive.analysis.onnx_profile import operator_times, overhead
from mmhadaptive.io.record import write_record
from mmhadaptive.io.user_errors import run_script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="+", help="a file of tools/export.py")
    parser.add_argument("--runs", type=int, default=200, help="(%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--record", metavar="FILE.json", help="write it with versions and device")
    args = parser.parse_args()
    found = {}
    for path in args.file:
        if not path.is_file():
            raise FileNotFoundError(f"no model at {path}")
        times = operator_times(path, args.runs, args.threads)
        total = sum(entry["microseconds"] for entry in times.values())
        print(f"{path.name}: {total / 1000:.2f} ms")
        for name, entry in times.items():
            share = entry["microseconds"] / total
            print(f"  {name:20} {entry['count']:4} {entry['microseconds']:8.0f} us {share:6.1%}")
        print(f"  neither convolution nor Gemm: {overhead(times):.1%}")
        found[path.stem] = dict(operators=times, overhead=overhead(times))
    if args.record:
        write_record(args.record, runs=args.runs, threads=args.threads, profiles=found)


if __name__ == "__main__":
    run_script(main)
