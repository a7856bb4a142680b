"""Arguments that several subcommands share.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.rundir import CONFIG, Run, find_runs, load_run

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


def runs_at(paths: Iterable[str]) -> Iterator[Run]:
    """Yield the runs at or below each path, each once.

    Raises
    ------
    UsageError
        If a path does not exist or holds no run.
    """
    seen: set[Path] = set()
    for path in paths:
        top = Path(path)
        if not top.is_dir():
            raise UsageError(f"there is no directory {path!r}")
        found = False
        for run in [Run(top)] if is_run(top) else find_runs(top):
            found = True
            if run.path.resolve() not in seen:
                seen.add(run.path.resolve())
                yield run
        if not found:
            raise UsageError(f"there are no runs at or below {path!r}")


def one_run(path: str) -> Run:
    """Return the run at a path.

    Raises
    ------
    UsageError
        If there is none.
    """
    if not is_run(Path(path)):
        raise UsageError(f"{path!r} is no run directory: it has no {CONFIG}")
    return load_run(path)


def is_run(path: Path) -> bool:
    """Return whether a path looks like a run directory."""
    return (path / CONFIG).is_file()


def comma_list(texts: Iterable[str]) -> list[str]:
    """Return the parts of comma lists; a text that is the path of a file is one part."""
    parts = [part for text in texts for part in ([text] if Path(text).is_file() else text.split(","))]
    return [part.strip() for part in parts if part.strip()]
