"""Sphinx settings."""

from importlib import metadata

project = "boundary_research"
author = "boundary_research developers"
copyright = "2026, boundary_research developers"  # noqa: A001
release = metadata.version("boundary-research")

extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
# The notebooks are executed and checked elsewhere; the pages show their stored outputs.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
suppress_warnings = ["myst.xref_missing"]

html_theme = "pydata_sphinx_theme"
html_title = "boundary_research"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
html_static_path: list[str] = []
