"""Run directories: written once, never overwritten, readable whatever happened to the writer.

::

    runs/<scenario>/<timestamp>-<seed>/
        config.json      everything needed to run again
        step_log.jsonl   one record a step, appended and flushed as it happens
        metrics.json     a pure function of the two, written at the end
        meta.json        everything volatile, written at the end; without it the run is unfinished

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Container, Iterator
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from goal_drift_gym.core.adversary import gave_up
from goal_drift_gym.core.canonical import MALFORMED, canonical_json, line_json, prepare_type, sha256_hex
from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.provenance import utc_now
from goal_drift_gym.core.records import RUN_OUTCOMES, ScoreRecord, StepRecord
from goal_drift_gym.core.redaction import Redactor

try:
    import fcntl
except ImportError:  # Windows has no flock; two writers in one directory are then kept apart by O_EXCL alone.
    fcntl = None  # type: ignore[assignment]

FORMAT_VERSION = 1
CONFIG, STEP_LOG, METRICS, META = "config.json", "step_log.jsonl", "metrics.json", "meta.json"

_STEM = re.compile(r"[^A-Za-z0-9_.-]")


class Numbered(Protocol):
    """What is read of a step record; it has at least the number of the step."""

    @property
    def step(self) -> int:
        """Number of the step, counted from 0."""


_RECORDS = msgspec.json.Decoder(StepRecord)
_SCORES = msgspec.json.Decoder(ScoreRecord)
R = TypeVar("R", bound=Numbered)


class ScenarioInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Which scenario it was and where it came from."""

    id: str
    version: str
    distribution: str | None
    reference: str
    """How it is found again: a registered id, `package.module:Name`, or a file path."""


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """config.json: everything needed to run again, defaults resolved."""

    format_version: int = FORMAT_VERSION
    scenario: ScenarioInfo
    condition: dict[str, Any]
    goal: dict[str, Any]
    tools: list[dict[str, Any]]
    agent: dict[str, Any]
    seed: int
    engine_version: str
    limits: dict[str, Any]
    adversaries: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
    """The agents that speak for sources of pressure; left out where there is none."""

    @cached_property
    def config_hash(self) -> str:
        """SHA-256 of the canonical JSON without the seed: shared by all seeds of an experiment."""
        plain = msgspec.to_builtins(self)
        del plain["seed"]
        return sha256_hex(canonical_json(plain))


prepare_type(RunConfig)
_CONFIGS = msgspec.json.Decoder(RunConfig)


class RunWriter:
    """Writes one run directory. It holds a lock on the step log for as long as it lives."""

    def __init__(
        self, path: Path, config: RunConfig, redactor: Redactor, *, descriptor: int, digest: Any, steps: int
    ) -> None:
        self.path = path
        self.config = config
        self.steps = steps
        self.started: datetime = utc_now()
        self._redactor = redactor
        self._descriptor = descriptor
        self._digest = digest
        self._finished: tuple[bytes, bytes] | None = None

    @classmethod
    def create(cls, runs_dir: Path, config: RunConfig, redactor: Redactor) -> RunWriter:
        """Make a new run directory under `runs_dir` and write its config.

        Raises
        ------
        RunRecordError
            If the directory cannot be written.
        """
        data = redactor.line(canonical_json(config))
        # What is on disk is the config from here on, so that its hash is that of the file.
        config = msgspec.convert(msgspec.json.decode(data), RunConfig)
        path: Path | None = None
        descriptor = -1
        try:
            path = _new_directory(runs_dir, config.scenario.id, config.seed)
            # The log first: a directory with a config is one whose writer holds the lock, or died.
            descriptor = os.open(path / STEP_LOG, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
            _lock(descriptor, path)
            _write_whole(path / CONFIG, data + b"\n", os.O_EXCL)
        except BaseException as error:
            if path is not None:
                _remove(path, descriptor)
            if not isinstance(error, OSError):
                raise
            raise RunRecordError(f"cannot write a run directory under {runs_dir}: {error.strerror or error}") from error
        return cls(path, config, redactor, descriptor=descriptor, digest=hashlib.sha256(), steps=0)

    @classmethod
    def reopen(cls, run: Run, redactor: Redactor) -> tuple[RunWriter, list[StepRecord]]:
        """Open an unfinished run to go on with it.

        A torn last line is cut off, and so are steps at the end in which the agent's transport failed for good, or an
        adversary did: they are asked again.

        Returns
        -------
        tuple
            The writer and the steps recorded so far.

        Raises
        ------
        RunRecordError
            If another process is writing it, or it cannot be read.
        """
        try:
            descriptor = os.open(run.path / STEP_LOG, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise RunRecordError(f"cannot open {run.path / STEP_LOG}: {error.strerror}") from error
        try:
            _lock(descriptor, run.path)
            records = list(run.steps())
            lines = list(run.step_lines())
            while records and (_unavailable(records[-1]) or gave_up(records[-1])):
                del records[-1], lines[-1]
            whole = b"".join(lines)
            os.ftruncate(descriptor, len(whole))
        except BaseException:
            os.close(descriptor)
            raise
        writer = cls(
            run.path, run.config, redactor, descriptor=descriptor, digest=hashlib.sha256(whole), steps=len(records)
        )
        return writer, records

    def line(self, record: StepRecord) -> bytes:
        """Return the line of the step log that stands for a record."""
        return self._redactor.line(line_json(record))

    def write_step(self, record: StepRecord) -> None:
        """Append one record in one write.

        Raises
        ------
        RunRecordError
            If it cannot be written whole; what was written before stays readable.
        """
        data = self.line(record)
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            raise RunRecordError(self._lost(error)) from error
        if written != len(data):
            size = os.fstat(self._descriptor).st_size
            os.ftruncate(self._descriptor, size - written)
            raise RunRecordError(self._lost(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
        self._digest.update(data)
        self.steps += 1

    def finish(self, metrics: dict[str, Any], meta: dict[str, Any]) -> None:
        """Write metrics.json and meta.json, each to a temporary name and then in place."""
        written, status = self.ending(metrics, meta)
        try:
            write_ending(self.path, written, status)
        except OSError as error:
            raise RunRecordError(self._lost(error)) from error
        self._finished = (written, status)

    def ending(self, metrics: dict[str, Any], meta: dict[str, Any]) -> tuple[bytes, bytes]:
        """Return what metrics.json and meta.json are to hold, without their line ends."""
        body = {"format_version": FORMAT_VERSION, **metrics, "step_log_sha256": self._digest.hexdigest()}
        status = self._redactor.line(canonical_json({"format_version": FORMAT_VERSION, **meta}))
        return canonical_json(body), status

    def run(self) -> Run:
        """Return the run that was written; what is known of it is not read from disk again."""
        run = Run(self.path)
        known: dict[str, Any] = {"config": self.config}
        if self._finished is not None:
            written, status = self._finished
            known["metrics_file"] = msgspec.json.decode(written)
            known["meta"] = msgspec.json.decode(status)
        run.__dict__.update(known)
        return run

    def unfinish(self) -> None:
        """Take back the end of a run that is gone on with: its metrics and status would soon belong to fewer steps.

        Raises
        ------
        RunRecordError
            If they cannot be removed.
        """
        try:
            for name in (META, METRICS):
                (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise RunRecordError(self._lost(error)) from error

    def close(self) -> None:
        """Let go of the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _lost(self, error: OSError) -> str:
        return f"cannot write to {self.path}: {error.strerror or error}; {self.steps} steps are recorded and readable"


class Run:
    """A run directory, read lazily. Nothing is opened until it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = False
        """Whether the last line of the step log was cut off; known after the steps were read."""

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @cached_property
    def config(self) -> RunConfig:
        """config.json.

        Raises
        ------
        RunRecordError
            If it is missing, damaged, or of a format version this package does not know.
        """
        content = self._bytes(CONFIG)
        if content is None:
            if is_run_directory(self.path):
                raise RunRecordError(f"{self.path} is damaged: it has no {CONFIG}")
            raise RunRecordError(f"{self.path} is no run directory: it has no {CONFIG}")
        try:
            known = _CONFIGS.decode(content)
        except MALFORMED:
            pass  # What is wrong with it is told below.
        else:
            if known.format_version == FORMAT_VERSION:
                return known
        data = self._decoded(CONFIG, content)
        version = data.get("format_version") if isinstance(data, dict) else None
        if version != FORMAT_VERSION:
            raise RunRecordError(
                f"{self.path / CONFIG}: format version {version!r} is not known here (known: {FORMAT_VERSION})"
            )
        try:
            return msgspec.convert(data, RunConfig)
        except msgspec.ValidationError as error:
            raise RunRecordError(f"{self.path / CONFIG} is damaged: {error}") from error

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.config.seed

    @cached_property
    def meta(self) -> dict[str, Any] | None:
        """meta.json, or None while the run is unfinished."""
        return self._object(META)

    @cached_property
    def metrics_file(self) -> dict[str, Any] | None:
        """metrics.json, or None while the run is unfinished."""
        return self._object(METRICS)

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics as they were written; empty while the run is unfinished."""
        metrics = (self.metrics_file or {}).get("metrics", {})
        if not isinstance(metrics, dict):
            raise RunRecordError(f"{self.path / METRICS} is damaged: its metrics are no object")
        return dict(metrics)

    @property
    def outcome(self) -> str | None:
        """How the run ended; None when it did not, and can be resumed."""
        if self.meta is None:
            return None
        status = self.meta.get("status")
        if status not in RUN_OUTCOMES:
            raise RunRecordError(f"{self.path / META} is damaged: status {status!r} is no run outcome")
        return str(status)

    @cached_property
    def step_log_mark(self) -> tuple[int, str]:
        """Lines of the step log and the SHA-256 of its bytes, a torn last line included; no log is an empty one.

        Raises
        ------
        RunRecordError
            If it cannot be read.
        """
        return _log_mark(self._bytes(STEP_LOG) or b"")

    @property
    def is_running(self) -> bool:
        """Whether a process holds the step log open for writing right now."""
        if fcntl is None or not (self.path / STEP_LOG).exists():
            return False
        try:
            descriptor = os.open(self.path / STEP_LOG, os.O_RDONLY)
        except OSError as error:
            raise RunRecordError(f"cannot read {self.path / STEP_LOG}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    @property
    def place(self) -> str:
        """`<scenario>/<name of the run directory>`: the same wherever the run lies, and however it was come to."""
        name = self.path.name
        # Asking the disk takes its time.
        plain = name not in ("", "..") and not self.path.is_symlink()
        return f"{safe_stem(self.config.scenario.id)}/{name if plain else self.path.resolve().name}"

    def steps(self) -> Iterator[StepRecord]:
        """Read the records one by one.

        A torn last line is left out and `torn` is set.

        Raises
        ------
        RunRecordError
            If a line is damaged or out of order, naming it.
        """
        return self.read_steps(_RECORDS)

    def scores(self) -> list[ScoreRecord]:
        """Read of all records what says how they are scored, as `steps` does, in one go."""
        whole = self._bytes(STEP_LOG) or b""
        self.__dict__["step_log_mark"] = _log_mark(whole)
        try:
            records = _SCORES.decode_lines(whole[: whole.rfind(b"\n") + 1])
        except MALFORMED:
            records = []
        in_order = [record.step for record in records] == list(range(len(records)))
        if not (records and in_order and whole.count(b"\n") == len(records)):
            # Line by line, which says what is wrong, and where.
            return list(self.read_steps(_SCORES))
        self.torn = not whole.endswith(b"\n")
        return records

    def read_steps(self, decoder: msgspec.json.Decoder[R]) -> Iterator[R]:
        """Read of each record what a decoder takes of it, as `steps` does."""
        for number, line in enumerate(self.step_lines()):
            try:
                record = decoder.decode(line)
            except MALFORMED as error:
                raise RunRecordError(f"{self.path / STEP_LOG}, line {number + 1} is damaged: {error}") from error
            if record.step != number:
                raise RunRecordError(
                    f"{self.path / STEP_LOG}, line {number + 1}: expected step {number}, found step {record.step}"
                )
            yield record

    def step_lines(self) -> Iterator[bytes]:
        """Read the lines of the step log as they are, with their line ends, without a torn last one."""
        self.torn = False
        try:
            with open(self.path / STEP_LOG, "rb") as lines:
                for line in lines:
                    if not line.endswith(b"\n"):
                        self.torn = True
                        return
                    yield line
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunRecordError(f"cannot read {self.path / STEP_LOG}: {error.strerror}") from error

    def _object(self, name: str) -> dict[str, Any] | None:
        data = self._json(name)
        if data is not None and not isinstance(data, dict):
            raise RunRecordError(f"{self.path / name} is damaged: it holds no object")
        if data is not None and data.get("format_version") != FORMAT_VERSION:
            raise RunRecordError(
                f"{self.path / name}: format version {data.get('format_version')!r} is not known here "
                f"(known: {FORMAT_VERSION})"
            )
        return data

    def _json(self, name: str) -> Any:
        content = self._bytes(name)
        return None if content is None else self._decoded(name, content)

    def _decoded(self, name: str, content: bytes) -> Any:
        try:
            return msgspec.json.decode(content)
        except MALFORMED as error:
            raise RunRecordError(f"{self.path / name} is damaged: {error}") from error

    def _bytes(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunRecordError(f"cannot read {self.path / name}: {error.strerror}") from error


def write_ending(path: Path, metrics: bytes, meta: bytes) -> None:
    """Write metrics.json and meta.json of a run, the one that says that it is finished last."""
    _replace(path / METRICS, metrics + b"\n")
    _replace(path / META, meta + b"\n")


def load_run(path: str | Path) -> Run:
    """Open a run directory.

    Raises
    ------
    RunRecordError
        If there is none at `path`.
    """
    run = Run(Path(path))
    if not run.path.is_dir():
        raise RunRecordError(f"there is no run directory at {run.path}")
    run.config  # noqa: B018 - a foreign or damaged directory is refused here, not at some later use
    return run


def find_runs(root: str | Path, *, scenario: str | None = None) -> Iterator[Run]:
    """Find run directories at or below `root`, in the order of their paths.

    Links to directories are followed; no directory is searched twice, and one that lies below `root` goes by its own
    path. Directories that are no runs are passed over; a run whose config is damaged or gone raises when it is looked
    at.

    Raises
    ------
    RunRecordError
        If a directory cannot be read: there may be runs in it.
    """
    for path in _run_directories(Path(root)):
        run = Run(path)
        if scenario is None or run.config.scenario.id == scenario:
            yield run


def is_run_directory(path: str | Path) -> bool:
    """Return whether a directory is a run, or what is left of one; False too where there is no directory.

    It is if it holds a config with a step log or meta.json, or any of these that cannot be anything else: a step log,
    metrics.json with meta.json, or a config.json that is one of ours.

    Raises
    ------
    RunRecordError
        If it cannot be read.
    """
    try:
        with os.scandir(path) as entries:
            names = {entry.name for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise RunRecordError(f"cannot read {path}: {error.strerror}") from error
    return _holds_run(Path(path), names)


def _holds_run(directory: Path, names: Container[str]) -> bool:
    if STEP_LOG in names:
        return CONFIG in names or not _is_being_begun(Run(directory))
    if META in names:
        return CONFIG in names or METRICS in names
    return CONFIG in names and _is_our_config(directory / CONFIG)


def _is_being_begun(run: Run) -> bool:
    """Return whether a writer has made its step log and is about to write its config."""
    try:
        return (run.path / STEP_LOG).stat().st_size == 0 and run.is_running
    except (OSError, RunRecordError):
        return False


def _is_our_config(path: Path) -> bool:
    """Return whether a config.json without any other file of a run is a run's: many programs have one of that name."""
    try:
        found = msgspec.json.decode(path.read_bytes()) if path.is_file() else None
    except (OSError, *MALFORMED):
        return False
    return isinstance(found, dict) and found.keys() >= {"format_version", "scenario", "seed"}


def _run_directories(top: Path) -> list[Path]:
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    links = _search(top, seen, found)
    if not links:
        return found
    # What can be come to without a link goes by that path, so links wait until all else is searched.
    while links:
        links = [further for link in links for further in _search(link, seen, found)]
    return sorted(found, key=lambda path: path.parts)


def _search(top: Path, seen: set[tuple[int, int]], found: list[Path]) -> list[Path]:
    """Add the runs at or below a directory that is not in `seen` to `found`; return the links to directories."""
    links: list[Path] = []
    waiting = [top]
    while waiting:
        directory = waiting.pop()
        names: set[str] = set()
        folders: list[str] = []
        try:
            about = directory.stat()
            if (about.st_dev, about.st_ino) in seen:
                continue
            seen.add((about.st_dev, about.st_ino))
            with os.scandir(directory) as entries:
                for entry in entries:
                    names.add(entry.name)
                    if not entry.is_dir():
                        continue
                    if entry.is_symlink():
                        links.append(directory / entry.name)
                    else:
                        folders.append(entry.name)
        except (FileNotFoundError, NotADirectoryError):
            continue  # It is not there, or not any more.
        except OSError as error:
            raise RunRecordError(f"cannot read {error.filename or directory}: {error.strerror}") from error
        if _holds_run(directory, names):
            found.append(directory)
        waiting += [directory / name for name in sorted(folders, reverse=True)]
    return sorted(links)


def _new_directory(runs_dir: Path, scenario_id: str, seed: int) -> Path:
    parent = runs_dir / safe_stem(scenario_id)
    if not runs_dir.exists():
        runs_dir.mkdir(parents=True, exist_ok=True)
        # A fresh directory of ours must not show up in its owner's version control.
        (runs_dir / ".gitignore").write_text("*\n", encoding="utf-8")
    now = utc_now()
    while True:
        path = parent / f"{now:%Y%m%dT%H%M%S.%fZ}-{seed}"
        try:
            path.mkdir()
        except FileExistsError:
            # Not the clock again: in tests that freeze time it would stand still.
            now += timedelta(microseconds=1)
            continue
        except FileNotFoundError:
            parent.mkdir(exist_ok=True)
            continue
        return path


def safe_stem(name: str) -> str:
    """Return a name that is safe as a single path part: letters, digits, `_`, `-`, inner dots, up to 60 characters.

    >>> safe_stem("../etc/passwd")
    'etc_passwd'
    """
    return _STEM.sub("_", name).strip("._")[:60].rstrip(".") or "unnamed"


def _log_mark(whole: bytes) -> tuple[int, str]:
    return whole.count(b"\n"), hashlib.sha256(whole).hexdigest()


def _unavailable(record: StepRecord) -> bool:
    return any(event.kind == "agent_unavailable" and event.by == "agent" for event in record.events)


def _remove(path: Path, descriptor: int) -> None:
    """Take back a directory that could not be begun."""
    if descriptor >= 0:
        os.close(descriptor)
    for name in (CONFIG, STEP_LOG):
        (path / name).unlink(missing_ok=True)
    path.rmdir()


def _write_whole(path: Path, data: bytes, flags: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o666)
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(descriptor)


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    try:
        _write_whole(temporary, data, os.O_TRUNC)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _lock(descriptor: int, path: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise RunRecordError(f"{path} is being written by another process; wait for it, or stop it first") from error
