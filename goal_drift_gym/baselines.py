"""Baselines: the results of a set of runs, kept under a name as JSON that a reviewer can read.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from goal_drift_gym.core.canonical import MALFORMED
from goal_drift_gym.core.errors import RunRecordError, UsageError
from goal_drift_gym.core.rundir import safe_stem
from goal_drift_gym.eval.limits import Limit
from goal_drift_gym.eval.verdict import VALID
from goal_drift_gym.samples import Sample

FORMAT_VERSION: Final = 1
BASELINES_DIR: Final = "artifacts/baselines"
MAIN: Final = "main"
PREFIX: Final = "baseline:"
"""What a name is written with where a directory of runs could stand too."""


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """A metric over the scored seeds of a group."""

    n: int
    """Seeds in which it has a value."""
    mean: float | None
    """Mean, or share of seeds for a flag; None without a value."""
    sd: float | None
    """Standard deviation; None below two values."""


class BaselineGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One group of a baseline."""

    sample: Sample
    """The seeds."""
    n: int
    """Seeds."""
    n_valid: int
    """Seeds with a scored run."""
    spread: dict[str, Spread]
    """The limited metrics over the scored seeds, for readers; comparisons use the seeds."""


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """A stored set of results."""

    format_version: int = FORMAT_VERSION
    name: str
    promoted_from: str | None = None
    """Name of the baseline this is a copy of."""
    limits: dict[str, float | bool]
    """Limits that held when it was saved."""
    groups: list[BaselineGroup]

    @property
    def samples(self) -> list[Sample]:
        """The groups, to be compared with others."""
        return [group.sample for group in self.groups]

    @property
    def dirty(self) -> bool:
        """Whether a run was made in a checkout with changes that no commit holds."""
        return any(commit.dirty for sample in self.samples for commit in sample.commits)


def make_baseline(name: str, samples: Sequence[Sample], limits: Mapping[str, float | bool]) -> Baseline:
    """Return a baseline of samples.

    Raises
    ------
    UsageError
        If the name is none for a file, there is no sample, a group has no scored run, or a limit does not exist.
    """
    if safe_stem(name) != name:
        raise UsageError(f"{name!r} cannot name a baseline: at most 60 letters, digits, _, - and inner dots")
    if not samples:
        raise UsageError("a baseline needs runs")
    for limit, value in limits.items():
        Limit(limit, value)
    for sample in samples:
        if not any(result.status == VALID for result in sample.results):
            raise UsageError(f"{sample.key.title}: no run is scored, so there is nothing to compare with later")
    return Baseline(name=name, limits=dict(limits), groups=[_group(sample, list(limits)) for sample in samples])


def write_baseline(
    baseline: Baseline, folder: str | Path = BASELINES_DIR, *, force: bool = False, replace: bool = False
) -> Path:
    """Write a baseline and return its path.

    Parameters
    ----------
    baseline
        What to write.
    folder
        Where baselines lie; made when it does not exist.
    force
        Write over an existing one, and in CI.
    replace
        Write over an existing one; not in CI.

    Raises
    ------
    UsageError
        If it exists, or the environment variable CI is not empty: a test run must not move what it is judged by.
    """
    path = Path(folder) / f"{baseline.name}.json"
    if os.environ.get("CI") and not force:
        raise UsageError(f"{path} is not written in CI, where $CI is set; --force writes it all the same")
    if path.exists() and not (force or replace):
        raise UsageError(f"{path} exists; --force writes over it")
    text = _readable(msgspec.to_builtins(baseline))
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="ascii")
        temporary.replace(path)
    except OSError as error:
        raise RunRecordError(f"cannot write {path}: {error.strerror}") from error
    return path


def load_baseline(name: str, folder: str | Path = BASELINES_DIR) -> Baseline:
    """Read a baseline.

    Raises
    ------
    UsageError
        If there is none by that name.
    RunRecordError
        If it is damaged, or of a format version this package does not know.
    """
    path = Path(folder) / f"{name}.json"
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        known = ", ".join(baseline_names(folder)) or "none"
        raise UsageError(f"there is no baseline {name!r} in {folder} (known: {known})") from None
    except (OSError, *MALFORMED) as error:
        raise RunRecordError(f"cannot read {path}: {error}") from error
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        raise RunRecordError(f"{path}: format version {version!r} is not known here (known: {FORMAT_VERSION})")
    try:
        return msgspec.convert(data, Baseline)
    except msgspec.ValidationError as error:
        raise RunRecordError(f"{path} is damaged: {error}") from error


def promote_baseline(name: str, to: str = MAIN, folder: str | Path = BASELINES_DIR, *, force: bool = False) -> Path:
    """Copy a baseline under another name, over what is there: promoting says that it takes its place.

    Raises
    ------
    UsageError
        If there is none by that name, both names are one, or in CI without `force`.
    """
    if name == to:
        raise UsageError(f"{name!r} cannot be promoted to itself")
    if safe_stem(to) != to:
        raise UsageError(f"{to!r} cannot name a baseline: at most 60 letters, digits, _, - and inner dots")
    copy = msgspec.structs.replace(load_baseline(name, folder), name=to, promoted_from=name)
    return write_baseline(copy, folder, force=force, replace=True)


def baseline_names(folder: str | Path = BASELINES_DIR) -> list[str]:
    """Return the names of the baselines of a folder, sorted."""
    return sorted(path.stem for path in Path(folder).glob("*.json"))


def _readable(plain: dict[str, Any]) -> str:
    """Return JSON with one line a seed, so that a review shows which seeds moved."""
    lines: list[str] = []

    def kept(value: Any) -> str:
        lines.append(json.dumps(value, ensure_ascii=True, allow_nan=False))
        return f"\x00{len(lines) - 1}\x00"

    for group in plain["groups"]:
        sample = group["sample"]
        sample["settings"] = kept(sample["settings"])
        sample["results"] = [kept(result) for result in sample["results"]]
        group["spread"] = {name: kept(spread) for name, spread in group["spread"].items()}
    text = json.dumps(plain, indent=2, ensure_ascii=True, allow_nan=False)
    return re.sub(r'"\\u0000(\d+)\\u0000"', lambda found: lines[int(found[1])], text) + "\n"


def _group(sample: Sample, names: Sequence[str]) -> BaselineGroup:
    valid = [result for result in sample.results if result.status == VALID]
    spread = {name: _spread([result.metrics.get(name) for result in valid]) for name in names}
    return BaselineGroup(sample=sample, n=len(sample.results), n_valid=len(valid), spread=spread)


def _spread(values: Sequence[Any]) -> Spread:
    known = [float(value) for value in values if value is not None]
    if not known:
        return Spread(n=0, mean=None, sd=None)
    mean = math.fsum(known) / len(known)
    squares = math.fsum((value - mean) ** 2 for value in known)
    return Spread(n=len(known), mean=mean, sd=math.sqrt(squares / (len(known) - 1)) if len(known) > 1 else None)
