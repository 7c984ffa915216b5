"""The sample set is made once, whole."""

import pytest


def test_existing_files_are_kept(run_here, tmp_path, capsys):
    out = tmp_path / "sst2"
    run_here("data/make_glue_sample.py", "sst2", "--out-dir", out, "--train", 4, "--dev", 2)
    before = {path.name: path.read_text() for path in out.iterdir()}
    assert {name: len(text.splitlines()) for name, text in before.items()} == {
        "train.tsv": 5,
        "dev.tsv": 3,
    }
    for path in (out, out / "dev.tsv"):
        with pytest.raises(SystemExit):
            run_here("data/make_glue_sample.py", "mnli", "--out-dir", path, "--train", 8)
        assert f"{path} exists" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in out.iterdir()} == before
