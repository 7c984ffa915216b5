"""Train a BERT classifier with one of the feed-forwards of Table 13 on SST-2 or MNLI.

The folder has the files of GLUE: train.tsv and dev.tsv for SST-2; train.tsv, dev_matched.tsv and
dev_mismatched.tsv for MNLI. The recipe is the paper's: random initialisation, 3 epochs, batch 32,
learning rate 2e-5 with 10 % of linear warm-up and a linear decay, weight decay 0.01 (not of biases
and normalisation, as usual), 128 tokens. The vocabulary is a vocab.txt of WordPiece, or is learned
from the training text. Nothing is downloaded.
"""

import argparse
import csv
import time
from collections import Counter
from pathlib import Path

import torch
from mmengine.logging import MMLogger
from tokenizers import BertWordPieceTokenizer
from torch import nn
from transformers import get_linear_schedule_with_warmup

from mmhadaptive.io.checkpoint import save_checkpoint_file
from mmhadaptive.io.record import write_record
from mmhadaptive.layers import adapt_temperature, adaptive_layers
from mmhadaptive.models.bert import FEED_FORWARDS, build_bert

# Columns of the text, column of the label, labels in the order of their numbers, files to test on.
TASKS = {
    "sst2": (("sentence",), "label", ("0", "1"), ("dev",)),
    "mnli": (
        ("sentence1", "sentence2"),
        "gold_label",
        ("entailment", "neutral", "contradiction"),
        ("dev_matched", "dev_mismatched"),
    ),
}

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Characters of a learned vocabulary, the most frequent ones.
ALPHABET = 1000


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("data", type=Path, help="folder with the .tsv files")
    parser.add_argument("--work-dir", type=Path, required=True, help="for vocabulary and results")
    parser.add_argument("--feed-forward", choices=FEED_FORWARDS, default="ach")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden-size", type=int, default=768)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--num-selected", type=int, default=51)
    parser.add_argument("--vocab", type=Path, help="a vocab.txt; learned without it")
    parser.add_argument("--vocab-size", type=int, default=30522, help="of the learned vocabulary")
    parser.add_argument("--length", type=int, default=128, help="tokens of a sample")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-5)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--warmup", type=float, default=0.1, help="part of all steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def read_tsv(path, task):
    """The texts, tuples of one or two sentences, and the labels, as numbers."""
    columns, label_column, labels, _ = TASKS[task]
    if not path.is_file():
        raise FileNotFoundError(f"no {path}")
    texts, numbers = [], []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        header = next(rows, [])
        for name in (*columns, label_column):
            if name not in header:
                raise ValueError(f"{path} has no column {name}; its columns are {header}")
        places = [header.index(name) for name in columns]
        label_place = header.index(label_column)
        for number, row in enumerate(rows, 2):
            if len(row) <= max(*places, label_place):
                raise ValueError(f"{path}, line {number}: {len(row)} columns, not {len(header)}")
            label = row[label_place]
            # MNLI marks samples on which the annotators did not agree.
            if label == "-" and task == "mnli":
                continue
            if label not in labels:
                raise ValueError(f"{path}, line {number}: label {label!r} is none of {labels}")
            texts.append(tuple(row[place] for place in places))
            numbers.append(labels.index(label))
    if not texts:
        raise ValueError(f"{path} has no samples")
    return texts, torch.tensor(numbers)


def build_tokenizer(args, texts):
    """A WordPiece tokenizer of the given vocabulary, or of one learned from ``texts``."""
    if args.vocab is not None and not args.vocab.is_file():
        raise FileNotFoundError(f"no vocabulary at {args.vocab}")
    path = args.vocab
    if path is None:
        learned = BertWordPieceTokenizer(lowercase=True)
        sentences = [sentence for text in texts for sentence in text]
        counts = Counter()
        for sentence in sentences:
            counts.update(learned.normalize(sentence))
        alphabet = sorted(counts, key=lambda c: (-counts[c], c))[:ALPHABET]
        # The trainer numbers what it has not seen in the order of a hash table, which changes from
        # run to run, and breaks ties by number: so it gets every character first, in order.
        first = [*SPECIAL_TOKENS, *alphabet, *(f"##{character}" for character in alphabet)]
        learned.train_from_iterator(
            sentences,
            vocab_size=args.vocab_size,
            limit_alphabet=len(alphabet),
            initial_alphabet=alphabet,
            special_tokens=[token for token in first if not token.isspace() and token != "## "],
            show_progress=False,
        )
        learned.save_model(str(args.work_dir))
        path = args.work_dir / "vocab.txt"
    tokenizer = BertWordPieceTokenizer(str(path), lowercase=True)
    tokenizer.enable_truncation(args.length)
    # To a fixed length, since the scores pool over the padding.
    tokenizer.enable_padding(length=args.length, pad_id=tokenizer.token_to_id("[PAD]"))
    return tokenizer


def encode(tokenizer, texts):
    """Token ids, types and mask, each (samples, length)."""
    encoded = tokenizer.encode_batch([text[0] if len(text) == 1 else text for text in texts])
    return [
        torch.tensor([getattr(e, name) for e in encoded], dtype=torch.int32)
        for name in ("ids", "type_ids", "attention_mask")
    ]


def forward(model, tensors, indices, device):
    ids, types, mask = (tensor[indices].long().to(device) for tensor in tensors)
    return model(input_ids=ids, token_type_ids=types, attention_mask=mask).logits


@torch.no_grad()
def accuracy(model, tensors, labels, args):
    """Per cent of correct answers."""
    model.eval()
    correct = 0
    for indices in torch.arange(len(labels)).split(args.batch_size):
        best = forward(model, tensors, indices, args.device).argmax(1).cpu()
        correct += (best == labels[indices]).sum().item()
    return 100 * correct / len(labels)


def parameter_groups(model, weight_decay):
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    return [dict(params=decayed, weight_decay=weight_decay), dict(params=others, weight_decay=0.0)]


def main():
    args = parse_args()
    logger = MMLogger.get_instance("mmengine", logger_name="mmhadaptive")
    *_, labels, test_files = TASKS[args.task]
    texts, train_labels = read_tsv(args.data / "train.tsv", args.task)
    tests = {name: read_tsv(args.data / f"{name}.tsv", args.task) for name in test_files}
    args.work_dir.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(args, texts)
    tensors = encode(tokenizer, texts)
    tests = {name: (encode(tokenizer, t), y) for name, (t, y) in tests.items()}
    logger.info(f"{len(texts)} samples, {tokenizer.get_vocab_size()} word pieces")

    torch.manual_seed(args.seed)
    model = build_bert(
        args.feed_forward,
        args.layers,
        len(labels),
        args.num_selected,
        args.hidden_size,
        num_attention_heads=args.heads,
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=max(args.length, 512),
        pad_token_id=tokenizer.token_to_id("[PAD]"),
    ).to(args.device)
    optimizer = torch.optim.AdamW(parameter_groups(model, args.weight_decay), lr=args.lr)
    adapt_temperature(model, optimizer)
    steps = -(-len(texts) // args.batch_size) * args.epochs
    schedule = get_linear_schedule_with_warmup(optimizer, round(args.warmup * steps), steps)
    generator = torch.Generator().manual_seed(args.seed)
    epochs, step, start = [], 0, time.perf_counter()
    for epoch in range(1, args.epochs + 1):
        model.train()
        total = 0.0
        batches = torch.randperm(len(texts), generator=generator).split(args.batch_size)
        for indices in batches:
            logits = forward(model, tensors, indices, args.device)
            loss = nn.functional.cross_entropy(logits, train_labels[indices].to(args.device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            total += loss.item()
            if step % 50 == 0:
                left = (time.perf_counter() - start) / step * (steps - step)
                logger.info(
                    f"step {step}/{steps}, loss {loss.item():.4f}, {left / 60:.0f} min left"
                )
        found = {name: round(accuracy(model, *test, args), 2) for name, test in tests.items()}
        taus = [layer.temperature.tau.item() for layer in adaptive_layers(model)]
        logger.info(f"epoch {epoch}: loss {total / len(batches):.4f}, accuracy {found}")
        epochs.append(
            dict(
                loss=round(total / len(batches), 5),
                accuracy=found,
                **(dict(tau=[round(t, 4) for t in taus]) if taus else {}),
            )
        )
        save_checkpoint_file(model.state_dict(), args.work_dir / "model.pth")
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    write_record(
        args.work_dir / "result.json",
        settings=settings,
        samples=len(texts),
        vocabulary=tokenizer.get_vocab_size(),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        epochs=epochs,
    )


if __name__ == "__main__":
    main()
