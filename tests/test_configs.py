"""Every config builds, takes a training step and predicts."""

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.structures import InstanceData

from mmhadaptive.io.published import published_figures

from .paths import ROOT

CONFIGS = sorted((ROOT / "configs" / "detection").glob("ssd_*.py"))


def samples(batch, size, num_classes):
    for _ in range(batch):
        sample = DetDataSample()
        corner = torch.rand(3, 2) * size / 2
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corner, corner + size / 3], dim=1),
            labels=torch.randint(num_classes, (3,)),
        )
        sample.set_metainfo(
            dict(
                img_shape=(size, size),
                ori_shape=(size, size),
                pad_shape=(size, size),
                batch_input_shape=(size, size),
                scale_factor=(1.0, 1.0),
            )
        )
        yield sample


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_trains_and_predicts(path):
    torch.manual_seed(0)
    cfg = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
        head = model.bbox_head
        data = dict(
            inputs=[torch.randint(0, 256, (3, 128, 128), dtype=torch.uint8) for _ in range(2)],
            data_samples=list(samples(2, 128, head.num_classes)),
        )
        losses = model(**model.data_preprocessor(data, training=True), mode="loss")
        total = sum(sum(value) for value in losses.values())
        assert total.isfinite()
        total.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
        model.eval()
        predictions = model.test_step(data)
        assert len(predictions) == 2
        assert predictions[0].pred_instances.bboxes.isfinite().all()


def test_paper_recipe():
    cfg = Config.fromfile(ROOT / "configs" / "detection" / "ssd_hadaptive_l_coco.py")
    assert cfg.optim_wrapper.optimizer == dict(type="SGD", lr=0.02, momentum=0.9, weight_decay=5e-4)
    assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=64)
    assert cfg.train_cfg.max_epochs == 120
    assert cfg.param_scheduler[1].eta_min == 1e-5
    assert [cfg.param_scheduler[0].end, cfg.param_scheduler[1].T_max] == [3, 117]
    strides = cfg.model.bbox_head.anchor_generator.strides
    assert strides == [8, 16, 32, 64, 128]
    init_default_scope("mmdet")
    model = MODELS.build(cfg.model).eval()
    with torch.no_grad():
        features = model.extract_feat(torch.zeros(1, 3, 320, 320))
    assert [feature.shape[-1] for feature in features] == [40, 20, 10, 5, 3]


def recipe(figure):
    """A config without what names its backbone's channels."""
    cfg = Config.fromfile(ROOT / figure.config).to_dict()
    model = cfg["model"]
    del model["backbone"], model["bbox_head"]["in_channels"]
    for key in ("in_channels", "out_channels"):
        del model["neck"][key]
    # Hadaptive-Net-L has the map at stride 64 itself.
    levels = [model["neck"].pop(key) for key in ("level_strides", "level_paddings")]
    backbone_maps = 4 if figure.name == "ssd_hadaptive_l_coco" else 3
    assert levels == [(2,) * (5 - backbone_maps), (1,) * (5 - backbone_maps)]
    return cfg


def test_the_detectors_of_table_6_have_one_recipe():
    figures = [figure for figure in published_figures() if figure.source == "Table 6"]
    assert len(figures) == 6
    first, *others = (recipe(figure) for figure in figures)
    assert all(other == first for other in others)


@pytest.mark.parametrize("arch", "sml")
def test_the_short_paths_name_the_same_configs(arch):
    short, long = (
        Config.fromfile(ROOT / "configs" / folder / f"ssd_hadaptive_{arch}_coco.py")
        for folder in ("", "detection")
    )
    assert short.to_dict() == long.to_dict()
