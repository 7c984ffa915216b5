"""The commands and the code of the guides: commands name what exists, code runs."""

import argparse
import ast
import json
import re
import runpy
import shlex
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import save_checkpoint
from mmengine.utils import import_modules_from_strings

import mmhadaptive.engine  # noqa: F401  the names of the configs
from mmhadaptive.deploy.onnxruntime_library import _LIBRARY as LIBRARY
from mmhadaptive.models import HadaptiveNet

from ..paths import DOCS, ROOT

PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), DOCS / "benchmarks" / "README.md"]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(language):
    for path in PAGES:
        text = path.read_text()
        for match in BLOCK.finditer(text):
            if match[1] == language:
                heading = re.findall(r"^#+ (.*)$", text[: match.start()], re.MULTILINE)[-1]
                yield pytest.param(match[2], id=f"{path.relative_to(ROOT)}: {heading}")


def commands(block):
    """The words of each command of a shell block, without comments and what pipes follow."""
    for line in block.replace("\\\n", " ").splitlines():
        for command in re.split(r"&&|\|", line):
            words = shlex.split(command, comments=True)
            while words and re.match(r"^\w+=", words[0]):
                words.pop(0)
            if words:
                yield words


class Parsed(Exception):
    """What a tool's parser made of its arguments."""


@pytest.fixture
def parse(monkeypatch):
    """Parse the arguments of one of our tools as it does itself, and end there."""

    def stop(parser, args=None, namespace=None):
        raise Parsed(original(parser, args, namespace))

    original = argparse.ArgumentParser.parse_args

    def parse_words(words):
        monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(Parsed) as parsed:
            runpy.run_path(words[0], run_name="__main__")
        return parsed.value.args[0]

    return parse_words


@pytest.mark.parametrize("block", list(blocks("sh")))
def test_commands_exist_and_take_their_options(block, parse, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MMHADAPTIVE_TRACEBACK", "1")
    for words in commands(block):
        if words[0] == "make":
            targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert set(words[1:]) <= set(targets), words
        for word in words:
            ours = word.startswith(("checkpoints/", "configs/", "tools/"))
            if ours and not re.search(r"\$|NAME", word):
                assert (ROOT / word).exists(), word
        if words[0] == "python" and words[1].startswith("tools/"):
            args = vars(parse(words[1:]))
            config = args.get("config")
            if args.get("cfg_options") and (ROOT / str(config)).is_file():
                check_keys(Config.fromfile(config), args["cfg_options"])


def check_keys(cfg, options):
    """An option changes what the config has, or is an argument of what a ``type`` names."""
    for option in options:
        value = cfg
        for part in option.partition("=")[0].split("."):
            if part not in value and "type" in value:
                break
            value = value[int(part) if isinstance(value, list) else part]


def is_config(block):
    """Whether a block assigns data and nothing else."""
    body = ast.parse(block).body
    return all(isinstance(node, ast.Assign) for node in body) and "dict(" in block


def build(cfg):
    """What a config describes, of the toolkit that it is for."""
    scope = cfg.get("default_scope", "mmpretrain")
    with DefaultScope.overwrite_default_scope(scope):
        for key in ("model", "neck", "backbone"):
            if "type" in cfg.get(key, {}):
                yield MODELS.build(cfg[key])


@pytest.mark.parametrize("block", [b for b in blocks("python") if is_config(b.values[0])])
def test_configs_load_and_build(block, tmp_path):
    if "_base_." in block and "_base_ =" not in block:
        block = f'_base_ = "mmhadaptive::detection/ssd_hadaptive_s_coco.py"\n{block}'
    path = tmp_path / "mine.py"
    path.write_text(block)
    cfg = Config.fromfile(path)
    if cfg.get("custom_imports"):
        import_modules_from_strings(**cfg.custom_imports)
    built = list(build(cfg))
    assert built or not {"model", "neck", "backbone"} & cfg.keys() or "plugins" in block


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with what the code of the guides reads; the names that it uses are returned."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "folder").mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    for name in ("image.jpg", "a.jpg", "b.jpg", "folder/c.jpg"):
        cv2.imwrite(str(tmp_path / name), picture)
    video = cv2.VideoWriter(
        str(tmp_path / "video.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 5, (64, 48)
    )
    video.write(picture)
    video.release()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(block):
    """Tensors and a network as the code around a block has them."""
    if "depthwise_conv2d" in block:
        return dict(x=torch.rand(1, 4, 8, 8), weight=torch.rand(4, 1, 5, 5))
    if "cross_hadamard_depthwise" in block:
        wide = torch.ones(8 + 3)
        return dict(
            x=torch.rand(1, 8, 4, 4),
            index=torch.tensor([[2, 0, 5]]),
            alpha=wide[:1],
            norm_weight=wide[:3],
            norm_bias=wide[:3],
            weight=wide[:, None, None, None].expand(-1, 1, 5, 5),
            bias=wide,
        )
    if "cross_hadamard" in block:
        index = torch.tensor([[2, 0, 5]])
        one = torch.ones(3)
        return dict(
            x=torch.rand(1, 8, 4, 4),
            index=index,
            gate=torch.ones(1, 3),
            alpha=one[:1],
            weight=one,
            bias=one,
        )
    if "class_activation" in block:
        classifier = Config.fromfile(ROOT / "configs/_base_/models/hadaptive_s_classifier.py").model
        classifier.head.update(num_classes=10, type="mmpretrain.StackedLinearClsHead")
        classifier.update(type="mmpretrain.ImageClassifier")
        return dict(model=MODELS.build(classifier).eval(), x=torch.rand(1, 3, 64, 64))
    if "measure_choices" in block:
        labels = [{0}, {0, 1}, {2}, set()]
        model = HadaptiveNet("s")
        return dict(model=model, loader=list(torch.rand(2, 2, 3, 64, 64)), labels=labels)
    if "choosing_layers" in block:
        frozen = HadaptiveNet("s", ach_cfg=dict(selection="fixed"))
        return dict(model=HadaptiveNet("s"), state_dict=frozen.state_dict())
    if "freeze_selection" in block:
        return dict(model=HadaptiveNet("s"), loader=[torch.rand(2, 3, 64, 64)])
    if "quantize_onnx" in block:
        pictures = [np.zeros((1, 3, 320, 320), np.float32)]
        return dict(model=HadaptiveNet("s").eval(), pictures=pictures)
    if "OnnxRunner" in block:
        write_detector("detector.onnx")
    elif "onnx" in block or "fuse(model)" in block:
        backbone = HadaptiveNet(arch="s").eval()
        return dict(model=backbone, image=np.zeros((1, 3, 224, 224), np.float32))
    if "replace_blocks" in block:
        return dict(model=MODELS.build(dict(type="mmpretrain.MobileNetV3", arch="small")))
    return {}


def write_detector(path):
    """A file of tools/export.py, of a detector that sees the same box in every picture."""
    import onnx

    model = onnx.parser.parse_model(
        """
        <ir_version: 10, opset_import: ["": 20]>
        g (float[1, 3, 32, 32] image)
            => (float[1, 4] boxes, float[1] scores, int64[1] labels, int64[1] images)
        <float[1, 4] box = {1, 2, 3, 4}, float[1] one = {1}, int64[1] zero = {0}>
        {
            boxes = Identity(box)  scores = Identity(one)
            labels = Identity(zero)  images = Identity(zero)
        }
        """
    )
    resize = dict(type="Resize", scale=[32, 32], keep_ratio=False, interpolation="bilinear")
    about = dict(task="detector", size=[32, 32], transforms=[resize], classes=["cell"])
    about |= dict(mean=[0, 0, 0], std=[1, 1, 1], channels="rgb", pad_value=0)
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in about.items()})
    onnx.save(model, path)


@pytest.mark.parametrize("block", [b for b in blocks("python") if not is_config(b.values[0])])
def test_code_runs(block, folder):
    if "get_library_path" in block and not LIBRARY.exists():
        pytest.skip(f"{LIBRARY.name} is not built")
    for config in re.findall(r"configs/[\w/]+\.py", block):
        cfg = Config.fromfile(config)
        import_modules_from_strings(**cfg.custom_imports)
        (model,) = build(cfg)
        save_checkpoint(dict(state_dict=model.state_dict()), "checkpoint.pth")
    exec(compile(block, "<block>", "exec"), names(block))
