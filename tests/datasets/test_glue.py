"""SST-2 and MNLI from files of GLUE's format, and their word pieces."""

import pytest
import torch

from mmhadaptive.datasets import (
    GLUEFiles,
    WordPieces,
    learn_vocabulary,
    load_tokenizer,
    read_glue,
)

PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "plot", "is", "dull", "##er", ".")


@pytest.fixture
def vocabulary(tmp_path):
    """A folder with a vocabulary of few words, as bert-base-uncased's folder has one."""
    pytest.importorskip("transformers")
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    return folder


@pytest.fixture
def mnli(tmp_path):
    """A folder with 100 samples: 40 entail, 50 are neutral, 10 contradict."""
    names = ["entailment"] * 40 + ["neutral"] * 50 + ["contradiction"] * 10
    lines = [f'{i}\tthe "plot" {i}\tit is\t{name}' for i, name in enumerate(names)]
    for split in ("train", "dev_matched"):
        text = "\n".join(["index\tsentence1\tsentence2\tgold_label", *lines])
        (tmp_path / f"{split}.tsv").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("text\tlabel\n", r"train.tsv has no column sentence; its columns .*'text'"),
        ("sentence\tlabel\na\t7\n", r"train.tsv, line 2: label '7' is none of"),
        ("sentence\tlabel\na\t-\n", r"train.tsv, line 2: label '-' is none of"),
        ("sentence\tlabel\na\t1\nb\n", r"train.tsv, line 3: 1 columns, not 2"),
        ("sentence\tlabel\n", r"train.tsv has no samples"),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    (tmp_path / "train.tsv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_glue(tmp_path / "train.tsv", "sst2")


def test_samples_without_an_agreed_label_are_left_out(tmp_path):
    path = tmp_path / "dev_matched.tsv"
    path.write_text("gold_label\tsentence2\tsentence1\n-\ta\tb\nneutral\tc\td\n")
    assert read_glue(path, "mnli") == [dict(text=("d", "c"), label=1)]


def test_a_fraction_is_stratified_and_seeded(mnli):
    def texts(**kwargs):
        return [each["text"] for each in GLUEFiles(str(mnli), "mnli", "train", **kwargs)]

    tenth = GLUEFiles(str(mnli), "mnli", "train", fraction=0.1)
    assert sorted(sample["label"] for sample in tenth) == [0] * 4 + [1] * 5 + [2]
    assert texts(fraction=0.1) == texts(fraction=0.1, subset_seed=0)
    assert texts(fraction=0.1) != texts(fraction=0.1, subset_seed=1)
    assert set(texts(fraction=0.1)) < set(texts())
    assert texts()[0] == ('the "plot" 0', "it is")
    assert len(GLUEFiles(str(mnli), "mnli", "dev_matched")) == 100


def test_an_unknown_task(tmp_path):
    with pytest.raises(ValueError, match="task must be one of sst2, mnli, got 'rte'"):
        GLUEFiles(str(tmp_path), "rte", "train")
    with pytest.raises(FileNotFoundError, match=r"train\.tsv"):
        GLUEFiles(str(tmp_path), "sst2", "train")


def test_word_pieces(vocabulary):
    pieces = WordPieces(str(vocabulary), length=8)
    sample = pieces(dict(text=("The plot",), label=1))
    assert sample["input_ids"].tolist() == [2, 5, 6, 3, 0, 0, 0, 0]
    assert sample["attention_mask"].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert sample["token_type_ids"].tolist() == [0] * 8
    assert sample["labels"].dtype == torch.int64
    assert sample["labels"].item() == 1
    # Of two sentences the longer one is cut.
    sample = pieces(dict(text=("the plot is duller .", "xyz"), label=0))
    assert sample["input_ids"].tolist() == [2, 5, 6, 7, 8, 3, 1, 3]
    assert sample["token_type_ids"].tolist() == [0, 0, 0, 0, 0, 0, 1, 1]


def test_a_folder_without_a_tokenizer(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none has none of tokenizer.json, vocab.txt"):
        load_tokenizer(tmp_path / "none")


def test_a_tokenizer_of_transformers_is_read(vocabulary, tmp_path):
    """As save_pretrained and the folders of a model hub have it."""
    load_tokenizer(vocabulary).save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "vocab.txt").unlink()
    tokenizer = load_tokenizer(tmp_path / "saved")
    assert tokenizer.tokenize("The plot is duller.") == ["the", "plot", "is", "dull", "##er", "."]


def test_a_vocabulary_is_learned_the_same_every_time(tmp_path):
    pytest.importorskip("transformers")
    sentences = ["the plot is dull .", "a dull , dull plot", "The plots are duller : Ä"]
    for name in ("a", "b"):
        learn_vocabulary(sentences, 60, tmp_path / name)
    assert (tmp_path / "a/vocab.txt").read_bytes() == (tmp_path / "b/vocab.txt").read_bytes()
    tokenizer = load_tokenizer(tmp_path / "a")
    assert len(tokenizer) <= 60
    assert tokenizer.convert_tokens_to_ids(["[PAD]", "[CLS]"]) == [0, 2]
    assert tokenizer.tokenize("Dull PLOT") == ["dull", "plot"]
    learn_vocabulary(sentences, 50, tmp_path / "b")
    assert len(load_tokenizer(tmp_path / "b")) <= 50
