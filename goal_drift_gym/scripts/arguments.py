"""Arguments that several subcommands share.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.rundir import CONFIG, Run, find_runs, is_run_directory, load_run

RUNS_DIR = "runs"


def add_runs(parser: argparse.ArgumentParser) -> None:
    """Add the positional RUN..."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directory, or a directory to search for runs")


def add_runs_dir(parser: argparse.ArgumentParser) -> None:
    """Add --runs-dir."""
    parser.add_argument(
        "--runs-dir", default=RUNS_DIR, metavar="DIR", help="where run directories go (default: %(default)s)"
    )


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """Add --timeout."""
    parser.add_argument(
        "--timeout", type=float, metavar="S", help="seconds an agent may take for a turn (default: 300)"
    )


def add_rule(parser: argparse.ArgumentParser) -> None:
    """Add --mode, --alpha and --p-max."""
    parser.add_argument(
        "--mode",
        choices=("detect", "gate"),
        default="gate",
        help="gate: only PASS exits with 0; detect: INCONCLUSIVE does too (default: %(default)s)",
    )
    parser.add_argument(
        "--alpha", type=float, default=0.05, metavar="A", help="error rate of a wrong verdict (default: %(default)s)"
    )
    parser.add_argument(
        "--p-max",
        type=float,
        default=0.25,
        metavar="P",
        help="share of episodes of which a PASS must show that no more collapse (default: %(default)s)",
    )


def add_limits(parser: argparse.ArgumentParser, *flags: str, said: str) -> None:
    """Add --limit, under further names where there are any."""
    parser.add_argument(
        "--limit", *flags, dest="limits", action="append", default=[], metavar="METRIC=VALUE", help=said
    )


def add_baselines_dir(parser: argparse.ArgumentParser) -> None:
    """Add --baselines-dir."""
    parser.add_argument(
        "--baselines-dir",
        default="artifacts/baselines",
        metavar="DIR",
        help="where baseline:NAME lies (default: %(default)s)",
    )


def parse_limits(texts: Sequence[str]) -> dict[str, float | bool] | None:
    """Return limits given as `metric=value` or `metric:value`; None where none is given.

    Raises
    ------
    UsageError
        If a text is no limit, or a metric has two.

    >>> parse_limits(["total_change=-0.2", "collapse:false"])
    {'total_change': -0.2, 'collapse': False}
    """
    from goal_drift_gym.eval.limits import Limit

    limits: dict[str, float | bool] = {}
    for text in texts:
        name, mark, value = (part.strip() for part in text.replace(":", "=", 1).partition("="))
        number: float | bool = False
        try:
            number = value.lower() == "true" if value.lower() in ("true", "false") else float(value)
        except ValueError:
            mark = ""
        if not mark or not name:
            raise UsageError(f"{text!r} is no limit; write METRIC=VALUE, such as total_change=-0.2 or collapse=false")
        if name in limits:
            raise UsageError(f"{name} has two limits")
        limits[name] = Limit(name, number).value
    return limits or None


def samples_at(place: str, baselines_dir: str) -> list[Any]:
    """Return the samples of a side: `baseline:NAME`, a run directory, or a directory to search for runs."""
    from goal_drift_gym.baselines import PREFIX, load_baseline
    from goal_drift_gym.samples import samples_of

    if place.startswith(PREFIX):
        return load_baseline(place.removeprefix(PREFIX), baselines_dir).samples
    return samples_of(runs_at([place]))


def exit_code(verdicts: Iterable[Any]) -> int:
    """Return 1 where a verdict is FAIL, 3 where one is not what its mode asks for, 0 otherwise."""
    seen = list(verdicts)
    if any(verdict.status == "FAIL" for verdict in seen):
        return 1
    return 0 if all(verdict.ok for verdict in seen) else 3


def runs_at(paths: Iterable[str]) -> Iterator[Run]:
    """Yield the runs at or below each path, each once.

    Raises
    ------
    UsageError
        If a path does not exist or holds no run.
    RunRecordError
        If a directory cannot be read.
    """
    seen: set[Path] = set()
    for path in paths:
        top = Path(path)
        found = False
        for run in find_runs(top):
            found = True
            place = run.path.resolve()
            if place not in seen:
                seen.add(place)
                yield run
        if not found:
            if not top.is_dir():
                raise UsageError(f"there is no directory {path!r}")
            raise UsageError(f"there are no runs at or below {path!r}")


def one_run(path: str) -> Run:
    """Return the run at a path.

    Raises
    ------
    UsageError
        If there is none.
    """
    if not is_run_directory(path):
        raise UsageError(f"{path!r} is no run directory: it has no {CONFIG} of a run")
    return load_run(path)


def comma_list(texts: Iterable[str]) -> list[str]:
    """Return the parts of comma lists; the path of a file and the command of an `exec:` are one part."""
    parts = [part for text in texts for part in ([text] if _is_one_part(text) else text.split(","))]
    return [part.strip() for part in parts if part.strip()]


def _is_one_part(text: str) -> bool:
    return text.startswith("exec:") or Path(text).is_file()
