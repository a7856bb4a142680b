"""A project with drift tests, in which pytest is run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

OTHERS_OFF = ("-p", "no:asyncio", "-p", "no:rerunfailures", "-p", "no:randomly")

SIMPLE = """
    import pytest

    @pytest.mark.drift_scenario("release_manager", steps=20)
    def test_keeps(drift_run):
        pass
"""


class Project:
    """A project of somebody who tests an agent."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path: Path = pytester.path

    def write(self, source: str = SIMPLE, **files: str) -> Project:
        self.pytester.makepyfile(test_it=source, **files)
        return self

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in this process."""
        return self.pytester.runpytest_inprocess(*OTHERS_OFF, *arguments)

    def sub(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        return self.pytester.runpytest_subprocess(*OTHERS_OFF, *arguments, timeout=120)

    def runs(self, where: str = "runs") -> list[Path]:
        return sorted(path.parent for path in (self.path / where).rglob("config.json"))

    def verdicts(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_bytes()) for path in sorted((self.path / "artifacts").rglob("verdict.json"))]


Lines = Callable[[pytest.RunResult], str]
