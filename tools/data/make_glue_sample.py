"""Write a small set in the format of GLUE's SST-2 or MNLI, to try tools/paper/train_glue.py on.

The sentences are made from templates. A model that learns anything gets most of them right; the
accuracy says nothing about GLUE.
"""

import argparse
import random
from pathlib import Path

from mmhadaptive.io.user_errors import run_script
from mmhadaptive.io.whole import new_folder

GOOD = ["moving", "brilliant", "funny", "tender", "gripping", "honest", "clever", "warm", "lovely"]
BAD = ["dull", "clumsy", "shallow", "tedious", "noisy", "stale", "hollow", "bland", "lifeless"]
NOUNS = ["film", "plot", "cast", "score", "script", "ending", "story", "scene", "dialogue"]
NEUTRAL = ["long", "recent", "french", "short", "second", "final", "whole", "first", "late"]


def sentence(rng, word):
    noun = rng.choice(NOUNS)
    return rng.choice(
        [
            f"the {rng.choice(NEUTRAL)} {noun} is {word} .",
            f"a {word} {noun} , and a {rng.choice(NEUTRAL)} one .",
            f"i found this {noun} rather {word} .",
        ]
    )


def sst2(rng, count):
    yield "sentence\tlabel"
    for _ in range(count):
        label = rng.randrange(2)
        yield f"{sentence(rng, rng.choice((BAD, GOOD)[label]))}\t{label}"


def mnli(rng, count):
    yield "index\tsentence1\tsentence2\tgold_label"
    for i in range(count):
        side, label = rng.randrange(2), rng.randrange(3)
        words = (GOOD, BAD)[side], NEUTRAL, (BAD, GOOD)[side]
        first, second = rng.choice((GOOD, BAD)[side]), rng.choice(words[label])
        name = ("entailment", "neutral", "contradiction")[label]
        yield f"{i}\t{sentence(rng, first)}\tit is {second} .\t{name}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=["sst2", "mnli"])
    parser.add_argument("--out-dir", type=Path, required=True)
    parser.add_argument("--train", type=int, default=640)
    parser.add_argument("--dev", type=int, default=160)
    args = parser.parse_args()
    make, tests = (
        (sst2, ["dev"]) if args.task == "sst2" else (mnli, ["dev_matched", "dev_mismatched"])
    )
    files = [("train", args.train), *((name, args.dev) for name in tests)]
    try:
        with new_folder(args.out_dir) as folder:
            for seed, (name, count) in enumerate(files):
                text = "\n".join(make(random.Random(seed), count)) + "\n"
                (folder / f"{name}.tsv").write_text(text, encoding="utf-8")
    except FileExistsError as error:
        parser.error(str(error))


if __name__ == "__main__":
    run_script(main)
