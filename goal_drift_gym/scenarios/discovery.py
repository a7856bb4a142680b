"""Finding scenarios and their conditions: by entry point, by `package.module:Name`, or by file path.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any, cast

import msgspec

from goal_drift_gym.core.condition import Condition, load_condition, parse_condition_text
from goal_drift_gym.core.errors import ConditionError, ScenarioError, ScenarioNotFound, did_you_mean
from goal_drift_gym.core.protocol import Scenario

GROUP = "goal_drift_gym.scenarios"
_PARTS = (
    "reset", "advance", "panels", "weight", "score", "reference_action", "competing_action", "outcomes", "snapshot",
    "restore", "done", "id", "version", "goal", "texts", "entities", "scoreboard",
)  # fmt: skip


class ScenarioEntry(msgspec.Struct, frozen=True):
    """A scenario that can be had, without importing it."""

    id: str
    distribution: str | None
    target: str
    """`package.module:Name`, or a file path with `:Name`."""
    reference: str
    """What to write to have it again, in this process or another."""

    def load(self) -> type[Scenario]:
        """Import the scenario class.

        Raises
        ------
        ScenarioError
            If it cannot be imported or is no scenario, naming where it came from.
        """
        origin = f" (from distribution {self.distribution!r})" if self.distribution else ""
        module_name, _, name = self.target.rpartition(":")
        try:
            module = (
                _module_from_file(Path(module_name))
                if module_name.endswith(".py")
                else importlib.import_module(module_name)
            )
            factory = getattr(module, name)
        except (Exception, SystemExit) as error:
            raise ScenarioError(
                f"scenario {self.id!r}{origin}: cannot load {self.target!r}: {type(error).__name__}: {error}"
            ) from error
        if not inspect.isclass(factory):
            raise ScenarioError(
                f"scenario {self.id!r}{origin}: {self.target!r} is a {type(factory).__name__}, a class is needed"
            )
        missing = [part for part in _PARTS if not hasattr(factory, part)]
        if missing:
            raise ScenarioError(
                f"scenario {self.id!r}{origin}: {name} lacks {', '.join(missing)}; see the Scenario protocol"
            )
        return cast(type[Scenario], factory)


@lru_cache(maxsize=1)
def scenario_entries() -> dict[str, ScenarioEntry]:
    """Return the installed scenarios by id, sorted; nothing of them is imported.

    Raises
    ------
    ScenarioError
        If two distributions register the same id.
    """
    found: dict[str, ScenarioEntry] = {}
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        distribution = point.dist.name if point.dist is not None else None
        entry = ScenarioEntry(point.name, distribution, point.value, point.name)
        other = found.get(point.name)
        if other is not None and other.target != entry.target:
            raise ScenarioError(
                f"two distributions register the scenario {point.name!r}: {other.distribution!r} ({other.target}) and "
                f"{distribution!r} ({point.value}); uninstall one, or use package.module:Name"
            )
        found[point.name] = entry
    return found


def find_scenario(reference: str) -> ScenarioEntry:
    """Return the scenario for an id, `package.module:Name`, or `path/to/file.py` with an optional `:Name`.

    Raises
    ------
    ScenarioNotFound
        If there is none, naming the nearest known id.
    """
    path, _, name = reference.partition(".py:") if ".py:" in reference else (reference.removesuffix(".py"), "", "")
    if reference.endswith(".py") or ".py:" in reference:
        file = Path(path + ".py").resolve()
        if not file.is_file():
            raise ScenarioNotFound(f"there is no scenario file {file}")
        target = f"{file}:{name or _only_scenario_in(file)}"
        return ScenarioEntry(target.rpartition(":")[2], None, target, target)
    if ":" in reference:
        return ScenarioEntry(reference.rpartition(":")[2], None, reference, reference)
    entries = scenario_entries()
    if reference not in entries:
        raise ScenarioNotFound(f"there is no scenario {reference!r}; {did_you_mean(reference, entries)}")
    return entries[reference]


def conditions_of(scenario_class: type[Scenario]) -> dict[str, Condition]:
    """Return the conditions a scenario brings, by name, sorted: the TOML files in `conditions/` beside its module.

    A scenario made from another by subclassing has the other's, unless there is a folder of its own.
    """
    return {name: _parse(text, name, scenario_class) for name, text in _condition_texts(scenario_class)}


def find_condition(scenario_class: type[Scenario], reference: str) -> Condition:
    """Return a condition by its name or by the path of a TOML file.

    Raises
    ------
    ConditionError
        If there is none, naming the nearest known one.
    """
    if reference.endswith(".toml"):
        return load_condition(Path(reference))
    texts = dict(_condition_texts(scenario_class))
    if reference not in texts:
        raise ConditionError(
            f"scenario {scenario_class.id!r} has no condition {reference!r}; {did_you_mean(reference, texts)}"
        )
    return _parse(texts[reference], reference, scenario_class)


def _parse(text: str, name: str, scenario_class: type[Scenario]) -> Condition:
    return parse_condition_text(text, name=name, where=f"condition {name!r} of scenario {scenario_class.id!r}")


@lru_cache(maxsize=64)
def _condition_texts(scenario_class: type[Scenario]) -> tuple[tuple[str, str], ...]:
    return tuple(_read_conditions(scenario_class))


def _read_conditions(scenario_class: type[Scenario]) -> Iterator[tuple[str, str]]:
    """Yield name and text of each condition beside the class, or else beside the nearest base that has some."""
    for base in scenario_class.__mro__:
        module = sys.modules.get(base.__module__)
        if module is None or base.__module__ == "builtins":
            continue
        package = module.__spec__.parent if module.__spec__ is not None else None
        root: Any = resources.files(package) if package else Path(inspect.getfile(base)).parent
        folder = root / "conditions"
        if folder.is_dir():
            for file in sorted(folder.iterdir(), key=lambda file: file.name):
                if file.name.endswith(".toml"):
                    yield str(file.name).removesuffix(".toml"), file.read_text(encoding="utf-8")
            return


def _module_from_file(file: Path) -> Any:
    name = f"goal_drift_scenario_{file.stem}"
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(file):
        return known
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _only_scenario_in(file: Path) -> str:
    try:
        module = _module_from_file(file)
    except (Exception, SystemExit) as error:
        raise ScenarioError(f"cannot load the scenario file {file}: {type(error).__name__}: {error}") from error
    names: list[str] = [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value)
        and value.__module__ == module.__name__
        and all(hasattr(value, part) for part in _PARTS)
    ]
    if len(names) != 1:
        raise ScenarioNotFound(f"{file} holds {len(names)} scenarios ({', '.join(names) or 'none'}); write {file}:Name")
    return names[0]
