"""At which size a config tests its network."""

import pytest
from mmengine.config import Config

from mmhadaptive.analysis.input_size import input_size

RESIZE = dict(type="Resize", scale=(1333, 800), keep_ratio=True)
EDGE = dict(type="ResizeEdge", scale=256, edge="short")
CROP = dict(type="CenterCrop", crop_size=224)
PACK = dict(type="PackInputs")


@pytest.mark.parametrize(
    ("pipeline", "preprocessor", "size"),
    [
        ([dict(type="Resize", scale=96), PACK], {}, (96, 96)),
        # Transforms have the width first, and it may be the longer side or the shorter.
        ([dict(type="Resize", scale=(64, 96)), PACK], {}, (96, 64)),
        ([RESIZE, PACK], {}, (800, 1333)),
        ([dict(RESIZE, scale=(800, 1333)), PACK], dict(pad_size_divisor=32), (800, 1344)),
        ([dict(RESIZE, scale=(640, 480)), dict(type="Pad", size=(640, 640))], {}, (640, 640)),
        ([EDGE, PACK], {}, (256, 256)),
        ([EDGE, CROP, PACK], dict(size=32), (224, 224)),
        ([PACK], dict(size=32), (32, 32)),
    ],
)
@pytest.mark.parametrize("place", ["config", "model"])
def test_pipelines_and_preprocessors(pipeline, preprocessor, size, place):
    cfg = Config(dict(model=dict(), test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    (cfg if place == "config" else cfg.model).data_preprocessor = preprocessor
    assert input_size(cfg) == size


def test_wrapped_data_sets_and_those_of_validation():
    dataset = dict(datasets=[dict(dataset=dict(pipeline=[CROP])), dict(pipeline=[EDGE])])
    cfg = Config(dict(model=dict(), test_dataloader=None, val_dataloader=dict(dataset=dataset)))
    assert input_size(cfg) == (224, 224)


def test_without_a_size():
    for cfg in (
        dict(model=dict(), test_dataloader=dict(dataset=dict(pipeline=[PACK]))),
        dict(model=dict(data_preprocessor=None)),
    ):
        with pytest.raises(ValueError, match="has no size"):
            input_size(Config(cfg))
