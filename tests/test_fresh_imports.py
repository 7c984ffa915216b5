"""Importing the package changes nothing in mmengine and torch, but for the engine."""

import json
import sys

from .conftest import run
from .paths import ROOT

# One interpreter, in which nothing of ours is imported, forks one for each part: those that import
# mmdet and mmpretrain have them already.
SCRIPT = """
import json, os, sys
import mmdet.models, mmpretrain.models, timm, torch
import mmengine.runner.checkpoint as checkpoint
from importlib import import_module
from mmengine.fileio.backends import registry_utils
from mmengine.infer import BaseInferencer
from mmengine.model import PretrainedInit

def state():
    loader = checkpoint.CheckpointLoader
    return {
        "schemes": dict(loader._schemes),
        "load_checkpoint": loader.load_checkpoint.__func__,
        "local loader": checkpoint.load_from_local,
        "backends": dict(registry_utils.backends),
        "prefixes": dict(registry_utils.prefix_to_backends),
        "Pretrained": PretrainedInit.__call__,
        "names": BaseInferencer._load_model_from_metafile,
        "torch.load": torch.load,
        "torch.save": torch.save,
        "safe globals": torch.serialization.get_safe_globals(),
    }

for name in sys.argv[1:]:
    sys.stdout.flush()
    if os.fork():
        if os.wait()[1]:
            sys.exit(f"{name} does not import")
        continue
    before = state()
    import_module(name)
    after = state()
    ours = sorted({m.split(".")[1] for m in sys.modules if m.startswith("mmhadaptive.")})
    print(json.dumps([name, [key for key in before if before[key] != after[key]], ours]))
    sys.stdout.flush()
    os._exit(0)
"""


def test_only_the_engine_and_its_search_change_mmengine():
    package = ROOT / "mmhadaptive"
    parts = [path.parent for path in sorted(package.rglob("__init__.py"))]
    parts += sorted(package.glob("[!_]*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in parts]
    output = run([sys.executable, "-c", SCRIPT, *names]).stdout
    lines = [line for line in output.splitlines() if line.startswith("[")]
    found = {name: (changed, ours) for name, changed, ours in map(json.loads, lines)}
    assert found.keys() == set(names)
    for name, (changed, ours) in found.items():
        if name.split(".")[1:2] in (["engine"], ["nas"]):
            assert {"schemes", "load_checkpoint", "backends", "Pretrained", "names"} <= set(changed)
            assert not {"torch.load", "torch.save", "safe globals"} & set(changed)
            assert "nas" in name or "models" not in ours
        else:
            assert not changed, name
            assert "engine" not in ours, name
