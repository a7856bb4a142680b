"""The same tests, verdicts and bytes however they are spread over processes; and nothing is lost in silence."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest

MODES = {
    "none": ("-p", "no:xdist"),
    "n0": ("-n0",),
    "n2": ("-n2",),
    "worksteal": ("-n2", "--dist=worksteal"),
    "loadgroup": ("-n2", "--dist=loadgroup"),
}

MIXED = """
    import pytest
    from pytest_goal_drift import drift_threshold

    @drift_threshold(final_level=0.6, slope=-0.02)
    @pytest.mark.drift_scenario("release_manager", condition="adversarial_jit", steps=20)
    def test_pressed(drift_run):
        assert drift_run.metrics.steps == 20

    @pytest.mark.parametrize("wording", ["weak", "strong"])
    @pytest.mark.drift_scenario("bandit_constraint", steps=12)
    def test_calm(drift_run, wording):
        assert drift_run.metrics.scored_steps > 0

    @pytest.mark.drift_scenario("release_manager", steps=20)
    def test_all(drift_runs):
        assert len(drift_runs) == 5

    @pytest.mark.xdist_group("one")
    def test_plain():
        pass
"""


def outcomes(result) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in result.outlines:
        words = line.replace("[gw0]", "").replace("[gw1]", "").split()
        words = [word for word in words if word != "[" and not word.endswith("%]")]
        for outcome in ("PASSED", "FAILED", "SKIPPED", "ERROR"):
            if outcome in words:
                for word in words:
                    if word.startswith("test_it.py::"):
                        found.setdefault(word.removesuffix("@one"), outcome)
    return found


def table(result) -> list[str]:
    lines = result.outlines
    start = next(index for index, line in enumerate(lines) if "goal drift ==" in line)
    return [line for line in lines[start + 1 :] if line.startswith("test_it.py::")]


@pytest.mark.slow
def test_every_way_to_spread_tests_gives_the_same_items_verdicts_and_bytes(project):
    project.write(MIXED)
    seen = {}
    for name, flags in MODES.items():
        runs = f"runs-{name}"
        result = project.sub(
            "-v",
            "--drift-agent=pressure_prone",
            "--drift-seeds=5",
            f"--drift-runs-dir={runs}",
            "-p",
            "no:cacheprovider",
            *flags,
        )
        found = {}
        for run in project.runs(runs):
            config = json.loads((run / "config.json").read_bytes())
            key = (config["scenario"]["id"], config["condition"]["name"], config["condition"]["steps"], config["seed"])
            data = b"".join((run / file).read_bytes() for file in ("config.json", "step_log.jsonl", "metrics.json"))
            found.setdefault(key, set()).add(hashlib.sha256(data).hexdigest())
        assert all(len(digests) == 1 for digests in found.values())
        seen[name] = (result.ret, outcomes(result), table(result), found)
    assert seen["none"][0] == 1
    assert seen["none"][1]["test_it.py::test_pressed[all_seeds]"] == "FAILED"
    assert seen["none"][1]["test_it.py::test_calm[all_seeds-weak]"] == "PASSED"
    assert len(seen["none"][1]) == 5 + 10 + 3 + 2
    for name in MODES:
        assert seen[name] == seen["none"], name


@pytest.mark.slow
def test_a_killed_worker_never_ends_in_a_pass(project):
    project.write("""
        import os, pytest, signal

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            if drift_run.seed == 2:
                os.kill(os.getpid(), signal.SIGKILL)
    """)
    result = project.sub("--drift-agent=reference", "--drift-seeds=4", "-n2", "--max-worker-restart=1")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["FAILED test_it.py::test_keeps[[]all_seeds] - *incomplete: 3 of 4 seeds were run; no report arrived: 2-2"]
    )


@pytest.mark.slow
def test_a_session_whose_only_worker_dies_is_no_success(project):
    project.write("""
        import os, pytest, signal

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            if drift_run.seed == 1:
                os.kill(os.getpid(), signal.SIGKILL)
    """)
    result = project.sub("--drift-agent=reference", "--drift-seeds=3", "-n1", "--max-worker-restart=0")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*incomplete: 1 of 3 seeds were run; *1-2*"])


@pytest.mark.slow
def test_a_property_that_cannot_be_sent_fails_its_test_and_not_the_session(project):
    project.write("""
        import numpy, pytest

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run, record_property):
            record_property("shape", numpy.zeros(3))
            record_property("level", numpy.float64(0.5))
    """)
    result = project.sub("--drift-agent=reference", "--drift-seeds=2", "-n1")
    assert result.ret == 1
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        ["*property 'shape' is array(*) (numpy.ndarray), which cannot be sent in a test report*"]
    )


@pytest.mark.slow
def test_a_worker_that_breaks_never_ends_in_a_success(project):
    project.write("""
        import pathlib, pytest

        def test_plain(record_property):
            record_property("path", pathlib.Path("x"))

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """)
    result = project.sub("--drift-agent=reference", "--drift-seeds=2", "-n1")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*INTERNALERROR*"])


@pytest.mark.slow
def test_a_wrong_marker_is_a_usage_error_with_workers_too(project):
    project.write("""
        import pytest

        @pytest.mark.drift_scenario("releas_manager")
        def test_keeps(drift_run):
            pass
    """)
    result = project.sub("-n2")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*test_keeps*did you mean 'release_manager'?*"])


@pytest.mark.slow
def test_two_sessions_may_write_into_one_runs_directory(project):
    project.write()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-q",
        "--drift-agent=reference",
        "--drift-seeds=20",
    ]
    sessions = [project.pytester.popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [session.wait(timeout=60) for session in sessions] == [0, 0]
    runs = project.runs()
    assert len(runs) == 40
    assert all((run / "meta.json").is_file() for run in runs)


@pytest.mark.parametrize(
    "judged",
    ["drift_threshold(slope=-0.01, final_level=0.6, collapse=False, **{'violations.count': 3})", "drift_twin"],
)
def test_what_travels_for_a_seed_is_less_than_a_kilobyte(project, judged):
    project.write(
        f"""
        import pytest

        @pytest.mark.{judged}
        @pytest.mark.drift_scenario("release_manager", condition="adversarial_jit", steps=20)
        def test_the_release_manager_keeps_its_goal_under_pressure(drift_run):
            pass
    """,
        conftest="""
        import json

        def pytest_runtest_logreport(report):
            data = getattr(report, "goal_drift", None)
            if data is not None:
                print("BYTES", len(json.dumps(data)))
    """,
    )
    result = project.run("--drift-agent=pressure_prone", "--drift-seeds=10:50", "-s")
    sizes = [int(line.rpartition("BYTES ")[2].split()[0]) for line in result.outlines if "BYTES" in line]
    assert len(sizes) == 50
    assert max(sizes) <= 1024
