"""Training on files of GLUE's format, made for the purpose."""

import json

import pytest
import torch

pytest.importorskip("transformers")

TINY = ["--layers", 1, "--hidden-size", 32, "--heads", 2, "--num-selected", 12]
TINY += ["--length", 24, "--lr", 0.002]


@pytest.fixture
def data(tmp_path, run_here):
    for task in ("sst2", "mnli"):
        folder = tmp_path / task
        run_here("data/make_glue_sample.py", task, "--out-dir", folder, "--train", 320, "--dev", 64)
    return tmp_path


def test_sst2_is_learned_and_repeats_exactly(data, run_here, tmp_path):
    results = []
    for name in ("a", "b"):
        work = tmp_path / name
        run_here(
            "paper/train_glue.py", "sst2", data / "sst2", "--work-dir", work, *TINY, "--epochs", 5
        )
        results.append(json.loads((work / "result.json").read_text())["epochs"])
        weights = torch.load(work / "model.pth", weights_only=True)
        assert weights["bert.encoder.layer.0.output.dense.weight"].shape == (32, 32 + 66)
    assert results[0] == results[1]
    losses = [epoch["loss"] for epoch in results[0]]
    assert losses[-1] < losses[0]
    # Chance is 50; the words of the templates tell the label.
    assert results[0][-1]["accuracy"]["dev"] > 80
    # 50 steps, each of at most 1 %.
    assert results[0][-1]["tau"][0] != 4.0


def test_mnli_with_a_given_vocabulary(data, run_here, tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "is", "it", ".", "dull"]
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(words) + "\n")
    work = tmp_path / "work"
    command = [
        "paper/train_glue.py",
        "mnli",
        data / "mnli",
        "--work-dir",
        work,
        *TINY,
        "--epochs",
        1,
    ]
    run_here(*command, "--vocab", vocabulary, "--feed-forward", "fixed")
    result = json.loads((work / "result.json").read_text())
    assert result["vocabulary"] == len(words)
    assert set(result["epochs"][0]["accuracy"]) == {"dev_matched", "dev_mismatched"}
    assert result["epochs"][0]["loss"] > 0


def test_bad_files_are_named(run_here, tmp_path):
    def run(text):
        (tmp_path / "train.tsv").write_text(text)
        run_here("paper/train_glue.py", "sst2", tmp_path, "--work-dir", tmp_path / "w")

    with pytest.raises(ValueError, match=r"train.tsv has no column sentence; its columns .*'text'"):
        run("text\tlabel\n")
    with pytest.raises(ValueError, match=r"train.tsv, line 2: label '7' is none of"):
        run("sentence\tlabel\na\t7\n")
    with pytest.raises(ValueError, match=r"train.tsv, line 3: 1 columns, not 2"):
        run("sentence\tlabel\na\t1\nb\n")
    with pytest.raises(FileNotFoundError, match=r"no .*dev.tsv"):
        run("sentence\tlabel\na\t1\n")
    assert not (tmp_path / "w").exists()
