"""The parts of the reference that are made of the code when the site is built, so that they cannot go stale.

A page asks for one by a comment of its own line, such as `<!-- generated: commands -->`.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any

from goal_drift_gym.core.schemas import load_schema
from goal_drift_gym.scripts.main import COMMANDS, command

WANTED = re.compile(r"^<!-- generated: (\w+)(?: (\S+))? -->$", re.MULTILINE)


def filled(text: str) -> str:
    """Return a page with what it asks for in its place."""
    return WANTED.sub(lambda wanted: "\n".join(PARTS[wanted[1]](*filter(None, [wanted[2]]))), text)


def commands() -> Iterator[str]:
    """Yield every command with its arguments."""
    for name in COMMANDS:
        _, parser = command(name)
        parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=100)
        yield from (f"## {parser.prog}", "", escaped(parser.description or ""), "")
        yield from ("```text", parser.format_usage().removeprefix("usage: ").strip(), "```", "")
        yield from (f"```{{program}} {parser.prog}", "```", "")
        for action in parser._actions[1:]:  # The first one is --help.
            values = {**vars(action), "prog": parser.prog}
            yield from option(action.option_strings or [str(shown(action))], shown(action), action.help, values)


def shown(action: argparse.Action) -> str:
    """Return how the value of an argument is shown."""
    if action.nargs == 0:
        return ""
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""
    return str(action.metavar or choices or action.dest.upper())


def options() -> Iterator[str]:
    """Yield every option of the plugin, then its settings and markers."""
    from pytest_goal_drift.options import MARKERS, add_options

    recorder = Recorder()
    add_options(recorder)  # type: ignore[arg-type]
    yield from ("```{program} pytest", "```", "")
    for flags, settings in recorder.options:
        choices = settings.get("choices")
        value = settings.get("metavar") or (f"{{{','.join(choices)}}}" if choices else "")
        yield from option(flags, value, settings["help"], {})
    yield from ("## Settings", "", "| setting | type | meaning |", "|---|---|---|")
    for name, said, settings in recorder.settings:
        yield f"| `{name}` | {settings['type']} | {escaped(said)} |"
    yield from ("", "## Markers", "")
    for marker in MARKERS:
        signature, _, said = marker.partition(": ")
        yield from (f"`@pytest.mark.{signature}`", f": {escaped(said)}", "")


class Recorder:
    """Stands in for pytest's parser, and keeps what is declared."""

    def __init__(self) -> None:
        self.options: list[tuple[list[str], dict[str, Any]]] = []
        self.settings: list[tuple[str, str, dict[str, Any]]] = []

    def getgroup(self, *_names: str) -> Recorder:
        """Return itself: there is one group."""
        return self

    def addoption(self, *flags: str, **settings: Any) -> None:
        """Keep an option."""
        self.options.append(([*flags], settings))

    def addini(self, name: str, help: str, **settings: Any) -> None:
        """Keep a setting."""
        self.settings.append((name, help, settings))


def option(flags: Iterable[str], value: str, said: str | None, values: dict[str, Any]) -> Iterator[str]:
    """Yield one option, to which other pages can refer."""
    names = [f"{flag} {value}".strip() if flag.startswith("-") else flag for flag in flags]
    yield from (
        f"````{{option}} {', '.join(names)}",
        escaped((said or "") % values if values else said or ""),
        "````",
        "",
    )


def names(module: str) -> Iterator[str]:
    """Yield every public name of a module, with its docstring."""
    for name in importlib.import_module(module).__all__:
        if not name.startswith("__"):
            yield from documented(f"{module}.{name}")


def documented(path: str) -> Iterator[str]:
    """Yield one name with its docstring."""
    module, _, name = path.rpartition(".")
    value = getattr(importlib.import_module(module), name)
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
        inside = ["   :members:"] + ["   :show-inheritance:"] * issubclass(value, BaseException)
    else:
        kind, inside = ("autofunction" if inspect.isroutine(value) else "autodata"), []
    yield from ("```{eval-rst}", f".. {kind}:: {path}", *inside, "```", "")


def schema(name: str) -> Iterator[str]:
    """Yield the tables of a JSON Schema: of a file of a run, and of what is inside it."""
    whole = load_schema(name)
    yield from (escaped(whole["description"]), "")
    yield from fields(whole)
    for part, inside in whole.get("$defs", {}).items():
        yield from (f"({name}-{part.lower()})=", f"### {part}", "", escaped(inside.get("description", "")), "")
        yield from fields(inside, name)


def fields(table: dict[str, Any], name: str = "") -> Iterator[str]:
    """Yield the table of an object's keys."""
    yield from ("| key | type | always there |", "|---|---|---|")
    for key, value in table.get("properties", {}).items():
        yield f"| `{key}` | {kind(value)} | {'yes' if key in table.get('required', []) else 'no'} |"
    yield ""


def kind(value: dict[str, Any]) -> str:
    """Return the type of a value in words."""
    if "$ref" in value:
        return value["$ref"].rpartition("/")[2]
    if "const" in value:
        return f"`{value['const']!r}`"
    if "enum" in value:
        return ", ".join("null" if one is None else f"`{one}`" for one in value["enum"])
    if "anyOf" in value:
        return " or ".join(map(kind, value["anyOf"]))
    found = value.get("type", "anything")
    if isinstance(found, list):
        return " or ".join(found)
    if found == "array":
        return f"list of {kind(value['items'])}" if value.get("items") else "list"
    if isinstance(value.get("additionalProperties"), dict):
        return f"object of {kind(value['additionalProperties'])}"
    return str(found)


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, but for what stands between backticks."""
    pieces = text.split("`")
    return "`".join(
        re.sub(r"([\\*_<>\[\]{}|~#])", r"\\\1", piece) if at % 2 == 0 else piece for at, piece in enumerate(pieces)
    )


PARTS = {"commands": commands, "options": options, "names": names, "name": documented, "schema": schema}
