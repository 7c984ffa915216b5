"""Train a BERT of configs/glue on GLUE's files, with a given or a learned vocabulary.

    python tools/paper/train_glue.py configs/glue/bert_6_ach_sst2.py --data-root data/glue/SST-2

Where the folder of bert-base-uncased's tokenizer is given, tools/train.py does the same. Nothing is
downloaded. ``--cfg-options resume=True`` continues a run.
"""

from mmengine.registry import DATASETS

from mmhadaptive.datasets import learn_vocabulary, load_tokenizer
from mmhadaptive.engine.data_files import check_data_files
from mmhadaptive.engine.launch import load_config, run_arguments, train
from mmhadaptive.io.user_errors import run_script


def parse_args():
    parser = run_arguments(__doc__)
    parser.add_argument("--data-root", help="folder with the .tsv files, if not the config's")
    parser.add_argument(
        "--fraction", type=float, help="part of every class to train on, if not the config's"
    )
    parser.add_argument(
        "--tokenizer",
        metavar="FOLDER",
        help="with bert-base-uncased's tokenizer.json or vocab.txt; without it a vocabulary is "
        "learned from the text to train on and written into the work dir",
    )
    parser.add_argument("--vocab-size", type=int, default=30522, help="of a learned vocabulary")
    return parser.parse_args()


def main():
    args = parse_args()
    cfg = load_config(args)
    loaders = [cfg[f"{split}_dataloader"] for split in ("train", "val", "test")]
    if args.data_root is not None:
        for loader in loaders:
            loader.dataset.data_root = args.data_root
    if args.fraction is not None:
        cfg.train_dataloader.dataset.fraction = args.fraction
    check_data_files(cfg, ("train", "val"))
    if args.tokenizer is None:
        texts = DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=[]))
        sentences = [sentence for sample in texts for sentence in sample["text"]]
        learn_vocabulary(sentences, args.vocab_size, cfg.work_dir)
    folder = args.tokenizer or cfg.work_dir
    tokenizer = load_tokenizer(folder)
    cfg.model.update(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id)
    for loader in loaders:
        loader.dataset.pipeline[0].tokenizer = folder
    train(cfg)


if __name__ == "__main__":
    run_script(main)
