"""Parallel branches are merged without a change of the result."""

import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from mmhadaptive.models import merge_branches


@pytest.mark.parametrize("library", ["mmpretrain", "timm"])
def test_results_stay(library):
    if library == "timm":
        pytest.importorskip("timm")
        cfg = dict(type="TimmClassifier", model_name="mobileone_s0", num_classes=4)
    else:
        cfg = dict(type="ImageClassifier", backbone=dict(type="MobileOne", arch="s0"))
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build(cfg).eval()
    image = torch.randn(1, 3, 32, 32)
    before = len(list(model.modules()))
    with torch.no_grad():
        (expected,) = model(image)
        merge_branches(model)
        (merged,) = model(image)
    assert (merged - expected).abs().max() < 1e-3 * expected.abs().max()
    assert len(list(model.modules())) < before
