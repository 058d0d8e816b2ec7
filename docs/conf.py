"""Sphinx settings."""

import shutil
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
# Sphinx reads only what lies below this folder.
NOTEBOOKS = HERE / "_notebooks"
shutil.rmtree(NOTEBOOKS, ignore_errors=True)
NOTEBOOKS.mkdir()
for notebook in sorted((HERE.parent / "notebooks").glob("*.ipynb")):
    text = notebook.read_text("utf-8").replace("../docs/images/", "../images/")
    (NOTEBOOKS / notebook.name).write_text(text, "utf-8")

project = "boundary_research"
author = "boundary_research developers"
copyright = "2026, boundary_research developers"  # noqa: A001
release = metadata.version("boundary-research")

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
]
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
