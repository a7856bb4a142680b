"""What is known of the seeds that have been run, shared by the processes of a session.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any


class Ledger:
    """Records by group and seed, each written once.

    Across processes each record is a file of its own in one directory, moved into place whole: a process that is
    killed leaves a whole record or none. Nobody waits for a record: what is not there is not known yet.

    Parameters
    ----------
    directory
        Shared by the processes of a session; None: this process runs all there is.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._known: dict[tuple[str, int], dict[str, Any]] = {}

    def put(self, group: str, seed: int, record: dict[str, Any]) -> None:
        """Keep the first record of a seed."""
        if self.get(group, seed) is not None:
            return
        self._known[group, seed] = record
        if self._directory is None:
            return
        path = self._path(self._directory, group, seed)
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            temporary.write_text(json.dumps(record), encoding="utf-8")
            temporary.replace(path)
        except OSError:
            # Unknown to the others, so they run seeds that nobody needs; the verdict is the same.
            return

    def get(self, group: str, seed: int) -> dict[str, Any] | None:
        """Return the record of a seed, None where none is known yet."""
        known = self._known.get((group, seed))
        if known is not None or self._directory is None:
            return known
        try:
            found: dict[str, Any] = json.loads(self._path(self._directory, group, seed).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        self._known[group, seed] = found
        return found

    @staticmethod
    def _path(directory: Path, group: str, seed: int) -> Path:
        return directory / f"{hashlib.sha256(group.encode()).hexdigest()[:24]}-{seed}.json"
