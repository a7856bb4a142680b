"""How the documentation site is built: `nox -s docs`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from generated_reference import filled

from goal_drift_gym import __version__

project = "goal-drift-gym"
author = "The goal-drift-gym maintainers"
copyright = author
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["images"]
nitpicky = True
# Types of other packages: their inventories would have to be fetched.
nitpick_ignore_regex = [("py:.*", r"(numpy|scipy|msgspec|pytest|pluggy|collections|pathlib|typing|types)\..*")]

# Docstrings of this project write code between single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"show-inheritance": True}
napoleon_google_docstring = False
python_use_unqualified_type_names = True
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

html_theme = "furo"
html_title = "goal-drift-gym"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False

_TITLED = re.compile(r'^```(\w+) title="([^"]+)"$', re.MULTILINE)


def read_source(_app: Any, _document: str, text: list[str]) -> None:
    """Fill in what is generated, and show the name of the file that a block is."""
    text[0] = _TITLED.sub(r"```{code-block} \1\n:caption: \2\n", filled(text[0]))


def take_out_notes(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Take out the note to pytest."""
    lines[:] = [line.replace("PYTEST_DONT_REWRITE", "").rstrip() for line in lines]


def setup(app: Any) -> None:
    """Connect to the build."""
    app.connect("source-read", read_source)
    app.connect("autodoc-process-docstring", take_out_notes)
