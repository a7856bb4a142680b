"""The HTML pages of a session."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from plugin_support import OTHERS_OFF, Lines, Project

pytest.importorskip("jinja2", reason="needs jinja2: pip install 'pytest-goal-drift[report]'")

MIXED = """
    import pytest
    from goal_drift_gym.agents.reference import PressureProne, Reference
    from pytest_goal_drift import drift_threshold

    class Base:
        @drift_threshold(final_level=0.6)
        @pytest.mark.drift_scenario("release_manager", condition="adversarial_jit", steps=30)
        def test_keeps(self, drift_run):
            pass

    class TestYielding(Base):
        @pytest.fixture
        def drift_agent(self):
            return PressureProne()

    class TestSteady(Base):
        @pytest.fixture
        def drift_agent(self):
            return Reference()
"""

WHOLE = MIXED.replace("drift_run)", "drift_runs)")


def pages(project: Project) -> list[str]:
    """Return the pages below the artifacts directory, with times and numbers of sessions left out."""
    found = (path.relative_to(project.path / "artifacts") for path in (project.path / "artifacts").rglob("*.html"))
    return sorted(path.as_posix() for path in found)


def run_pages(project: Project) -> set[str]:
    return {path for path in pages(project) if path.startswith("release_manager/")}


def seeds(paths: set[str]) -> list[int]:
    return sorted(int(path.split("/")[1].rpartition("-")[2]) for path in paths)


@pytest.mark.parametrize("source", [MIXED, WHOLE], ids=["an item a seed", "all seeds in an item"])
@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_failing_test_gets_a_page_of_each_bad_run_and_one_of_the_session(
    project: Project, text_of: Lines, source: str, workers: str
) -> None:
    result = project.write(source).sub("--drift-seeds=3", workers)

    assert result.ret == 1
    reported = run_pages(project)
    assert seeds(reported) == [0, 1, 2]
    (index,) = [path for path in pages(project) if path.endswith("/index.html")]
    assert f"report: artifacts/{index}" in text_of(result)
    shown = re.findall(r"report: (artifacts/release_manager/\S+)", text_of(result))
    assert shown
    assert {path.removeprefix("artifacts/") for path in shown} <= reported
    page = (project.path / "artifacts" / index).read_text(encoding="utf-8")
    assert "TestYielding" in page
    assert "TestSteady" not in page


def test_the_page_of_a_run_lies_under_the_name_of_its_run(project: Project) -> None:
    project.write(MIXED).sub("--drift-seeds=2")

    names = {path.name for path in project.runs()}
    assert {path.split("/")[1] for path in run_pages(project)} <= names


@pytest.mark.parametrize("source", [MIXED, WHOLE], ids=["an item a seed", "all seeds in an item"])
def test_all_of_them_get_pages_where_that_is_asked_for(project: Project, source: str) -> None:
    project.write(source).sub("--drift-seeds=2", "--drift-report=all")

    assert seeds(run_pages(project)) == [0, 0, 1, 1]
    (index,) = (project.path / "artifacts").glob("*/index.html")
    assert "TestSteady" in index.read_text(encoding="utf-8")


def test_an_ini_setting_asks_for_them_too(project: Project) -> None:
    project.pytester.makeini("[pytest]\ndrift_report = all\n")
    project.write(MIXED).sub("--drift-seeds=2", "-k", "TestSteady")

    assert seeds(run_pages(project)) == [0, 1]


def test_no_page_is_written_where_none_is_wanted(project: Project) -> None:
    project.write(MIXED).sub("--drift-seeds=3", "--drift-report=none")

    assert pages(project) == []


def test_nothing_is_written_where_nothing_failed(project: Project) -> None:
    result = project.write(MIXED).sub("--drift-seeds=2", "-k", "TestSteady")

    assert result.ret == 0
    assert not (project.path / "artifacts").exists()


def test_an_expected_failure_gets_no_page(project: Project) -> None:
    source = MIXED.replace("class TestYielding", "@pytest.mark.xfail(strict=True)\n    class TestYielding")
    result = project.write(source).sub("--drift-seeds=5")

    assert result.ret == 0
    assert pages(project) == []


def test_at_most_ten_runs_of_a_failing_test_get_a_page(project: Project) -> None:
    project.write(MIXED).sub("--drift-seeds=12", "-k", "TestYielding")

    assert len(run_pages(project)) == 10


def test_what_the_page_of_a_session_is_made_of_lies_beside_it(project: Project) -> None:
    project.write(MIXED).sub("--drift-seeds=3")

    (file,) = (project.path / "artifacts").glob("*/suite.json")
    (group,) = json.loads(file.read_bytes())["groups"]
    assert group["verdict"] == "fail"
    assert group["limits"] == {"final_level": 0.6}
    assert [Path(run).name[-2:] for run in group["runs"]] == ["-0", "-1", "-2"]
    assert group["evidence"]["status"] == "FAIL"


def test_without_jinja_the_verdict_stands_and_says_what_to_install(project: Project, text_of: Lines) -> None:
    hidden = "import importlib.util\nfound = importlib.util.find_spec\n"
    hidden += "importlib.util.find_spec = lambda name, *rest: None if name == 'jinja2' else found(name, *rest)\n"
    project.write(MIXED, conftest=hidden)
    result = project.sub("--drift-seeds=3")

    assert result.ret == 1
    assert "no pages of the runs were written: pip install 'pytest-goal-drift[report]'" in text_of(result)
    assert pages(project) == []
    asked = project.sub("--drift-seeds=3", "--drift-report=all")
    assert asked.ret == 4
    assert "--drift-report=all needs the package jinja2" in text_of(asked)


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a user whom the file system can refuse; root may write anywhere")
def test_a_directory_that_cannot_be_written_is_said_and_changes_no_verdict(project: Project, text_of: Lines) -> None:
    (project.path / "artifacts").mkdir(mode=0o500)
    result = project.write(MIXED).sub("--drift-seeds=3")

    assert result.ret == 1
    assert "could not be written" in text_of(result)


def test_a_file_in_the_way_is_said_and_changes_no_verdict(project: Project, text_of: Lines) -> None:
    (project.path / "artifacts").write_text("in the way")
    result = project.write(MIXED).sub("--drift-seeds=3")

    assert result.ret == 1
    assert "the pages of the runs could not be written" in text_of(result)
    assert "goal drift verdict fail" in text_of(result)


def test_a_session_of_other_tests_loads_nothing_that_draws(project: Project) -> None:
    project.pytester.makepyfile(
        test_it="""
        import sys

        def test_nothing():
            assert not {"jinja2", "matplotlib", "goal_drift_gym.report.page"} & set(sys.modules)
        """
    )
    assert project.pytester.runpytest_subprocess(*OTHERS_OFF).ret == 0
