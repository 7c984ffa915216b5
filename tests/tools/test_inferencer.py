"""mmdet's inference on our configs, for all that it takes: files, arrays, folders, videos."""

import shutil

import cv2
import mmcv
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import save_checkpoint

NAMES = ("00001.png", "00002.png", "00003.png")


@pytest.fixture(scope="module")
def weights(digits_config):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(Config.fromfile(digits_config).model)
    path = digits_config.parent / "random.pth"
    save_checkpoint(dict(state_dict=model.state_dict()), str(path))
    return path


@pytest.fixture(scope="module")
def inferencer(digits_config, weights):
    return DetInferencer(str(digits_config), str(weights), device="cpu", show_progress=False)


@pytest.fixture(scope="module")
def files(digits):
    return [str(digits / "val" / name) for name in NAMES]


@pytest.fixture(scope="module")
def expected(inferencer, files):
    return [inferencer(file)["predictions"][0] for file in files]


def assert_same(result, expected):
    assert len(result) == len(expected)
    for one, other in zip(result, expected, strict=True):
        assert one["labels"] == other["labels"]
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)
        torch.testing.assert_close(
            torch.tensor(one["bboxes"]), torch.tensor(other["bboxes"]), atol=1e-2, rtol=0
        )


def test_pictures_differ(expected):
    assert all(len(each["scores"]) == 5 for each in expected)
    assert expected[0]["scores"] != expected[1]["scores"]


def test_an_array(inferencer, files, expected):
    assert_same(inferencer(cv2.imread(files[0]))["predictions"], expected[:1])


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_a_list_in_batches(inferencer, files, expected, batch_size):
    assert_same(inferencer(files, batch_size=batch_size)["predictions"], expected)


def test_a_list_of_arrays(inferencer, files, expected):
    arrays = [cv2.imread(file) for file in files]
    assert_same(inferencer(arrays, batch_size=2)["predictions"], expected)


def test_a_folder(inferencer, files, expected, tmp_path):
    folder, out = tmp_path / "pictures", tmp_path / "out"
    folder.mkdir()
    for file in files:
        shutil.copy(file, folder)
    result = inferencer(str(folder), batch_size=2, out_dir=str(out), no_save_pred=False)[
        "predictions"
    ]
    # In the order of the file system.
    assert_same(
        sorted(result, key=lambda each: each["scores"]),
        sorted(expected, key=lambda each: each["scores"]),
    )
    assert {path.name for path in (out / "vis").iterdir()} == set(NAMES)
    assert {path.stem for path in (out / "preds").iterdir()} == {name[:-4] for name in NAMES}


def test_a_config_by_its_name():
    """Where mmdet knows no such name; its own ones come first."""
    found = DetInferencer("SSD_hadaptive_S_coco", device="cpu", show_progress=False)
    assert type(found.model.backbone).__name__ == "HadaptiveNet"
    cfg, weights = found._load_model_from_metafile("rtmdet_tiny_8xb32-300e_coco")
    assert cfg.model.type == "RTMDet"
    assert weights.startswith("https://")
    with pytest.raises(ValueError, match="Cannot find model: nothing in mmdet and in mmhadaptive"):
        DetInferencer("nothing", device="cpu")


def test_frames_of_a_video(digits_config, weights, files, tmp_path):
    """As mmdet's demo for videos does it."""
    path = str(tmp_path / "digits.avi")
    pictures = [cv2.imread(file) for file in files]
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 5, (width, height))
    if not writer.isOpened():
        pytest.skip("OpenCV has no codec for MJPG")
    for picture in pictures:
        writer.write(picture)
    writer.release()

    model = init_detector(str(digits_config), str(weights), device="cpu")
    pipeline = model.cfg.test_dataloader.dataset.pipeline
    pipeline[0].type = "mmdet.LoadImageFromNDArray"
    pipeline = Compose(pipeline)
    frames = list(mmcv.VideoReader(path))
    assert len(frames) == 3
    found = [inference_detector(model, frame, pipeline).pred_instances for frame in frames]
    assert all(len(each) == 5 for each in found)
    # Of the frames themselves, which JPEG has changed.
    arrays = inference_detector(model, [frame.copy() for frame in frames])
    for one, other in zip(found, arrays, strict=True):
        torch.testing.assert_close(one.bboxes, other.pred_instances.bboxes)
