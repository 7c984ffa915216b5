"""Training on files of GLUE's format, made for the purpose."""

import pytest

from mmhadaptive.analysis.training import ended_alike, read_curves
from mmhadaptive.io.checkpoint import load_checkpoint_file

from ..paths import CONFIGS

pytest.importorskip("transformers")

TINY = ["model.num_layers=1", "model.hidden_size=32", "model.num_attention_heads=2"]
TINY += ["optim_wrapper.optimizer.lr=0.005", "train_dataloader.batch_size=8"]
TINY += [f"{split}_dataloader.dataset.pipeline.0.length=24" for split in ("train", "val", "test")]


@pytest.fixture
def train(run_here, tmp_path):
    """Train a tiny BERT; returns the work dir."""

    def run(name, config, *options, settings=()):
        task = "mnli" if "mnli" in config else "sst2"
        if not (data := tmp_path / task).exists():
            sizes = ("--train", 240, "--dev", 64)
            run_here("data/make_glue_sample.py", task, "--out-dir", data, *sizes)
        options = ("--data-root", data, "--work-dir", tmp_path / name, *options)
        path = CONFIGS / "glue" / f"{config}.py"
        run_here("paper/train_glue.py", path, *options, "--cfg-options", *TINY, *settings)
        return tmp_path / name

    return run


def test_sst2_is_learned_and_a_run_in_pieces_ends_alike(train):
    sizes = ["model.num_selected=12"]
    whole = train("whole", "bert_6_ach_sst2", settings=sizes)
    curves, (record,) = read_curves(whole)
    assert record["config"].endswith("bert_6_ach_sst2.py")
    assert len(curves) == 3
    assert curves[3][0] < curves[1][0]
    # Chance is 50; the words of the templates tell the label.
    assert curves[3][1] > 80
    weights = load_checkpoint_file(whole / "epoch_3.pth")["state_dict"]
    prefix = "network.bert.encoder.layer.0"
    assert weights[f"{prefix}.output.dense.weight"].shape == (32, 32 + 66)
    # 90 steps, each of at most 1 %.
    assert weights[f"{prefix}.intermediate.ach.temperature.tau"] != 4.0
    # In the middle of the second epoch.
    stop = [f"default_hooks.timed_checkpoint.{key}" for key in ("stop_seconds=0", "interval=40")]
    pieces = train("pieces", "bert_6_ach_sst2", settings=[*sizes, *stop])
    assert load_checkpoint_file(pieces / "latest.pth")["meta"]["iter"] == 40
    train("pieces", "bert_6_ach_sst2", settings=[*sizes, "resume=True"])
    assert ended_alike(whole, pieces)


def test_mnli_with_a_given_tokenizer_and_another_fraction(train, tmp_path):
    words = ["[UNK]", "[CLS]", "[SEP]", "[MASK]", "[PAD]", "the", "is", "it", ".", "dull"]
    given = tmp_path / "given"
    given.mkdir()
    (given / "vocab.txt").write_text("\n".join(words) + "\n")
    options = ("--tokenizer", given, "--fraction", 0.5)
    work = train("work", "bert_12_ffn_fixed_mnli_10pct", *options)
    assert not (work / "vocab.txt").exists()
    weights = load_checkpoint_file(work / "epoch_3.pth")
    embedding = weights["state_dict"]["network.bert.embeddings.word_embeddings.weight"]
    assert embedding.shape == (len(words), 32)
    # The padding's stays zero, wherever it stands in the vocabulary.
    assert [not row.any() for row in embedding].index(True) == words.index("[PAD]")
    # Half of 240, by 8.
    assert weights["meta"]["iter"] == 3 * 15
    (scalars,) = work.glob("*/vis_data/scalars.json")
    assert '"accuracy/top1"' in scalars.read_text()


def test_missing_data_are_named_before_anything_is_written(run_here, tmp_path):
    options = ("--data-root", tmp_path / "data", "--work-dir", tmp_path / "work")
    with pytest.raises(FileNotFoundError, match=r"data/train\.tsv\n.*data/dev\.tsv"):
        run_here("paper/train_glue.py", CONFIGS / "glue" / "bert_6_ach_sst2.py", *options)
    assert not (tmp_path / "work").exists()
