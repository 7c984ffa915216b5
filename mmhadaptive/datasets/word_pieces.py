"""Texts as the word pieces of BERT, and a vocabulary of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from mmengine.registry import TRANSFORMS

from mmhadaptive.io.whole import write_file
from mmhadaptive.optional import TRANSFORMERS, needs

if TYPE_CHECKING:
    from transformers import BertTokenizerFast

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Characters of a learned vocabulary, the most frequent ones.
ALPHABET = 1000


def load_tokenizer(folder: str | Path) -> BertTokenizerFast:
    """The tokenizer in a folder, such as a copy of ``bert-base-uncased``; nothing is downloaded.

    Args:
        folder: It has a ``tokenizer.json`` or a ``vocab.txt``.

    Raises:
        FileNotFoundError: It has neither.
        ImportError: transformers is not installed.
    """
    names = ("tokenizer.json", "vocab.txt")
    if not any(Path(folder, name).is_file() for name in names):
        raise FileNotFoundError(f"{folder} has none of {', '.join(names)}")
    with needs(*TRANSFORMERS, user=__name__):
        from transformers import BertTokenizerFast

    return BertTokenizerFast.from_pretrained(str(folder), local_files_only=True)


def learn_vocabulary(sentences: Sequence[str], size: int, folder: str | Path) -> None:
    """Write a ``vocab.txt`` of lower-case word pieces, the same one for the same sentences.

    Args:
        sentences: What to learn from.
        size: Number of word pieces, at most.
        folder: Where to write it, for :func:`load_tokenizer`.

    Raises:
        ImportError: transformers, which brings tokenizers, is not installed.
    """
    with needs(*TRANSFORMERS, user=__name__):
        from tokenizers import BertWordPieceTokenizer

    learned = BertWordPieceTokenizer(lowercase=True)
    counts = Counter()
    for sentence in sentences:
        counts.update(learned.normalize(sentence))
    alphabet = sorted(counts, key=lambda c: (-counts[c], c))[:ALPHABET]
    # The trainer numbers what it has not seen in the order of a hash table, which changes from run
    # to run, and breaks ties by number: so it gets every character first, in order.
    first = [*SPECIAL_TOKENS, *alphabet, *(f"##{character}" for character in alphabet)]
    learned.train_from_iterator(
        sentences,
        vocab_size=size,
        limit_alphabet=len(alphabet),
        initial_alphabet=alphabet,
        special_tokens=[token for token in first if not token.isspace() and token != "## "],
        show_progress=False,
    )
    numbers = learned.get_vocab()
    pieces = sorted(numbers, key=numbers.get)
    write_file(Path(folder) / "vocab.txt", "\n".join(pieces) + "\n")


@TRANSFORMS.register_module()
class WordPieces:
    """Turn the one or two sentences of a sample into word pieces.

    All samples get the same length, since the scores of cross-Hadamard layers pool over the
    padding.

    Args:
        tokenizer: Folder of a tokenizer; see :func:`load_tokenizer`.
        length: Number of word pieces; what is beyond is cut off.

    A sample ``dict(text, label)`` becomes ``dict(input_ids, token_type_ids, attention_mask)``, of
    shape ``(length,)``, and ``labels``, all int64.
    """

    def __init__(self, tokenizer: str, length: int = 128) -> None:
        self.tokenizer = load_tokenizer(tokenizer)
        self.length = length

    def __call__(self, sample: dict) -> dict[str, torch.Tensor]:
        pieces = self.tokenizer(
            *sample["text"], truncation=True, padding="max_length", max_length=self.length
        )
        names = ("input_ids", "token_type_ids", "attention_mask")
        inputs = {name: torch.tensor(pieces[name]) for name in names}
        return dict(inputs, labels=torch.tensor(sample["label"]))
