"""The index maths of the CPU and the CUDA kernels, for every number of selected channels."""

import itertools
import math
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from mmhadaptive.ops import arguments

HEADER = Path(__file__).resolve().parents[2] / "csrc" / "core" / "cross_hadamard.h"

# Prints the names of the strategies and, for every k, the pairs in their order, by the closed form
# for guesses of the root that are one too low, exact and one too high and for its own guess, and
# the pairs and positions of every block of `parity`.
PROGRAM = """
#include <cmath>
#include <cstdio>
#include "cross_hadamard_call.h"
using namespace mmhadaptive;
int main() {
  for (const NamedStrategy& known : kStrategies) {
    std::printf("strategy %s\\n", known.name);
  }
  for (int k = kMinSelected; k <= kMaxSelected; ++k) {
    for (int p = 0; p < pair_count(k); ++p) {
      const int root = static_cast<int>(std::sqrt(8.0 * (pair_count(k) - 1 - p) + 1));
      std::printf("pair %d %d", k, p);
      for (int error = -1; error <= 1; ++error) {
        const Pair direct = pair_direct(k, p, root + error);
        std::printf(" %d %d", direct.i, direct.j);
      }
      const Pair guessed = pair_direct(k, p);
      std::printf(" %d %d\\n", guessed.i, guessed.j);
    }
    for (int id = 0; id < k; ++id) {
      for (int other = 0; other < k; ++other) {
        if (parity_takes(id, other)) {
          const Pair pair = other < id ? Pair{other, id} : Pair{id, other};
          const int p = pair_position(k, pair);
          std::printf("block %d %d %d %d %d\\n", k, id, pair.i, pair.j, p);
        }
      }
    }
  }
}
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    folder = tmp_path_factory.mktemp("index_maths")
    (folder / "program.cpp").write_text(PROGRAM)
    flags = ("-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{HEADER.parent}")
    command = ["g++", *flags, folder / "program.cpp", "-o", folder / "program"]
    subprocess.run(command, check=True)
    text = subprocess.run([folder / "program"], check=True, capture_output=True, text=True).stdout
    rows = defaultdict(list)
    for line in text.splitlines():
        kind, first, *rest = line.split()
        rows[kind, first].append(tuple(map(int, rest)))
    return rows


def algorithm_2(c, block):
    """As the paper prints it, from line 1 to line 10."""
    for it in range(c):
        if it < block and not (block - it) % 2:
            yield it, block
        elif it > block and (block - it) % 2:
            yield block, it


@pytest.mark.parametrize("selected", range(2, 65))
def test_every_pair(printed, selected):
    expected = list(itertools.combinations(range(selected), 2))
    rows = printed["pair", str(selected)]
    assert [row[0] for row in rows] == list(range(len(expected)))
    for guess in range(4):
        assert [row[1 + 2 * guess : 3 + 2 * guess] for row in rows] == expected


@pytest.mark.parametrize("selected", range(2, 65))
def test_blocks_of_parity_are_those_of_algorithm_2(printed, selected):
    rows = printed["block", str(selected)]
    blocks = [[row[1:3] for row in rows if row[0] == block] for block in range(selected)]
    assert blocks == [list(algorithm_2(selected, block)) for block in range(selected)]
    # Every pair once, each where it belongs, and blocks that have as much to do as each other.
    expected = list(itertools.combinations(range(selected), 2))
    assert {row[3]: row[1:3] for row in rows} == dict(enumerate(expected))
    assert len(rows) == len(expected)
    sizes = [len(block) for block in blocks]
    assert max(sizes) - min(sizes) <= 1


def test_the_closed_form_of_the_paper_is_right_with_the_floor_of_the_half():
    """Half of the floor, as printed, is not."""
    n = 32
    roots = [(2 * n - 1) - math.sqrt((2 * n - 1) ** 2 - 8 * p) for p in range(n * (n - 1) // 2)]
    rows = [i for i, _ in itertools.combinations(range(n), 2)]
    assert [math.floor(root / 2) for root in roots] == rows
    assert sum(math.floor(root) / 2 == i for root, i in zip(roots, rows, strict=True)) == 271


def test_names_of_the_strategies_agree(printed):
    names = [name for kind, name in printed if kind == "strategy"]
    assert names == list(arguments.STRATEGIES)


def test_limits_agree():
    text = HEADER.read_text()
    assert f"kMinSelected = {arguments.MIN_SELECTED};" in text
    assert f"kMaxSelected = {arguments.MAX_SELECTED};" in text
