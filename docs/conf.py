"""The documentation as a site: ``make docs`` builds it into build/docs."""

from importlib import metadata

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

from mmhadaptive.engine.quiet import quiet_imports

project = "mmhadaptive"
author = "the mmhadaptive developers"
copyright = author
release = metadata.version("mmhadaptive")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["results"]
# The tables of the benchmarks hang on their index page.
suppress_warnings = ["toc.not_included"]
html_theme = "furo"
html_title = "mmhadaptive"
html_static_path = ["static"]
html_css_files = ["wide_tables.css"]
html_theme_options = dict(navigation_with_keys=True)
html_show_sourcelink = False

# Links to a heading of another page, as GitHub makes them.
myst_heading_anchors = 4

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
# PyTorch's words on forward() say nothing of ours.
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shapes"]
napoleon_use_rtype = False

# Formulas are MathML, which browsers show themselves: the default fetches a script.
html_math_renderer = "mathml"


def render_inline(self, node):
    self.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def render_block(self, node):
    self.body.append(tex2mathml(node.astext(), as_block=True))
    raise nodes.SkipNode


def setup(app):
    # Before autodoc imports what it documents.
    quiet_imports()
    app.add_html_math_renderer("mathml", (render_inline, None), (render_block, None))
