"""Which images the hook touches, and what it draws."""

import pytest
import torch
from mmengine.visualization import Visualizer
from mmpretrain.structures import DataSample

from mmhadaptive.engine.hooks.cls_visualization_hook import ClsVisualizationHook


class Canvas:
    def __init__(self):
        self.drawn = []

    def visualize_cls(self, image, **kwargs):
        self.drawn.append(torch.from_numpy(image))


def draw(batch, **options):
    Visualizer.get_instance("nowhere")
    hook = ClsVisualizationHook(**options)
    hook._visualizer = Canvas()
    hook.after_test_iter(None, 0, batch, [DataSample() for _ in range(3)])
    return hook._visualizer.drawn


IMAGES = [torch.full((3, 2, 2), i) + torch.arange(3)[:, None, None] for i in range(3)]


def test_only_what_is_drawn_is_copied():
    images = [IMAGES[0], "never touched", IMAGES[2]]
    assert not draw(dict(inputs=["never", "touched", "either"]), enable=False)
    first, last = draw(dict(inputs=images), enable=True, interval=2)
    assert first[0, 0].tolist() == [2, 1, 0]
    assert last[0, 0].tolist() == [4, 3, 2]


@pytest.mark.parametrize("collated", [torch.stack, list])
def test_the_first_view_of_augmented_images_is_drawn(collated):
    views = [collated(IMAGES), collated([image + 100 for image in IMAGES])]
    drawn = draw(dict(inputs=views), enable=True, interval=1)
    assert [image[0, 0].tolist() for image in drawn] == [[2, 1, 0], [3, 2, 1], [4, 3, 2]]
