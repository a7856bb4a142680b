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
nitpick_ignore_regex = [
    # Types of other packages: their inventories would have to be fetched.
    ("py:.*", r"(_?pytest|_thread|collections|hypothesis|msgspec|np|numpy|os|pathlib|scipy|types|typing)\..*"),
    ("py:class", r"(MarkDecorator|Path)"),
    # What an annotation that is read as text is cut into at its commas.
    ("py:class", r"(dict|Mapping)\[str|[0-9.]+"),
    # Type variables, words that an argument can be, and what nobody outside has to know to use what is documented.
    ("py:class", r".*\.[A-Z]"),
    (
        "py:class",
        r".*\b(Account|AgentHost|ChatAgent|Redactor|RunEnd|ScenarioEntry|Spender|Breach|TapeSlot|Template|Mode|Word)",
    ),
]

# Docstrings of this project write code between single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = False
# Types stand in the signature; what a docstring says of them is text.
napoleon_use_param = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
# `--option` stays two dashes, and quotes stay what they are.
smartquotes = False
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


def keep_sentences(_app: Any, what: str, name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Keep the docstring of an attribute as it is: Napoleon takes what stands before a colon for a type."""
    if what not in ("attribute", "data", "property"):
        return
    if name in _sentences:
        lines[:] = _sentences.pop(name)
    else:
        _sentences[name] = [*lines]


_sentences: dict[str, list[str]] = {}


def documented_elsewhere(app: Any, environment: Any, node: Any, content: Any) -> Any:
    """Find a name that is documented under another module than the one that a signature names."""
    name = node.get("reftarget", "").rpartition(".")[2]
    domain = environment.domains.python_domain
    found = [path for path in domain.objects if path.rpartition(".")[2] == name and not domain.objects[path].aliased]
    if node.get("refdomain") != "py" or len(found) != 1:
        return None
    return domain.resolve_xref(environment, node["refdoc"], app.builder, "obj", found[0], node, content)


def reach_by_keyboard(app: Any, error: Exception | None) -> None:
    """Let long lines be scrolled by keys, and say of captions which level they are: the theme does neither."""
    for page in () if error else Path(app.outdir).glob("*.html"):
        text = page.read_text(encoding="utf-8")
        text = text.replace("<pre>", '<pre tabindex="0">').replace('role="heading">', 'role="heading" aria-level="2">')
        page.write_text(text.replace('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper'), "utf-8")


def setup(app: Any) -> None:
    """Connect to the build."""
    app.connect("source-read", read_source)
    app.connect("autodoc-process-docstring", take_out_notes)
    for before_and_after_napoleon in (100, 900):
        app.connect("autodoc-process-docstring", keep_sentences, priority=before_and_after_napoleon)
    app.connect("missing-reference", documented_elsewhere)
    app.connect("build-finished", reach_by_keyboard)
