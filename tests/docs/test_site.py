"""The documentation builds as a site without a warning, and its reference is whole."""

import html
import re
import subprocess
import sys
from importlib import import_module

import pytest

from ..paths import DOCS, ROOT

# The inventory, by which other sites link into this one.
INVENTORY = "objects.inv"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    result = subprocess.run([*command, DOCS, folder], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder


def public_names():
    """All that the packages name in ``__all__``."""
    for path in sorted((ROOT / "mmhadaptive").rglob("__init__.py")):
        module = ".".join(path.relative_to(ROOT).parent.parts)
        for name in getattr(import_module(module), "__all__", ()):
            yield module, name


def test_every_public_name_is_in_the_reference(site):
    from sphinx.util.inventory import InventoryFile

    content = InventoryFile.loads((site / INVENTORY).read_bytes(), uri="")
    found = {name for kind in content.data.values() for name in kind}
    by_last = {name.rpartition(".")[2] for name in found}
    missing = [f"{module}.{name}" for module, name in public_names() if name not in by_last]
    assert not missing


def test_every_page_is_reached(site):
    """The pages of docs/ are pages of the site, and links between them lead somewhere."""
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    built = {path.relative_to(site) for path in site.rglob("*.html")}
    assert pages <= built


def test_every_page_is_its_own(site):
    """None is hidden by one that Sphinx makes, as its ``search.html``."""
    for path in DOCS.rglob("*.md"):
        heading = re.search(r"^# (.*)$", path.read_text(), re.MULTILINE)[1]
        page = (site / path.relative_to(DOCS)).with_suffix(".html").read_text()
        (shown,) = re.findall(r"<h1>(.*?)<a ", page, re.DOTALL)
        plain = html.unescape(re.sub(r"<[^>]+>", "", shown))
        assert plain == heading.replace("`", ""), path


def test_nothing_comes_from_elsewhere(site):
    """The site works offline: no script, style or font of another host."""
    for path in site.rglob("*.html"):
        tags = re.findall(
            r'<(?:script|link|img)[^>]+(?:src|href)="https?://[^"]+', path.read_text()
        )
        assert not tags, path
