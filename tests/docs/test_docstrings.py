"""Examples in docstrings are executed, and everything public says what it is."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PUBLIC = ("goal_drift_gym", "goal_drift_gym.testing", "pytest_goal_drift")
SOURCES = [
    file for package in ("goal_drift_gym", "pytest_goal_drift") for file in sorted((ROOT / package).rglob("*.py"))
]


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def modules_with_examples() -> list[str]:
    return sorted(module_of(file) for file in SOURCES if ">>> " in file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_give_what_they_show(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = doctest.testmod(importlib.import_module(name))

    assert done.attempted > 0
    assert done.failed == 0


def public_names() -> list[tuple[str, str]]:
    found = [(module, name) for module in PUBLIC for name in importlib.import_module(module).__all__]
    return [(module, name) for module, name in found if not name.startswith("__")]


def own_docstring(value: Any) -> str | None:
    """Return a docstring, and not that of a base class."""
    return value.__dict__.get("__doc__") if isinstance(value, type) else inspect.getdoc(value)


@pytest.mark.parametrize(("module", "name"), public_names())
def test_every_public_name_has_a_docstring(module: str, name: str) -> None:
    value = getattr(importlib.import_module(module), name)

    described = own_docstring(value) if inspect.isclass(value) or inspect.isroutine(value) else None
    assert described or text_below(name)


def text_below(name: str) -> bool:
    """Return whether a name that is assigned has its docstring under it."""
    assigned = re.compile(rf'^{name} = (?:.+|TypedDict\((?:\n .*|\n)*\n\))\n"""', re.MULTILINE)
    return any(assigned.search(file.read_text(encoding="utf-8")) for file in SOURCES)


@pytest.mark.parametrize(("module", "name"), public_names())
def test_every_public_member_of_a_class_has_a_docstring(module: str, name: str) -> None:
    value = getattr(importlib.import_module(module), name)
    members = vars(value) if isinstance(value, type) else {}
    asked = {
        key: member
        for key, member in members.items()
        if not key.startswith("_") and (inspect.isroutine(member) or isinstance(member, property | classmethod))
    }

    assert [key for key, member in asked.items() if not inspect.getdoc(member)] == []
