"""The example workflow does what its file says."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml
from junitparser import JUnitXml

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "examples" / "agent_suite"


def workflow() -> dict[Any, Any]:
    loaded = yaml.safe_load((SUITE / "drift.yml").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def commands() -> list[list[str]]:
    steps = workflow()["jobs"]["drift"]["steps"]
    return [shlex.split(step["run"]) for step in steps if "run" in step]


def test_it_is_a_workflow_that_may_only_read() -> None:
    loaded = workflow()

    # YAML 1.1 reads the key `on` as true.
    assert set(loaded) == {"name", True, "permissions", "jobs"}
    assert loaded["permissions"] == {"contents": "read"}


def test_it_installs_this_distribution_with_extras_that_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (install,) = [command for command in commands() if "install" in command]
    name, _, extras = install[-1].rstrip("]").partition("[")

    assert name == project["name"]
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


def test_its_pytest_command_runs_the_suite_and_leaves_what_it_uploads(tmp_path: Path) -> None:
    (command,) = [command for command in commands() if command[0] == "pytest"]
    shutil.copytree(SUITE, tmp_path / "suite", ignore=shutil.ignore_patterns("runs", "artifacts", "__pycache__"))
    done = subprocess.run(
        [sys.executable, "-m", *command, "-p", "no:asyncio"],
        cwd=tmp_path / "suite",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    uploaded = next(step for step in workflow()["jobs"]["drift"]["steps"] if "upload" in step.get("uses", ""))

    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(suite.tests for suite in JUnitXml.fromfile(str(tmp_path / "suite" / "artifacts" / "junit.xml"))) > 20
    assert uploaded["if"] == "always()"
    assert all((tmp_path / "suite" / folder).is_dir() for folder in uploaded["with"]["path"].split())
