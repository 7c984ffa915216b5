"""What needs a package that is not there says what to install."""

import importlib
import sys

import pytest

from mmhadaptive.layers import AdaptiveBottleneck


@pytest.fixture
def hide(monkeypatch):
    """Hide a package, and forget the modules of this package that have been imported with it."""

    def hide_package(package, *modules):
        for name in list(sys.modules):
            if name.startswith((f"{package}.", *modules)):
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)

    return hide_package


@pytest.mark.parametrize(
    ("module", "package", "command"),
    [
        ("mmhadaptive.datasets", "mmpretrain", "pip install onedl-mmpretrain"),
        ("mmhadaptive.models.data_preprocessors", "mmpretrain", "pip install onedl-mmpretrain"),
        ("mmhadaptive.models.variants", "mmpretrain", "pip install onedl-mmpretrain"),
        (
            "mmhadaptive.engine.hooks.cls_visualization_hook",
            *("mmpretrain", "pip install onedl-mmpretrain"),
        ),
        ("mmhadaptive.mmpretrain", "mmpretrain", "pip install onedl-mmpretrain"),
        ("mmhadaptive.timm", "timm", "pip install timm"),
    ],
)
def test_a_module_names_the_package_that_it_needs(hide, module, package, command):
    hide(package, module)
    with pytest.raises(ImportError) as caught:
        importlib.import_module(module)
    assert f"{module} needs {package}" in str(caught.value)
    assert command in str(caught.value)


@pytest.mark.parametrize("broken", [False, True])
def test_squeeze_excitation_names_torchvision(hide, monkeypatch, broken):
    hide("torchvision.ops")
    if broken:  # What torchvision does beside a torch for which it was not built.

        class Broken:
            def find_spec(self, name, path=None, target=None):
                if name == "torchvision.ops":
                    raise RuntimeError("operator torchvision::nms does not exist")

        monkeypatch.delitem(sys.modules, "torchvision.ops")
        monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    expansion = dict(type="AdaptiveCrossHadamard", num_selected=4)
    with pytest.raises(ImportError, match=r"se_ratio needs torchvision.*pip install torchvision"):
        AdaptiveBottleneck(expansion, 8, 8, 3, se_ratio=4)
