"""Where tapes lie, and who may write one.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from goal_drift_gym.agents.tape_lines import (
    REPLAYABLE,
    SUFFIX,
    TAPE_VERSION,
    UNFINISHED,
    Header,
    Role,
    RunLine,
    Tape,
    TapedScenario,
    digest,
    read_tape,
)
from goal_drift_gym.agents.tape_shown import said_difference
from goal_drift_gym.core.canonical import canonical_json, line_json, sha256_hex
from goal_drift_gym.core.errors import TapeError
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.rundir import Run, RunConfig, safe_stem

try:
    import fcntl
except ImportError:  # Windows has no flock; whoever records twice at a time there is on their own.
    fcntl = None  # type: ignore[assignment]

_STEM = 40
_CONFIG = msgspec.json.Decoder(RunConfig)


class TapeSlot(msgspec.Struct, frozen=True, kw_only=True):
    """Where the tape of an episode goes, and what tells it from tapes of the same experiment, agent and seed."""

    directory: Path
    owner: str = ""
    """What the episode is run for, such as the node id of a test."""
    repeat: int = 0
    """Number of earlier episodes of the same names and seed for the same owner."""
    role: Role = "agent"

    def header(self, config: RunConfig, redactor: Redactor) -> Header:
        """Return the header of the tape of a run, without secrets."""
        config = _CONFIG.decode(redactor.line(canonical_json(config)))
        return Header(
            format_version=TAPE_VERSION,
            role=self.role,
            owner=self.owner,
            seed=config.seed,
            repeat=self.repeat,
            engine_version=config.engine_version,
            scenario=TapedScenario(id=config.scenario.id, version=config.scenario.version),
            condition=config.condition,
            condition_hash=digest(canonical_json(config.condition)),
            goal_hash=digest(canonical_json(config.goal)),
            tools_hash=digest(canonical_json(config.tools)),
            agent=config.agent,
            adversaries=config.adversaries or [],
            limits=config.limits,
        )

    def path(self, header: Header) -> Path:
        """Return where a finished tape with this header lies."""
        condition, agent = (
            safe_stem(str(part.get("name")))[:_STEM].strip("._") for part in (header.condition, header.agent)
        )
        known = digest(canonical_json(header.slot))[:8]
        repeat = f"-repeat{header.repeat}" if header.repeat else ""
        name = f"{condition}-{agent}-seed{header.seed}{repeat}-{header.role}-{known}{SUFFIX}"
        return self.directory / safe_stem(header.scenario.id) / name


def check_same(past: Tape, header: Header, known: Sequence[StepRecord]) -> None:
    """Check that a tape is the one of a run that is gone on with.

    Raises
    ------
    TapeError
        If its header is another, or it lacks turns of the known steps.
    """
    before, now = msgspec.to_builtins(past.header), msgspec.to_builtins(header)
    if before != now:
        raise TapeError(f"{past.path} is of something else: {said_difference('', before, now)}")
    for record in known:
        asked = record.outcome != "forced" and not any(event.kind == "prefix" for event in record.events)
        if asked and record.step not in past.turns:
            raise TapeError(f"{past.path} lacks the turn of step {record.step}; run the episode anew")


def finish_tape(run: Run) -> None:
    """Write the last line of the tape of a finished run, and put the tape in place; done once, it does nothing more.

    A tape whose episode was cut off by something that is not the agent stays unfinished.

    Raises
    ------
    TapeError
        If it cannot be written, or is of another run.
    """
    told = (run.meta or {}).get("tape")
    if told is None or run.outcome not in REPLAYABLE:
        return
    path = Path(told)
    if not part_of(path).exists() and path.exists():
        return
    descriptor = open_part(path)
    try:
        tape = read_tape(part_of(path))
        log = b"".join(run.step_lines())
        line = RunLine(
            outcome=str(run.outcome),
            steps=log.count(b"\n"),
            step_log_sha256=sha256_hex(log),
            metrics_sha256=sha256_hex(canonical_json(run.metrics)),
        )
        if any(turn.end is None for turn in tape.turns.values()):
            raise TapeError(f"{part_of(path)} is not the tape of {run.path}: it has a turn without an end")
        os.ftruncate(descriptor, tape.whole_bytes)
        append_line(descriptor, line_json(line))
        part_of(path).replace(path)
    except OSError as error:
        raise lost(path, error) from error
    finally:
        os.close(descriptor)


def append_line(descriptor: int, data: bytes) -> None:
    """Append a line in one write.

    Raises
    ------
    OSError
        If it cannot be written whole; nothing of it is left then.
    """
    size = os.fstat(descriptor).st_size
    if os.write(descriptor, data) != len(data):
        os.ftruncate(descriptor, size)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def part_of(path: Path) -> Path:
    """Return where the tape of a path lies as long as it is unfinished."""
    return path.with_name(path.name + UNFINISHED)


def lost(path: Path, error: OSError) -> TapeError:
    """Return the error that says an unfinished tape cannot be written."""
    return TapeError(f"cannot write to {part_of(path)}: {error.strerror or error}")


def open_part(path: Path) -> int:
    """Open the unfinished tape of a path for appending, with a lock on it.

    Raises
    ------
    TapeError
        If another process holds the lock, or it cannot be opened.
    """
    part = part_of(path)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        while True:
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            if fcntl is None:
                return descriptor
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                raise TapeError(
                    f"{part} is being recorded by another process; wait for it, stop it, or record elsewhere"
                ) from None
            # Whoever held the lock before may have put the file in place: then the lock is on a finished tape.
            if part.exists() and os.path.samestat(os.fstat(descriptor), part.stat()):
                return descriptor
            os.close(descriptor)
    except OSError as error:
        raise lost(path, error) from error
