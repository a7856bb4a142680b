"""Where and with what a run was made: everything volatile, for meta.json only.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

_PACKAGES = ("pytest-goal-drift", "msgspec", "numpy", "pytest", "pytest-xdist", "hypothesis", "openai")


def utc_now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)


def session_name() -> str:
    """Return a name for what begins now; later ones sort after earlier ones."""
    return f"{utc_now():%Y%m%dT%H%M%S.%fZ}-{os.getpid()}"


@lru_cache(maxsize=1)
def engine_version() -> str:
    """Return the version of this distribution."""
    from goal_drift_gym._version import __version__

    return __version__


@lru_cache(maxsize=1)
def machine_info() -> dict[str, Any]:
    """Return host, CPU, operating system and interpreter."""
    return {
        "host": platform.node(),
        "cpu": _cpu_name(),
        "cpu_count": os.cpu_count(),
        "os": platform.platform(),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
    }


@lru_cache(maxsize=1)
def package_versions() -> dict[str, str]:
    """Return the versions of the packages that matter, of those that are installed."""
    from importlib import metadata

    versions: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@lru_cache(maxsize=8)
def git_info(directory: str) -> dict[str, Any] | None:
    """Return commit and dirty flag of the checkout around `directory`; `None` outside of one or without git."""
    sha = _git(directory, "rev-parse", "HEAD")
    if sha is None:
        return None
    status = _git(directory, "status", "--porcelain", "--untracked-files=no")
    return {"sha": sha, "dirty": None if status is None else bool(status)}


def _git(directory: str, *arguments: str) -> str | None:
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", directory, *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            env=environment,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
