"""The documentation as a site: ``make docs`` builds it into build/docs."""

from importlib import metadata

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
