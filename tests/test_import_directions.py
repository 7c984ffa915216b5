"""Which package may use which; imports within functions count too."""

import ast

import pytest

from .paths import ROOT

PACKAGE = ROOT / "mmhadaptive"
# What a package may import of ours, besides itself, `io` and `optional`, which are free to all.
ALLOWED = {
    "__init__": set(),
    "io": set(),
    "optional": set(),
    "registry": set(),
    "mmcv_ops": set(),
    "ops": set(),
    "layers": {"ops"},
    "models": {"layers", "ops"},
    "engine": {"layers", "ops", "registry"},
    "datasets": set(),
    "analysis": {"layers", "models", "ops"},
    "evaluation": set(),
    "transforms": set(),
    "visualization": set(),
    "nas": {"analysis", "engine", "layers", "models", "ops"},
    "deploy": {"layers", "models", "ops"},
    # Names for the users of other libraries.
    "mmpretrain": set(),
    "timm": {"layers", "models"},
}
FREE = {"io", "optional"}
# What imports mmdet or mmpretrain; everything else works without them.
WITH_TOOLKITS = {
    "analysis/detection_step.py",  # when it measures
    "analysis/training_step.py",  # when it measures
    "datasets",
    "engine/hooks/cls_visualization_hook.py",
    "evaluation",
    "mmpretrain.py",
    "models/data_preprocessors",
    "models/dense_heads",
    "models/variants",
    "transforms",
    "visualization/augmented_samples.py",  # when it draws
    "visualization/confusion_matrix.py",  # when it draws
    "visualization/detections.py",  # when it draws
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path, source):
    """The dotted names of the modules that a file imports, wherever in its source."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *filter(None, [node.module])])
            # A name may be a module of its own.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def room(name):
    """The package or module of ours at the top that a dotted name lies in."""
    return (name.split(".")[1:2] or [""])[0]


def test_every_room_has_its_directions():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    rooms |= {path.stem for path in PACKAGE.glob("[!_]*.py")}
    assert rooms <= ALLOWED.keys()
    for name, others in ALLOWED.items():
        assert not others & {"nas", "deploy"} - {name}, name
    assert "models" not in ALLOWED["engine"]


@pytest.mark.parametrize("top", sorted({path.relative_to(PACKAGE).parts[0] for path in MODULES}))
def test_imports_follow_the_directions(top):
    name = top.removesuffix(".py")
    allowed = {name} | ALLOWED[name] | (set() if name in FREE else FREE)
    against = []
    for path in MODULES:
        if path.relative_to(PACKAGE).parts[0] != top:
            continue
        for module in imported(path, path.read_text()):
            first = module.partition(".")[0]
            assert first not in ("tools", "tests"), f"{path}: {module}"
            if first == "mmhadaptive" and room(module) not in allowed:
                against.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not against


def test_the_rest_works_without_mmdet_and_mmpretrain():
    places = set()
    for path in MODULES:
        firsts = {module.partition(".")[0] for module in imported(path, path.read_text())}
        if firsts & {"mmdet", "mmpretrain"}:
            inside = path.relative_to(PACKAGE)
            places |= {str(p) for p in (inside, *inside.parents) if str(p) in WITH_TOOLKITS} or {
                str(inside)
            }
    assert places == WITH_TOOLKITS


def test_imports_of_all_forms_are_seen():
    source = """
import mmhadaptive.models
from mmhadaptive import engine
from ..analysis import tables
from .. import nas
from .bottleneck import ACHBottleneck
def late():
    from ..deploy.onnx import export
"""
    rooms = {room(name) for name in imported(PACKAGE / "layers" / "example.py", source)}
    assert rooms == {"models", "engine", "analysis", "nas", "layers", "deploy"}
