"""Every command and snippet of the README and the docs is executed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from goal_drift_gym.core.condition import parse_condition_text

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# These make environments of their own; CI runs them as they stand, in a fresh clone.
SET_UP = ("python3 -m venv", "pip install", "nox", "bash .ci/run")


def blocks(document: Path, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(document.read_text(encoding="utf-8")) if kind == language]


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "120"}
    environment.pop("CI", None)
    return subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_console_commands_run(document: Path, tmp_path: Path) -> None:
    commands = [
        line[2:]
        for body in blocks(document, "console")
        for line in body.splitlines()
        if line.startswith("$ ") and not line[2:].startswith(SET_UP)
    ]
    if any("examples/" in command for command in commands):
        shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("runs", "__pycache__"))
    if any("tests/data/" in command for command in commands):
        shutil.copytree(ROOT / "tests" / "data", tmp_path / "tests" / "data")
    for command in commands:
        done = run(command, tmp_path)

        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_readme_shows_commands_and_snippets() -> None:
    readme = DOCUMENTS[0]

    assert len(blocks(readme, "console")) >= 3
    assert len(blocks(readme, "python")) >= 4


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_snippets_run(document: Path, tmp_path: Path) -> None:
    for number, body in enumerate(blocks(document, "python")):
        file = tmp_path / f"test_snippet_{number}.py"
        file.write_text(body, encoding="utf-8")
        if "def test_" in body:
            done = run(f"{sys.executable} -m pytest -q {file.name} --drift-seeds 3", tmp_path)
        else:
            done = run(f"{sys.executable} {file.name}", tmp_path)

        assert done.returncode == 0, f"{body}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_condition_snippets_are_valid(document: Path) -> None:
    for body in blocks(document, "toml"):
        if "entry-points" not in body:
            parse_condition_text(body, name="snippet", where=document.name)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_first_drift_test_of_the_readme_has_at_most_ten_lines_of_code() -> None:
    body = next(body for body in blocks(DOCUMENTS[0], "python") if "def test_" in body)

    assert len([line for line in body.splitlines() if line.strip()]) <= 10


def test_every_condition_knob_is_documented() -> None:
    import msgspec

    from goal_drift_gym.core import condition

    text = (ROOT / "docs" / "conditions.md").read_text(encoding="utf-8")
    tables = [
        value for value in vars(condition).values() if isinstance(value, type) and issubclass(value, msgspec.Struct)
    ]
    names = {name for table in tables for name in table.__struct_fields__} - {"name"}

    assert names
    assert [name for name in sorted(names) if not re.search(rf"\b{name}\b", text)] == []


def test_every_metric_is_documented() -> None:
    from goal_drift_gym.eval.limits import metric_names

    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    parts = {part for name in metric_names() for part in name.split(".")[-1:] if not part.isdecimal()}

    assert [part for part in sorted(parts) if f"{part}`" not in text and f"`{part}" not in text] == []


def test_the_failure_in_the_readme_is_what_the_example_prints(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "examples" / "failing", tmp_path / "examples" / "failing", ignore=shutil.ignore_patterns("runs")
    )
    (shown,) = blocks(DOCUMENTS[0], "text")
    done = run(f"{sys.executable} -m pytest examples/failing --drift-seeds 5", tmp_path)

    assert done.returncode == 1
    assert timeless(shown).strip() in timeless(done.stdout)


def timeless(text: str) -> str:
    return re.sub(r"\d{8}T\d{6}\.\d{6}Z", "TIME", text)
