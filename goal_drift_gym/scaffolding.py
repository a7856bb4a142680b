"""Start a scenario of one's own: a copy of the template under another name.

The template is an installable pack whose names are placeholders. In a checkout it lies in `scenarios/_template`; the
wheel brings it as `goal_drift_gym/scenarios/_template`.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import importlib.util
import io
import keyword
import os
import re
import shutil
import tempfile
import tokenize
from pathlib import Path

import msgspec

import goal_drift_gym
from goal_drift_gym.core.errors import GoalDriftError, UsageError
from goal_drift_gym.scenarios.discovery import scenario_entries

_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_LONGEST = 60
_LEFT_BEHIND = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis", "*.egg-info", "runs", "artifacts")


class ScenarioNames(msgspec.Struct, frozen=True):
    """Every name a scenario pack goes by, made from its id."""

    id: str
    title: str

    @property
    def class_name(self) -> str:
        """Name of the scenario class."""
        return "".join(part.capitalize() for part in self.id.split("_"))

    @property
    def package(self) -> str:
        """Name to import."""
        return f"goal_drift_{self.id}"

    @property
    def distribution(self) -> str:
        """Name to install."""
        return self.package.replace("_", "-")

    def spellings(self) -> tuple[str, ...]:
        """Return the forms in which these names stand in the files of a pack."""
        return self.id, self.class_name, self.id.replace("_", "-"), self.title


class NewScenario(msgspec.Struct, frozen=True):
    """What was made."""

    names: ScenarioNames
    path: Path
    files: tuple[str, ...]
    """Paths relative to `path`, sorted."""


TEMPLATE = ScenarioNames("my_scenario", "My scenario")
"""The names in the template."""


def new_scenario(name: str, *, directory: Path, title: str | None = None) -> NewScenario:
    """Write a scenario pack into `directory`/`name`, which must not exist; all of it or nothing.

    Raises
    ------
    UsageError
        If the name cannot be used, is taken, or if nothing can be written there.
    GoalDriftError
        If this installation lacks the template.
    """
    names = ScenarioNames(name, name.replace("_", " ").capitalize() if title is None else title)
    template = template_folder()
    _check_name(names, template)
    _check_title(names.title)
    path = directory / name
    if not directory.is_dir():
        raise UsageError(f"there is no directory {str(directory)!r} to write {name!r} into; make it first")
    if os.path.lexists(path):
        raise UsageError(f"{str(path)!r} exists and is left as it is; choose another name or --directory")
    try:
        with tempfile.TemporaryDirectory(dir=directory, prefix=f".{name}-") as workshop:
            made = Path(workshop) / name
            _copy(template, made, names)
            # Of two that make the same folder at once, the later one fails here: it is not empty any more.
            made.rename(path)
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {error}") from error
    files = sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
    return NewScenario(names, path, tuple(files))


def template_folder() -> Path:
    """Return where the template lies.

    Raises
    ------
    GoalDriftError
        If this installation has none.
    """
    package = Path(goal_drift_gym.__file__).parent
    places = [package / "scenarios" / "_template", package.parent / "scenarios" / "_template"]
    for place in places:
        if (place / "pyproject.toml").is_file():
            return place
    raise GoalDriftError(
        f"this installation lacks the template of scenarios (looked in {', '.join(map(str, places))}); "
        "install pytest-goal-drift again"
    )


def _check_name(names: ScenarioNames, template: Path) -> None:
    name = names.id
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise UsageError(
            f"a scenario cannot be named {name!r}: give small letters, digits and single underscores, a letter first, "
            f"at most {_LONGEST}, as in 'toll_gate'"
        )
    if keyword.iskeyword(name) or keyword.iskeyword(names.class_name):
        raise UsageError(f"a scenario cannot be named {name!r}: it or its class would be a keyword of Python")
    if names.class_name in _identifiers(template):
        raise UsageError(
            f"a scenario cannot be named {name!r}: its class would be {names.class_name!r}, a name that its module "
            f"uses already; add a word, as in '{name}_case'"
        )
    entry = scenario_entries().get(name)
    if entry is not None:
        raise UsageError(f"there is a scenario {name!r} already, from {entry.distribution}; choose another name")
    if importlib.util.find_spec(names.package) is not None:
        raise UsageError(
            f"a scenario cannot be named {name!r}: its package would be {names.package!r}, which is installed already"
        )


def _check_title(title: str) -> None:
    if not title.strip() or not title.isprintable() or '"' in title or "\\" in title:
        raise UsageError(f"the title {title!r} cannot be used: give one line without double quotes and backslashes")


def _identifiers(template: Path) -> frozenset[str]:
    """Return every name that the template's scenario module uses."""
    (module,) = template.glob("*/scenario.py")
    tokens = tokenize.generate_tokens(io.StringIO(module.read_text(encoding="utf-8")).readline)
    return frozenset(token.string for token in tokens if token.type == tokenize.NAME)


def _copy(template: Path, target: Path, names: ScenarioNames) -> None:
    """Copy the template to `target`, in paths and in texts under the new names."""
    renamed = dict(zip(TEMPLATE.spellings(), names.spellings(), strict=True))
    pattern = re.compile("|".join(map(re.escape, renamed)))

    def under_new_names(text: str) -> str:
        return pattern.sub(lambda found: renamed[found.group()], text)

    target.mkdir()
    for folder, subfolders, files in os.walk(template):
        skipped = _LEFT_BEHIND(folder, [*subfolders, *files])
        subfolders[:] = [name for name in subfolders if name not in skipped]
        place = target / under_new_names(str(Path(folder).relative_to(template)))
        place.mkdir(exist_ok=True)
        for name in files:
            if name not in skipped:
                text = (Path(folder) / name).read_text(encoding="utf-8")
                (place / under_new_names(name)).write_text(under_new_names(text), encoding="utf-8", newline="\n")
