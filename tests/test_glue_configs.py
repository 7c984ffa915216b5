"""The configs of Table 13: the three feed-forwards of two depths, on two data sets."""

import itertools

import pytest
from mmengine.config import Config

from mmhadaptive.io.published import published_figures

from .paths import CONFIGS

pytest.importorskip("transformers")
from mmhadaptive.models.bert import FEED_FORWARDS, build_bert

PATHS = {path.stem: path for path in (CONFIGS / "glue").glob("*.py")}
CLASSES = {"sst2": 2, "mnli_10pct": 3}
ALL = list(itertools.product((6, 12), FEED_FORWARDS, CLASSES))


def test_every_config_is_what_its_name_says():
    assert PATHS.keys() == {f"bert_{depth}_{kind}_{task}" for depth, kind, task in ALL}
    for depth, kind, task in ALL:
        cfg = Config.fromfile(PATHS[f"bert_{depth}_{kind}_{task}"], import_custom_modules=False)
        assert cfg.model == dict(
            type="BERTClassifier", num_labels=CLASSES[task], num_layers=depth, feed_forward=kind
        )


@pytest.mark.parametrize("task", CLASSES)
def test_the_recipe_is_the_papers(task):
    cfg = Config.fromfile(PATHS[f"bert_6_ach_{task}"])
    train, val = cfg.train_dataloader, cfg.val_dataloader
    assert (train.batch_size, val.batch_size) == (32, 64)
    assert train.dataset.get("fraction", 1) == (0.1 if task == "mnli_10pct" else 1)
    # The whole validation set; of MNLI, the matched one.
    assert val.dataset.split == ("dev_matched" if task == "mnli_10pct" else "dev")
    assert "fraction" not in val.dataset
    assert cfg.test_dataloader == val
    for loader in (train, val):
        assert loader.dataset.data_root == cfg.data_root
        assert loader.dataset.pipeline == [
            dict(type="WordPieces", tokenizer="data/bert-base-uncased", length=128)
        ]
    assert cfg.optim_wrapper.type == "OptimWrapper"
    assert cfg.optim_wrapper.optimizer == dict(type="AdamW", lr=2e-5, weight_decay=0.01)
    warmup, decay = cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == decay.end == 3
    assert warmup.end == decay.begin == pytest.approx(0.1 * 3)


@pytest.mark.parametrize("kind", FEED_FORWARDS)
def test_channels_of_table_13(kind):
    layer = build_bert(kind, num_layers=1, vocab_size=40).bert.encoder.layer[0]
    ours = layer.output.dense.out_features, layer.output.dense.in_features
    names = [f"bert_{depth}_{kind}_{task}" for depth, task in itertools.product((6, 12), CLASSES)]
    printed = {f.name: tuple(f.channels.values()) for f in published_figures() if f.channels}
    for name in names:
        # Where the paper prints 764, BERT-base has 768.
        assert tuple(768 if each == 764 else each for each in printed[name]) == ours
