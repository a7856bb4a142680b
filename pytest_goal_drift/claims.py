"""Which process of a session runs which episode, and the runs that wait for the process of their test.

pytest-xdist says late, or takes back, which process runs a test. So each process claims episodes of the whole session,
as long as it has room, and a test takes the run of its seed from whoever has made it. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from goal_drift_gym.run_end import HandedOver

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no way to see that the owner of a claim has died
    fcntl = None  # type: ignore[assignment]

_POLL_S = 0.02
_CLAIM, _RUN, _GONE = ".claim", ".run", ".gone"

can_claim = fcntl is not None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one seed of a test, made and not taken yet."""

    fingerprint: str
    """Of the agent and the experiments; the test that takes the runs must have the same."""
    runs: list[HandedOver]
    """The run, and that of its twin where there is one."""
    output: list[list[Any]]
    """What their agents printed and logged, by run."""


class Claims:
    """Claims and waiting runs of a session, one file each in a directory that its processes share.

    A claim is a locked file. The system releases the lock of a process that dies, so nobody waits for the dead.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._mine: dict[str, int] = {}

    def claim(self, group: str, seed: int) -> bool:
        """Return whether this process is to run a seed of a test from now on; whoever had claimed it is dead then."""
        stem = self._stem(group, seed)
        if stem in self._mine:
            return True
        if self._path(stem, _RUN).exists() or self._path(stem, _GONE).exists():
            return False
        descriptor = os.open(self._path(stem, _CLAIM), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        if self._path(stem, _RUN).exists() or self._path(stem, _GONE).exists():
            os.close(descriptor)
            return False
        self._mine[stem] = descriptor
        return True

    def release(self, group: str, seed: int) -> None:
        """Give a claim back, after its runs were published or because there are none."""
        descriptor = self._mine.pop(self._stem(group, seed), None)
        if descriptor is not None:
            os.close(descriptor)

    def settle(self, group: str, seed: int) -> None:
        """Say that the runs of a claim were taken by this process itself, and give the claim back."""
        self._path(self._stem(group, seed), _GONE).touch()
        self.release(group, seed)

    def publish(self, group: str, seed: int, waiting: Waiting) -> None:
        """Let any process take the runs of a claim, and give the claim back."""
        path = self._path(self._stem(group, seed), _RUN)
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        temporary.write_bytes(msgspec.json.encode(waiting))
        temporary.replace(path)
        self.release(group, seed)

    def take(self, group: str, seed: int) -> Waiting | None:
        """Return the runs of a seed and have them gone for everybody else; None where none wait."""
        return self._take(self._path(self._stem(group, seed), _RUN))

    def wait(self, group: str, seed: int) -> Waiting | None:
        """Wait for whoever has claimed a seed and return its runs; None where it is ours to run, claimed by then."""
        while True:
            taken = self.take(group, seed)
            if taken is not None or self.claim(group, seed):
                return taken
            if self._path(self._stem(group, seed), _GONE).exists():
                return None
            time.sleep(_POLL_S)

    def left(self) -> Iterator[Waiting]:
        """Take all that wait and nobody took."""
        for path in sorted(self._directory.glob(f"*{_RUN}")):
            waiting = self._take(path)
            if waiting is not None:
                yield waiting

    def _take(self, path: Path) -> Waiting | None:
        gone = path.with_suffix(_GONE)
        try:
            # Whoever renames it has it.
            path.rename(gone)
        except FileNotFoundError:
            return None
        return msgspec.json.decode(gone.read_bytes(), type=Waiting)

    def _path(self, stem: str, suffix: str) -> Path:
        return self._directory / f"{stem}{suffix}"

    @staticmethod
    def _stem(group: str, seed: int) -> str:
        return f"{hashlib.sha256(group.encode()).hexdigest()[:24]}_{seed}"


def claims_of(config: pytest.Config) -> Claims | None:
    """Return the claims that the processes of a session share; None where this process runs all there is.

    Raises
    ------
    pytest.UsageError
        On a system without file locks, for a session of several processes.
    """
    directory = getattr(config, "workerinput", {}).get("goal_drift", {}).get("claims")
    if directory is None:
        return None
    if not can_claim:
        raise pytest.UsageError("--drift-concurrency with -n needs file locks, which this system has not; use -n0")
    return Claims(Path(directory))


def drop_left(directory: Path) -> None:
    """Close the runs that no test of a session took as interrupted."""
    from pytest_goal_drift.playing import drop_one

    for waiting in Claims(directory).left():
        for held in waiting.runs:
            drop_one(held)
