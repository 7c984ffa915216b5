"""The tables in the docs are those of the records."""

import re
import shutil

import pytest

from mmhadaptive.analysis.docs import BLOCK, TABLES, stale_blocks

from ..paths import DOCS, ROOT

EXAMPLE = "<!-- table: replaced-trained -->\n<!-- end -->\n"


@pytest.fixture
def copied(tmp_path):
    pictures = shutil.ignore_patterns("*.png")
    return shutil.copytree(DOCS, tmp_path / "docs", ignore=pictures)


def test_the_docs_are_current(run_here):
    run_here("dev/docs_tables.py", "--check")


def test_every_table_stands_somewhere():
    text = "".join(path.read_text() for path in [ROOT / "README.md", *DOCS.rglob("*.md")])
    # These join the docs with their records.
    records = {"bccd-comparison": "bccd_comparison.json", "trials": "trials.json"}
    records |= dict.fromkeys(("search", "searched"), "search_cifar100.json")
    cifar100 = ("accuracies", "ablations", "batch-sizes")
    records |= dict.fromkeys(cifar100, "comparison_cifar100.json")
    records["search-step"] = "search_step.json"
    latency = ("latency", "latency-ratios", "latency-targets", "latency-detectors")
    records |= dict.fromkeys(latency, "latency.json")
    missing = {name for name, file in records.items() if not (DOCS / "results" / file).exists()}
    assert {name for name, _ in BLOCK.findall(text)} == TABLES.keys() - missing


@pytest.mark.parametrize(
    ("changed", "old", "new"),
    [
        ("plugin.md", "| 57.51 |", "| 57.52 |"),
        ("results/bert.json", "bert_6_ach_sst2", "bert_7_ach_sst2"),
    ],
)
def test_a_number_that_differs_is_found_and_written_anew(
    copied, run_here, capsys, changed, old, new
):
    path, page = copied / changed, copied / "plugin.md"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    before = page.read_text()
    with pytest.raises(SystemExit) as error:
        run_here("dev/docs_tables.py", "--check", "--docs", copied)
    # Python prints a status that is text, and exits with 1.
    assert "make docs-tables" in error.value.code
    assert capsys.readouterr().out == f"{page}: bert\n"
    assert page.read_text() == before
    run_here("dev/docs_tables.py", "--docs", copied)
    assert page.read_text() != before
    assert stale_blocks(copied) == {}
    if page == path:
        assert page.read_text() == (DOCS / "plugin.md").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (EXAMPLE.replace("replaced-trained", "other"), "no table is called other"),
        (EXAMPLE.replace("<!-- end -->\n", "") + EXAMPLE, "has no <!-- end -->"),
    ],
)
def test_a_block_that_cannot_be_filled(tmp_path, text, message):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match=re.escape(f"{page}: ") + ".*" + re.escape(message)):
        stale_blocks(tmp_path)
    assert page.read_text() == text


def test_the_readme_shows_the_logs(copied):
    page = copied.parent / "README.md"
    page.write_text((ROOT / "README.md").read_text())
    assert stale_blocks(copied) == {}
    log = copied / "results" / "demo.txt"
    log.write_text(re.sub(r"Trained in \S+", "Trained in 123.4", log.read_text()))
    ((changed, (names, text)),) = stale_blocks(copied).items()
    assert (changed, names) == (page, ["first-contact"])
    assert "| 123.4 minutes |" in text
    log.write_text("")
    with pytest.raises(ValueError, match=r"demo\.txt has no line like"):
        stale_blocks(copied)
