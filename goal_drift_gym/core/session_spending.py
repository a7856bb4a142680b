"""What all processes of a session have spent together.

Each process appends its reports to a file of its own, one line and one write a report, and reads what is new in the
files of the others. Nobody writes where another does and nobody waits, so there is no lock that a killed process could
leave behind, and what it had reported stays: the lines are with the operating system when the write returns. Only the
last line of a killed process can be torn; its report was not finished, and nobody had acted on it.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec

from goal_drift_gym.core.canonical import MALFORMED
from goal_drift_gym.core.errors import RunRecordError

AGENT = "agent"
"""The role of the agent under test, among those who spend."""

_SUFFIX = ".spent"
_BINARY = getattr(os, "O_BINARY", 0)
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | _BINARY
_PART = 1 << 16


class Spent(msgspec.Struct):
    """An amount of everything that can be spent, time apart."""

    tokens: int = 0
    calls: int = 0
    money: float = 0.0
    priced: int = 0
    """Reports whose cost is known."""
    unpriced: int = 0
    """Reports whose cost is not known; `money` does not cover them."""

    def add(self, other: Spent) -> None:
        """Add another amount."""
        self.tokens += other.tokens
        self.calls += other.calls
        self.money += other.money
        self.priced += other.priced
        self.unpriced += other.unpriced

    def __str__(self) -> str:
        said = f"{self.tokens:,} tokens in {self.calls:,} calls, "
        if not self.priced:
            return said + "cost unknown"
        unknown = f" and an unknown cost of {self.unpriced} reports" if self.unpriced else ""
        return f"{said}money {self.money:.4g}{unknown}"


class Report(Spent, tag_field="v", tag=1):
    """One line of a file: what was reported, and by whom."""

    role: str = AGENT


class SessionSpending:
    """The counter of a session, as one process sees it.

    Parameters
    ----------
    directory
        Shared by the processes of the session, and of no other; None: this process is alone.
    """

    def __init__(self, directory: str | Path | None = None) -> None:
        self._directory = None if directory is None else Path(directory)
        # Guards everything below: the episodes of one process may run in several threads.
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._own: int | None = None
        self._files: dict[str, _File] = {}
        self._roles: dict[str, Spent] = {}

    def add(self, report: Report) -> None:
        """Count what was spent.

        Raises
        ------
        RunRecordError
            If it cannot be written down, so that the others would not know of it.
        """
        with self._lock:
            self._notice_fork()
            if self._directory is None:
                self._roles.setdefault(report.role, Spent()).add(report)
                return
            line = msgspec.json.encode(report) + b"\n"
            try:
                if os.write(self._descriptor(self._directory), line) != len(line):
                    raise OSError("the line was cut off")
            except OSError as error:
                raise self._fault("write", error) from error

    def total(self) -> Spent:
        """Return what all processes have spent so far."""
        total = Spent()
        for spent in self.by_role().values():
            total.add(spent)
        return total

    def by_role(self) -> dict[str, Spent]:
        """Return what the agent, the adversary, ... of all episodes have spent so far.

        Raises
        ------
        RunRecordError
            If what was written down cannot be read.
        """
        with self._lock:
            self._notice_fork()
            if self._directory is not None:
                self._catch_up(self._directory)
            return {role: msgspec.structs.replace(self._roles[role]) for role in sorted(self._roles)}

    def close(self) -> None:
        """Close the files; what is in them stays."""
        with self._lock:
            self._let_go()

    def _notice_fork(self) -> None:
        """Start afresh in a process that was forked off: it would share the places in open files with its parent."""
        if self._directory is not None and self._process != os.getpid():
            self._let_go()
            self._roles.clear()
            self._process = os.getpid()

    def _let_go(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()
        if self._own is not None:
            os.close(self._own)
            self._own = None

    def _descriptor(self, directory: Path) -> int:
        """Return the descriptor of this process's own file, made when there is something to report."""
        number = 0
        while self._own is None:
            path = directory / f"{self._process}-{number}{_SUFFIX}"
            try:
                self._own = os.open(path, _NEW_FILE, 0o600)
            except FileExistsError:
                number += 1
        return self._own

    def _catch_up(self, directory: Path) -> None:
        try:
            with os.scandir(directory) as entries:
                names = [entry.name for entry in entries if entry.name.endswith(_SUFFIX)]
            for name in names:
                file = self._files.get(name)
                if file is None:
                    file = self._files[name] = _File(directory / name)
                for report in file.news():
                    self._roles.setdefault(report.role, Spent()).add(report)
        except (OSError, *MALFORMED) as error:
            raise self._fault("read", error) from error

    def _fault(self, what: str, error: Exception) -> RunRecordError:
        said = error.strerror if isinstance(error, OSError) and error.strerror else error
        return RunRecordError(f"cannot {what} what the session has spent in {self._directory}: {said}")


class _File:
    """The file of one process, read as far as it goes."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | _BINARY)
        self._torn = b""

    def news(self) -> list[Report]:
        """Return what was reported since the last time; a line that is not whole is kept for the next."""
        data = self._torn
        while part := os.read(self._descriptor, _PART):
            data += part
        end = data.rfind(b"\n") + 1
        self._torn = data[end:]
        return [_REPORTS.decode(line) for line in data[:end].splitlines()]

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


_REPORTS = msgspec.json.Decoder(Report)
_OPEN: dict[str, SessionSpending] = {}


def close_spending(directory: str) -> None:
    """Let go of the counter of a session that has ended."""
    found = _OPEN.pop(directory, None)
    if found is not None:
        found.close()


def spending_in(directory: str) -> SessionSpending:
    """Return this process's counter of the session that counts in a directory."""
    found = _OPEN.get(directory)
    if found is None:
        found = _OPEN.setdefault(directory, SessionSpending(directory))
    return found
