"""Which runs a session has begun, so that a session that was killed can be gone on with.

One file a session, `<runs>/.sessions/<time>-<id>.<kind>.jsonl`: each of its processes appends a line, in one write, for
each run it begins. As long as a process of the session lives it holds a shared lock on the file. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import msgspec

from goal_drift_gym.core.canonical import MALFORMED, canonical_json
from goal_drift_gym.core.errors import RunRecordError, UsageError
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.runner import RESUMABLE

try:
    import fcntl
except ImportError:  # Windows has no flock; nobody is kept from going on with a session that still runs there.
    fcntl = None  # type: ignore[assignment]

SESSION_VERSION = 1
FOLDER = ".sessions"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where in a session an episode belongs."""

    owner: str
    """What it is run for, such as the node id of a test."""
    scenario: str
    condition: str
    seed: int
    repeat: int = 0
    """Number of earlier episodes with all of these the same."""


class Begun(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="begun"):
    """A run was begun."""

    place: Place
    run: str
    """Its directory, from the directory of all runs."""


class Joined(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="joined"):
    """A process takes part in the session."""

    format_version: int
    settings: dict[str, Any]


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="over"):
    """All that was planned has been run."""


_LINES = msgspec.json.Decoder(Begun | Joined | Finished)


class Session:
    """The runs of one session. Nothing is written before a run begins.

    Parameters
    ----------
    runs_dir
        The directory of all runs.
    name
        Name of the session, see `provenance.session_name`: its processes share it.
    settings
        What must be the same when the session is gone on with.
    kind
        Who runs it: one does not go on with the sessions of the other.
    resumed
        Whether the session is gone on with.
    """

    def __init__(
        self, runs_dir: Path, name: str, settings: dict[str, Any], *, kind: str, resumed: bool = False
    ) -> None:
        self.name = name
        self.path = runs_dir / FOLDER / f"{name}.{kind}.jsonl"
        self.runs_dir = runs_dir
        self._settings = settings
        self._descriptor = -1
        # Guards what follows: several episodes may begin at a time.
        self._lock = threading.Lock()
        self._redactor = Redactor.from_environment()
        self._counts: dict[tuple[str, str, str, int], int] = {}
        self._known: dict[Place, str] | None = None if resumed else {}
        """Runs begun before the session was gone on with; None until they are asked for."""

    @classmethod
    def newest(cls, runs_dir: Path, settings: dict[str, Any], *, kind: str) -> Session:
        """Return the newest session of a directory of runs, to go on with it.

        Raises
        ------
        UsageError
            If there is none, it is finished, it still runs, or it was begun with other settings.
        """
        end = f".{kind}.jsonl"
        paths = sorted((runs_dir / FOLDER).glob(f"*{end}"))
        if not paths:
            raise UsageError(f"no session has left a trace in {runs_dir}: there is nothing to go on with")
        session = cls(runs_dir, paths[-1].name.removesuffix(end), settings, kind=kind, resumed=True)
        joined, begun, over = _read(session.path)
        _check_settings(session.path, joined, settings)
        if over and all(Run(runs_dir / run).outcome not in RESUMABLE for run in begun.values()):
            raise UsageError(f"the newest session in {runs_dir} ({session.name}) is finished: nothing to go on with")
        session._take_up()
        return session

    def take(self, owner: str, scenario: str, condition: str, seed: int) -> Place:
        """Return the place of the next episode of these names, and count it."""
        return self._next(owner, scenario, condition, seed, counted=1)

    def peek(self, owner: str, scenario: str, condition: str, seed: int) -> Place:
        """Return the place that `take` will return next: for an episode that is run before it is asked for."""
        return self._next(owner, scenario, condition, seed, counted=0)

    def _next(self, owner: str, scenario: str, condition: str, seed: int, *, counted: int) -> Place:
        # A parameter of a test may be a secret, and is part of its node id.
        names = (self._redactor.text(owner), scenario, condition, seed)
        with self._lock:
            repeat = self._counts.get(names, 0)
            self._counts[names] = repeat + counted
        return Place(owner=names[0], scenario=scenario, condition=condition, seed=seed, repeat=repeat)

    def find(self, place: Place) -> Run | None:
        """Return the run that was begun at a place before this session was gone on with; None where there is none."""
        with self._lock:
            if self._known is None:
                self._known = _read(self.path)[1] if self.path.exists() else {}
            run = self._known.get(place)
        if run is None or not (self.runs_dir / run / "config.json").is_file():
            return None
        return Run(self.runs_dir / run)

    def begin(self, place: Place, run: Path) -> None:
        """Take down that a run was begun.

        Raises
        ------
        RunRecordError
            If that cannot be written.
        """
        with self._lock:
            if self._descriptor < 0:
                self._open()
            self._append(Begun(place=place, run=str(run.relative_to(self.runs_dir))))

    def finish(self) -> None:
        """Take down that all was run, if anything was."""
        with self._lock:
            if self.path.exists():
                if self._descriptor < 0:
                    self._open()
                self._append(Finished())

    def close(self) -> None:
        """Let go of the lock."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            if fcntl is not None:
                fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        except OSError as error:
            raise RunRecordError(f"cannot write {self.path}: {error.strerror}") from error
        self._append(Joined(format_version=SESSION_VERSION, settings=self._settings))

    def _append(self, line: msgspec.Struct) -> None:
        data = self._redactor.line(canonical_json(line)) + b"\n"
        try:
            if os.write(self._descriptor, data) != len(data):
                raise RunRecordError(f"cannot write {self.path}: the disk is full")
        except OSError as error:
            raise RunRecordError(f"cannot write {self.path}: {error.strerror}") from error

    def _take_up(self) -> None:
        """Open the file if no process of the session lives, and cut off a line that was not written whole."""
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise RunRecordError(f"cannot open {self.path}: {error.strerror}") from error
        try:
            if fcntl is not None:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise UsageError(f"the session {self.name} is still running; wait for it, or stop it first") from None
        os.ftruncate(self._descriptor, self.path.read_bytes().rfind(b"\n") + 1)
        self._append(Joined(format_version=SESSION_VERSION, settings=self._settings))
        if fcntl is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)


def _read(path: Path) -> tuple[list[Joined], dict[Place, str], bool]:
    """Return who joined, the run that was last begun at each place, and whether the session is over."""
    joined: list[Joined] = []
    begun: dict[Place, str] = {}
    over = False
    try:
        lines = path.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):  # noqa: B007 - the error below names it
            if not line.endswith(b"\n"):
                break
            read = _LINES.decode(line)
            if isinstance(read, Begun):
                begun[read.place] = read.run
            if isinstance(read, Joined):
                joined.append(read)
            over = isinstance(read, Finished)
    except MALFORMED as error:
        raise RunRecordError(f"{path}, line {number} is damaged: {error}") from error
    except OSError as error:
        raise RunRecordError(f"cannot read {path}: {error.strerror}") from error
    return joined, begun, over


def _check_settings(path: Path, joined: list[Joined], settings: dict[str, Any]) -> None:
    for one in joined:
        if one.format_version != SESSION_VERSION:
            raise RunRecordError(f"{path}: session format version {one.format_version!r} is not known here")
        for name in sorted(one.settings.keys() | settings.keys()):
            then, now = one.settings.get(name), settings.get(name)
            if then != now:
                raise UsageError(
                    f"the session {path.name} was begun with {name} {then!r}, now it is {now!r}; use the same"
                )
