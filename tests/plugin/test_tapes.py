"""--drift-record and --drift-replay: answers of an agent kept, and given again only where they fit."""

from __future__ import annotations

import hashlib

import pytest

AGENT = """
    import pytest

    class Agent:
        name = "mine"

        def describe(self):
            return {{"template": {{"rules": {rules!r}}}}}

        def __call__(self, turn):
            if not {live}:
                raise SystemExit("nobody may ask me")
            rows = turn.observation.panels["queue"]["prs"]
            return [("run_tests", {{"pr": row["id"]}}) for row in rows]

    @pytest.fixture
    def drift_agent():
        return Agent()
"""
SUITE = """
    import pytest

    @pytest.mark.drift_threshold(final_level=-0.9)
    @pytest.mark.drift_scenario("release_manager", condition="adversarial_jit", steps=18)
    def test_pressed(drift_run):
        assert drift_run.metrics.steps == 18

    @pytest.mark.drift_scenario("release_manager", steps=6)
    def test_twice(drift_episode):
        assert drift_episode(seed=7).path != drift_episode(seed=7).path
"""


def agent(rules: str = "be careful", *, live: bool = False) -> str:
    return AGENT.format(rules=rules, live=live)


def tapes(project):
    return sorted((project.path / "tapes").rglob("*"))


def hashes(project, where: str) -> list[str]:
    return sorted(hashlib.sha256((run / "step_log.jsonl").read_bytes()).hexdigest() for run in project.runs(where))


@pytest.fixture
def recorded(project):
    project.write(SUITE, conftest=agent(live=True))
    project.run("--drift-seeds=3", "--drift-record=tapes").assert_outcomes(passed=5)
    project.write(SUITE, conftest=agent())
    return project


def test_a_replay_gives_the_same_bytes_and_verdict_and_asks_nobody(recorded):
    result = recorded.run("--drift-seeds=3", "--drift-replay=tapes", "--drift-runs-dir=again")

    result.assert_outcomes(passed=5)
    assert hashes(recorded, "again") == hashes(recorded, "runs")
    assert len(hashes(recorded, "again")) == 5


def test_every_episode_has_a_tape_of_its_own(recorded):
    files = [path for path in tapes(recorded) if path.is_file()]

    assert len(files) == 5
    assert all(path.name.endswith(".tape.jsonl") for path in files)


def test_a_changed_prompt_fails_with_both_sides(recorded):
    recorded.write(SUITE, conftest=agent("be bold"))
    result = recorded.run("--drift-seeds=3", "--drift-replay=tapes")

    assert result.ret == 1
    result.stdout.fnmatch_lines(["*agent.template.rules: recorded 'be careful', now 'be bold'*"])


def test_a_changed_condition_fails_with_both_sides(recorded):
    recorded.write(SUITE.replace("steps=18", "steps=19"), conftest=agent())
    result = recorded.run("--drift-seeds=3", "--drift-replay=tapes")

    assert result.ret == 1
    result.stdout.fnmatch_lines(["*differs in condition.steps: recorded 18, now 19; record it again"])


def test_a_seed_without_a_tape_is_an_error_that_names_the_nearest(recorded):
    result = recorded.run("--drift-seeds=4", "--drift-replay=tapes")

    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*no tape at or below *seed 3*; the nearest, *seed2*, differs in seed: recorded 2, now 3*"]
    )


def test_recording_again_writes_the_same_files(recorded):
    before = tapes(recorded)
    recorded.write(SUITE, conftest=agent("be bold", live=True))
    recorded.run("--drift-seeds=3", "--drift-record=tapes").assert_outcomes(passed=5)

    assert tapes(recorded) == before
    recorded.run("--drift-seeds=3", "--drift-replay=tapes").assert_outcomes(passed=5)


def test_the_tests_of_a_renamed_file_find_their_tapes(recorded):
    (recorded.path / "test_it.py").rename(recorded.path / "test_other.py")

    recorded.run("--drift-seeds=3", "--drift-replay=tapes").assert_outcomes(passed=5)


@pytest.mark.slow
def test_tapes_are_the_same_however_tests_are_spread(recorded):
    before = {path.name: path.read_bytes() for path in tapes(recorded) if path.is_file()}
    recorded.write(SUITE, conftest=agent(live=True))
    assert recorded.sub("--drift-seeds=3", "--drift-record=tapes", "-n2").ret == 0

    assert {path.name: path.read_bytes() for path in tapes(recorded) if path.is_file()} == before
    assert recorded.sub("--drift-seeds=3", "--drift-replay=tapes", "-n2").ret == 0


@pytest.mark.parametrize("flag", ["--drift-record=more", "--drift-resume"])
def test_a_replay_goes_with_neither_recording_nor_resuming(recorded, flag):
    result = recorded.run("--drift-replay=tapes", flag)

    assert result.ret == 4
    result.stderr.fnmatch_lines(["*and --drift-replay do not go together*"])


def test_the_header_says_what_is_recorded(project):
    project.write(SUITE, conftest=agent(live=True))

    project.run("--drift-seeds=1", "--drift-record=tapes").stdout.fnmatch_lines(
        ["goal-drift: *recording tapes in *tapes"]
    )
