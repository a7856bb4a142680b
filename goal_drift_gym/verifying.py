"""Proving that runs reproduce: each is driven again in a second process, under another hash seed.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from goal_drift_gym.consistency import config_difference, metrics_difference
from goal_drift_gym.core.errors import GoalDriftError
from goal_drift_gym.core.replay import Difference
from goal_drift_gym.core.rundir import Run, load_run
from goal_drift_gym.grouping import is_imported
from goal_drift_gym.runner import recompute_metrics, verify_run

WORKER = "goal_drift_gym.scripts.verify_worker"
"""The module the second process runs: paths as JSON strings on stdin, one `Verification` a line on stdout."""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What verifying a run found."""

    path: str
    status: Literal["ok", "different", "unverified"]
    """`ok`: byte for byte the same; `different`; `unverified`: it cannot be told, `detail` says why."""
    detail: str = ""
    difference: Difference | None = None
    """The first difference, where there is one."""


def verify_path(path: str) -> Verification:
    """Verify one run in this process. Whatever goes wrong is part of the answer.

    An imported run has no scenario to be driven again; its files are checked against each other.
    """
    try:
        run = load_run(path)
        if run.is_running:
            return Verification(path=path, status="unverified", detail="it is being written by another process")
        imported = is_imported(run)
        difference = _imported_difference(run) if imported else verify_run(run)
        detail = _remark(run, imported)
    except GoalDriftError as error:
        return Verification(path=path, status="unverified", detail=str(error))
    except Exception as error:
        # A scenario that raises on a foreign state must not end the verification of all the other runs.
        return Verification(path=path, status="unverified", detail=f"{type(error).__name__}: {error}")
    if difference is not None:
        return Verification(path=path, status="different", detail=str(difference), difference=difference)
    return Verification(path=path, status="ok", detail=detail)


def verify_elsewhere(paths: Iterable[str]) -> Iterator[Verification]:
    """Verify runs in a second process with another `PYTHONHASHSEED`, many in one process.

    A process that dies costs the run it was in; the next run gets a new one.
    """
    worker: subprocess.Popen[bytes] | None = None
    try:
        for path in paths:
            if worker is None:
                worker = _start()
            answer = _ask(worker, path)
            if answer is None:
                code = _end(worker)
                worker = None
                answer = Verification(
                    path=path, status="unverified", detail=f"the verifying process ended with exit code {code}"
                )
            yield answer
    finally:
        if worker is not None:
            _end(worker)


def _imported_difference(run: Run) -> Difference | None:
    return config_difference(run) or metrics_difference(run, recompute_metrics(run))


def _remark(run: Run, imported: bool) -> str:
    if imported:
        return "imported: its files agree; there is no scenario to drive again"
    return "unfinished: the steps recorded so far" if run.outcome is None else ""


def _start() -> subprocess.Popen[bytes]:
    here = os.environ.get("PYTHONHASHSEED")
    environment = {**os.environ, "PYTHONHASHSEED": "2" if here == "1" else "1"}
    return subprocess.Popen(
        [sys.executable, "-m", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )


def _ask(worker: subprocess.Popen[bytes], path: str) -> Verification | None:
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.write(msgspec.json.encode(str(Path(path).absolute())) + b"\n")
        worker.stdin.flush()
        line = worker.stdout.readline()
    except OSError:
        return None
    if not line.endswith(b"\n"):
        return None
    return msgspec.structs.replace(msgspec.json.decode(line, type=Verification), path=path)


def _end(worker: subprocess.Popen[bytes]) -> int:
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.close()
    except OSError:
        pass
    worker.stdout.close()
    return worker.wait()
