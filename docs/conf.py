"""Sphinx: the repository's documents, where they lie, as one site. `scripts/docs` builds it."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from colorizer.command import import_tensorflow  # noqa: E402  (found by the line above)

# Before autodoc does, without its start-up remarks.
import_tensorflow()

project = "photo-colorizer"
project_copyright = "the authors of photo-colorizer, Apache-2.0"
language = "en"
# Lands in build/docs/docs, as paths are the repository's; build/docs/index.html leads there.
root_doc = "docs/index"
include_patterns = [
    "*.md",
    "docs/**.md",
    "benchmarks/RESULTS.md",
    "colorizer/shipped/MODEL_CARD.md",
    "models_export/deploy/*.md",
    "pipelines/datasets/README.md",
    "samples/LICENSES.md",
]
exclude_patterns = ["build", "runs", "shared", "**/.*", ".*"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "command_help",
]
# Links to headings are GitHub's.
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_default_options = {"members": True}
toc_object_entries = False
autodoc_typehints_format = "short"
# Attributes in a class's docstring stand once, also where they are fields.
napoleon_use_ivar = True
# `name` in a docstring is a link where that name stands in the reference, else code.
default_role = "py:obj"

html_theme = "pydata_sphinx_theme"
html_title = project
html_theme_options = {
    "show_prev_next": False,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 1,
}
html_show_sourcelink = False
html_copy_source = False
html_additional_pages = {"index": "to_start.html"}
templates_path = ["templates"]
