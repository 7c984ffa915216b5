"""Preprocessing without torch equals the test pipelines and data preprocessors, to the pixel."""

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import MODELS, DefaultScope

from mmhadaptive.deploy import describe, preprocess, read_picture
from mmhadaptive.io.user_errors import UserError, UserValueError

from ..paths import CONFIGS, SHARED

SIZES = [(37, 50), (64, 41), (200, 333), (96, 96)]
RESIZE = dict(type="Resize", scale=(96, 64), keep_ratio=False)
KEPT = dict(type="Resize", scale=(96, 64), keep_ratio=True)
PAD = dict(type="Pad", size=(100, 99), pad_val=dict(img=(114, 113, 112)))
EDGE = dict(type="ResizeEdge", scale=72, edge="short", interpolation="bicubic")
CROP = dict(type="CenterCrop", crop_size=64)
SWAPPED = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])


def pictures(shared):
    rng = np.random.default_rng(0)
    for height, width in SIZES:
        picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        yield cv2.GaussianBlur(picture, (3, 3), 1)
    if shared.is_dir():
        yield from map(read_picture, sorted(shared.glob("coco256/**/*.jpg"))[:3])


def config(scope, pipeline, preprocessor):
    detects = scope == "mmdet"
    end = dict(type="PackDetInputs" if detects else "PackInputs")
    return Config(
        dict(
            default_scope=scope,
            preprocessor=dict(
                type="DetDataPreprocessor" if detects else "ClsDataPreprocessor", **preprocessor
            ),
            test_dataloader=dict(dataset=dict(pipeline=[*pipeline, end])),
        )
    )


class Model(torch.nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.data_preprocessor = MODELS.build(cfg.preprocessor)


@pytest.mark.parametrize(
    ("scope", "pipeline", "preprocessor", "size"),
    [
        ("mmdet", [RESIZE], dict(bgr_to_rgb=True, **SWAPPED), None),
        ("mmdet", [KEPT, PAD], dict(bgr_to_rgb=False, **SWAPPED), None),
        ("mmdet", [KEPT], dict(bgr_to_rgb=True, pad_size_divisor=96, **SWAPPED), (96, 96)),
        ("mmpretrain", [EDGE, CROP], dict(to_rgb=True, **SWAPPED), None),
        ("mmpretrain", [dict(type="Resize", scale=33)], dict(to_rgb=False), None),
    ],
)
def test_to_the_pixel(scope, pipeline, preprocessor, size):
    cfg = config(scope, pipeline, preprocessor)
    with DefaultScope.overwrite_default_scope(scope):
        model, transform = Model(cfg), Compose(cfg.test_dataloader.dataset.pipeline)
        about = describe(cfg, model, size)
        if size:
            # The resizing stays; what it leaves is padded.
            about["transforms"][0]["scale"] = [96, 64]
        for picture in pictures(SHARED):
            shape = picture.shape[:2]
            data = transform(dict(img=picture.copy(), img_shape=shape, ori_shape=shape))
            expected = model.data_preprocessor(pseudo_collate([data]), False)
            x, factors, covered = preprocess(picture, about)
            np.testing.assert_array_equal(x, expected["inputs"][0].numpy())
            meta = expected["data_samples"][0].metainfo
            if scope == "mmdet":
                np.testing.assert_allclose(factors, meta["scale_factor"])
                assert covered == tuple(meta["img_shape"])


def test_all_our_configs_have_a_description():
    """But those of text."""
    paths = [*CONFIGS.glob("detection/*.py"), *CONFIGS.glob("classification/*/hadaptive_*.py")]
    for path in paths:
        cfg = Config.fromfile(path)
        # These have pictures of several sizes, or pictures that are never resized.
        several = any(
            name in path.name for name in ("faster_rcnn", "retinanet", "32px", "s_digits")
        )
        about = describe(cfg, torch.nn.Identity(), [320, 320] if several else None)
        assert min(about["size"]) >= 32


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ([dict(type="RandomFlip", prob=0.5)], "RandomFlip of the test pipeline has no counterpart"),
        ([KEPT], "pictures of several sizes: give the size"),
        ([dict(RESIZE, backend="pillow")], "backend='pillow'"),
    ],
)
def test_pipelines_without_a_counterpart(pipeline, message):
    with pytest.raises(UserError, match=message):
        describe(config("mmdet", pipeline, {}), torch.nn.Identity())


def test_pictures_that_do_not_decode(tmp_path):
    path = tmp_path / "picture.png"
    for content in (b"", b"no picture"):
        path.write_bytes(content)
        with pytest.raises(UserValueError, match=r"picture\.png does not decode"):
            read_picture(path)
    with pytest.raises(FileNotFoundError, match="none"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(UserValueError, match=r"\(H, W, 3\) of uint8, got \(4, 4\) of float64"):
        read_picture(np.zeros((4, 4)))
    about = dict(transforms=[], size=(3, 3))
    with pytest.raises(UserValueError, match=r"becomes \(4, 4\)"):
        preprocess(np.zeros((4, 4, 3), np.uint8), about)
