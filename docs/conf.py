"""How Sphinx builds the site: the repository is the source, so that every link is checked."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nmc

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "NMC"
author = "The NMC authors"
project_copyright = author
release = version = nmc.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "standard_text",
    "repository_links",
    "command_line",
]

# The source folder is the root of the repository (see the Makefile): the standard, the suite and
# the decisions stay where they are, and a link that works in the repository works on the site.
root_doc = "docs/index"
include_patterns = [
    "*.md",
    "docs/**",
    "spec/text/*",
    "spec/decisions/*",
    "conformance/*.md",
    "conformance/implementations/*/README.md",
    "conformance/selftest/programs/*.md",
]
exclude_patterns = ["**/node_modules", "out", "docs/_*"]
source_suffix = {".md": "markdown"}
highlight_language = "none"

myst_enable_extensions = ["attrs_inline", "attrs_block", "colon_fence", "deflist"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # chapters of the standard have no single top level each

nitpicky = True
# Types in signatures and docstrings are those of other libraries, or words such as "array of shape
# (2, 3)"; the site is built without a network, and so without the indexes of those libraries.
nitpick_ignore_regex = [("py:(class|obj|data)", ".*")]

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"NMC {release}"
html_static_path = ["_static"]
html_css_files = ["nmc.css"]
html_extra_path = ["_root"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"footer_icons": []}

# Where a file that is not a page can be seen, such as https://host/project/blob/main; without it
# such files are copied into the site.
source_url = os.environ.get("NMC_SOURCE_URL", "")
