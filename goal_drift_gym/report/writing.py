"""Writing pages: whole, or not at all.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
from pathlib import Path

from goal_drift_gym.core.errors import RunRecordError


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a text in UTF-8, or bytes, to a temporary name beside `path` and put it in its place; folders are made.

    Raises
    ------
    RunRecordError
        If it cannot be written.
    """
    # Two sessions may write the same page.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RunRecordError(f"cannot write {path}: {error.strerror or error}") from error
    return path
