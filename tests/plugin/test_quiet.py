"""A project that does not use the plugin does not notice it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

PLAIN = """
    def test_plain(tmp_path):
        assert tmp_path
"""


def visible(result) -> list[str]:
    lines = (re.sub(r"=* (.*) in [0-9.]+s =*", r"\1", line) for line in result.outlines)
    return [line for line in lines if not line.startswith(("plugins:", "rootdir:"))]


@pytest.mark.slow
def test_an_unconcerned_project_looks_the_same_without_the_plugin(project):
    project.write(PLAIN)
    bare = project.sub("-p", "no:goal_drift", "-p", "no:cacheprovider")
    with_plugin = project.sub("-p", "no:cacheprovider")
    assert visible(bare) == visible(with_plugin)
    assert (bare.ret, with_plugin.ret) == (0, 0)


def test_nothing_is_written_in_an_unconcerned_project(project):
    project.write(PLAIN)
    before = {path.name for path in project.path.iterdir()}
    project.run("-p", "no:cacheprovider").assert_outcomes(passed=1)
    assert {path.name for path in project.path.iterdir()} - before <= {"__pycache__"}


def test_the_header_is_for_those_who_asked(project):
    project.write(PLAIN)
    project.run().stdout.no_fnmatch_line("goal-drift: *")
    project.run("-v").stdout.fnmatch_lines(["goal-drift: seeds 0-4, runs in */runs"])
    project.run("--drift-seeds=7").stdout.fnmatch_lines(["goal-drift: seeds 0-6, runs in */runs"])


LISTS_MODULES = """
    import sys

    def test_plain():
        heavy = {name.partition(".")[0] for name in sys.modules}
        ours = sorted(name for name in sys.modules if name.startswith(("goal_drift_gym", "pytest_goal_drift")))
        print("HEAVY", sorted(heavy & {"numpy", "scipy", "msgspec", "hypothesis", "goal_drift_gym", "matplotlib"}))
        print("OURS", ours)
"""


@pytest.mark.slow
def test_an_unconcerned_session_loads_nothing_but_the_hooks(project):
    project.write(LISTS_MODULES)
    environment_free = ("-p", "no:hypothesispytest", "-p", "no:xdist", "-p", "no:anyio", "-s")
    result = project.sub(*environment_free)
    result.stdout.fnmatch_lines(["*HEAVY [[]]"])
    (ours,) = [line for line in result.outlines if "OURS" in line]
    assert "goal_drift_gym" not in ours.replace("pytest_goal_drift", "")


@pytest.mark.slow
def test_importing_the_plugin_takes_the_standard_library_and_pytest_alone():
    code = (
        "import sys, pytest; before = set(sys.modules)\n"
        "import pytest_goal_drift.plugin\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['pytest_goal_drift']"


@pytest.mark.slow
def test_no_module_takes_anything_private_of_pytest():
    from pathlib import Path

    import pytest_goal_drift

    for path in Path(pytest_goal_drift.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "import _pytest" not in text
        assert "from _pytest" not in text


def test_the_public_names_are_listed_and_there():
    import pytest_goal_drift

    assert pytest_goal_drift.__all__ == sorted(pytest_goal_drift.__all__)
    for name in pytest_goal_drift.__all__:
        assert getattr(pytest_goal_drift, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'drift_thresold'"):
        _ = pytest_goal_drift.drift_thresold


@pytest.mark.slow
def test_type_checkers_know_the_public_names_and_every_limit(tmp_path):
    pytest.importorskip("mypy")
    right = tmp_path / "right.py"
    right.write_text(
        "from pytest_goal_drift import DriftLimits, DriftRun, drift_scenario, drift_threshold\n"
        'limits: DriftLimits = {"violations.count": 3, "slope": -0.01}\n'
        "@drift_threshold(**limits)\n"
        '@drift_scenario("release_manager", steps=20)\n'
        "def test_it(drift_run: DriftRun) -> None:\n"
        "    assert drift_run.metrics.slope > 0\n"
    )
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from pytest_goal_drift import drift_threshold, drift_thresold\n"
        "drift_threshold(slop=-0.01)\n"
        'drift_threshold(slope="x")\n'
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run([*command, str(right)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout
    done = subprocess.run([*command, str(wrong)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert [line.split(":")[1] for line in done.stdout.splitlines() if "error:" in line] == ["1", "2", "3"]
