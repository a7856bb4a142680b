"""What is in the wheel: read from the built file, never from the tree."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    given = os.environ.get("GOAL_DRIFT_WHEEL")
    if given is None:
        out = tmp_path_factory.mktemp("wheel")
        command = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            str(out),
            str(ROOT),
        ]
        subprocess.run(command, check=True, timeout=300)
        (found,) = out.glob("*.whl")
        given = str(found)
    with zipfile.ZipFile(given) as opened:
        yield opened


def test_top_level_names_are_the_two_packages(wheel: zipfile.ZipFile) -> None:
    names = {name.split("/")[0] for name in wheel.namelist()}

    assert {name for name in names if not name.endswith(".dist-info")} == {"goal_drift_gym", "pytest_goal_drift"}


def test_every_entry_point_exists_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    (path,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    points = configparser.ConfigParser(delimiters=("=",))
    points.read_string(wheel.read(path).decode())

    assert points["pytest11"]["goal_drift"] == "pytest_goal_drift.plugin"
    targets = [target for section in points.sections() for target in points[section].values()]
    assert sorted(targets) == sorted(_declared_targets())
    for target in targets:
        module = target.split(":")[0].replace(".", "/")
        assert {f"{module}.py", f"{module}/__init__.py"} & set(wheel.namelist()), target


def _declared_targets() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sections = [project["scripts"], *project["entry-points"].values()]
    return [target for section in sections for target in section.values()]


def test_data_files_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    in_tree = {
        str(path.relative_to(ROOT))
        for package in ("goal_drift_gym", "pytest_goal_drift")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert any(name.endswith(".toml") for name in in_tree)

    assert in_tree <= set(wheel.namelist())


def test_the_template_of_scenarios_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    template = ROOT / "scenarios" / "_template"
    in_tree = {
        f"goal_drift_gym/scenarios/_template/{path.relative_to(template)}"
        for path in template.rglob("*")
        if path.is_file() and not re.search("__pycache__|_cache/", str(path))
    }
    assert len(in_tree) >= 13

    assert {name for name in wheel.namelist() if "/_template/" in name} == in_tree


def test_new_scenarios_can_be_made_from_the_wheel_alone(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    installed, place = tmp_path / "site", tmp_path / "place"
    wheel.extractall(installed)
    place.mkdir()
    code = "import sys; from goal_drift_gym.scripts.main import main; sys.exit(main(['new', 'toll_gate']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert "class TollGate" in (place / "toll_gate/goal_drift_toll_gate/scenario.py").read_text(encoding="utf-8")


def test_tests_and_examples_are_not_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    assert not [
        name for name in wheel.namelist() if name.split("/")[0] in ("tests", "examples", "scenarios", "benchmarks")
    ]
