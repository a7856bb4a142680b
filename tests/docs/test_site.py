"""The documentation site: every page is in it, every picture is made by a script, and the reference leaves nothing out.

`nox -s docs` builds it, where a warning is an error.
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

from goal_drift_gym.core.schemas import SCHEMAS, load_schema
from goal_drift_gym.scripts.main import COMMANDS
from pytest_goal_drift.options import FLAGS, SESSION_FLAGS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in DOCS.glob("*.md")}

sys.path.insert(0, str(DOCS))
try:
    reference = importlib.import_module("generated_reference")
finally:
    sys.path.remove(str(DOCS))


def test_every_page_is_in_the_index() -> None:
    trees = re.findall(r"^```\{toctree\}\n(?::.*\n)*\n((?:[\w-]+\n)+)```$", PAGES["index"], re.MULTILINE)
    listed = "".join(trees).split()

    assert sorted(listed) == sorted(PAGES.keys() - {"index"})


def test_every_picture_is_made_by_a_script_and_shown() -> None:
    scripts = "".join(script.read_text(encoding="utf-8") for script in DOCS.glob("*.py"))
    texts = "".join(PAGES.values()) + (DOCS.parent / "README.md").read_text(encoding="utf-8")
    pictures = [picture.name for picture in DOCS.joinpath("images").iterdir()]

    assert pictures
    assert [name for name in pictures if name not in scripts] == []
    assert [name for name in pictures if f"images/{name}" not in texts] == []


def test_pictures_are_small() -> None:
    assert [picture.name for picture in DOCS.joinpath("images").iterdir() if picture.stat().st_size > 150_000] == []


def test_the_reference_has_every_command() -> None:
    text = reference.filled(PAGES["command"])

    assert [name for name in COMMANDS if f"\n## goal-drift {name}\n" not in text] == []


def test_the_reference_has_every_option_of_the_plugin() -> None:
    text = reference.filled(PAGES["options"])

    assert [flag for flag in (*FLAGS, *SESSION_FLAGS) if f"{{option}} {flag}" not in text] == []
    assert [flag for flag in FLAGS if f"| `{flag[2:].replace('-', '_')}` |" not in text] == []


@pytest.mark.parametrize("module", ["goal_drift_gym", "goal_drift_gym.testing", "pytest_goal_drift"])
def test_the_reference_has_every_public_name(module: str) -> None:
    text = reference.filled(PAGES["api"])
    names = [name for name in importlib.import_module(module).__all__ if not name.startswith("__")]

    assert names
    assert [name for name in names if f":: {module}.{name}\n" not in text] == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_reference_has_every_key_of_a_file(name: str) -> None:
    text = reference.filled(PAGES["file-formats"])

    assert [key for key in load_schema(name)["properties"] if f"| `{key}` |" not in text] == []


def test_nothing_is_asked_for_that_cannot_be_generated() -> None:
    assert [stem for stem, text in PAGES.items() if "<!-- generated" in reference.filled(text)] == []


def test_texts_are_shown_as_they_are() -> None:
    assert reference.escaped("a *b* <c> `d_*`") == r"a \*b\* \<c\> `d_*`"
