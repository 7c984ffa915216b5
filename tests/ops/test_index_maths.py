"""The index maths of the CPU and the CUDA kernels, for every number of selected channels."""

import itertools
import shutil
import subprocess
from pathlib import Path

import pytest

HEADER = Path(__file__).resolve().parents[2] / "csrc" / "core" / "cross_hadamard.h"

# Prints, for every k, the pairs in the order of `direct` for guesses of the root that are one too
# low, exact and one too high and for its own guess, and the pairs and positions in the order of
# `parity`.
PROGRAM = """
#include <cmath>
#include <cstdio>
#include "cross_hadamard.h"
using namespace mmhadaptive;
int main() {
  for (int k = kMinSelected; k <= kMaxSelected; ++k) {
    for (int p = 0; p < pair_count(k); ++p) {
      const int root = static_cast<int>(std::sqrt(8.0 * (pair_count(k) - 1 - p) + 1));
      std::printf("%d %d", k, p);
      for (int error = -1; error <= 1; ++error) {
        const Pair direct = pair_direct(k, p, root + error);
        std::printf(" %d %d", direct.i, direct.j);
      }
      const Pair guessed = pair_direct(k, p);
      std::printf(" %d %d", guessed.i, guessed.j);
      const Pair parity = pair_parity(k, p);
      std::printf(" %d %d %d\\n", parity.i, parity.j, pair_position(k, parity));
    }
  }
}
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    if shutil.which("g++") is None:
        pytest.skip("needs g++")
    folder = tmp_path_factory.mktemp("index_maths")
    (folder / "program.cpp").write_text(PROGRAM)
    flags = ("-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{HEADER.parent}")
    command = ["g++", *flags, folder / "program.cpp", "-o", folder / "program"]
    subprocess.run(command, check=True)
    text = subprocess.run([folder / "program"], check=True, capture_output=True, text=True).stdout
    rows = [tuple(map(int, line.split())) for line in text.splitlines()]
    return {k: list(group) for k, group in itertools.groupby(rows, key=lambda row: row[0])}


@pytest.mark.parametrize("selected", range(2, 65))
def test_every_pair(table, selected):
    expected = list(itertools.combinations(range(selected), 2))
    rows = table[selected]
    assert [row[1] for row in rows] == list(range(len(expected)))
    for guess in range(4):
        assert [row[2 + 2 * guess : 4 + 2 * guess] for row in rows] == expected
    # Parity meets every pair once, in another order, and knows where each belongs.
    parity = {row[12]: row[10:12] for row in rows}
    assert [parity[p] for p in range(len(expected))] == expected


def test_limits_agree():
    from mmhadaptive.ops import arguments

    text = HEADER.read_text()
    assert f"kMinSelected = {arguments.MIN_SELECTED};" in text
    assert f"kMaxSelected = {arguments.MAX_SELECTED};" in text
