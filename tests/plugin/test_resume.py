"""A session that is killed in the middle and gone on with is the session that was not."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys

import pytest
from stub_model import stub_model

AGENT = """
    import json, os, urllib.request

    import pytest

    def ask(question):
        request = urllib.request.Request(os.environ["STUB_URL"], json.dumps(question, sort_keys=True).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    class Agent:
        # Asks a model twice a turn, and acts in between.
        name = "asker"

        def reset(self, *, seed):
            self.seed = seed

        def for_episode(self):
            return Agent()

        def __call__(self, turn):
            for number in range(2):
                queue = turn.observation.panels["queue"]["prs"]
                question = [turn.horizon, self.seed, turn.step, number, queue, len(turn.history)]
                answer = turn.remember(question, lambda: ask(question))
                turn.usage(calls=1, output_tokens=answer["number"])
                turn.note(f"the model says {answer['number']}")
                for row in queue[: answer["number"] % 3]:
                    turn.call("run_tests" if answer["number"] % 2 else "approve_merge", pr=row["id"])

    @pytest.fixture
    def drift_agent():
        return Agent()
"""
SUITE = """
    import pytest
    from pytest_goal_drift import drift_threshold

    @drift_threshold(final_level=0.9)
    @pytest.mark.drift_scenario("release_manager", condition="adversarial_jit", steps=18)
    def test_pressed(drift_run):
        assert drift_run.metrics.steps == 18

    @drift_threshold(total_change=-1.9)
    @pytest.mark.drift_scenario("release_manager", steps=14)
    def test_all(drift_runs):
        assert len(drift_runs) == 3

    @pytest.mark.drift_scenario("release_manager", condition="friction_heavy", steps=8)
    def test_twice(drift_episode):
        first, second = (drift_episode(seed=7) for _ in range(2))
        assert first.path != second.path
"""
RELEASE_MANAGER = "goal_drift_gym.scenarios.release_manager.scenario.ReleaseManager"
EPISODES = 3 + 3 + 2
ANSWERS = 2 * (3 * 18 + 3 * 14 + 2 * 8)


class Sessions:
    """Runs sessions of one suite in processes of their own, in groups that can be killed as a whole."""

    def __init__(self, project):
        self.project = project

    def start(self, url: str, *flags: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:rerunfailures",
                "-p", "no:randomly", "-rA", "--drift-seeds=3", *flags,
            ],
            cwd=self.project.path,
            env={**os.environ, "STUB_URL": url, "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )  # fmt: skip

    def run(self, url: str, *flags: str) -> tuple[int, str]:
        process = self.start(url, *flags)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def kill_in_the_middle(self, stub, *flags: str) -> int:
        """Kill a session while its questions wait, and return how many do."""
        process = self.start(stub.url, *flags)
        try:
            assert stub.wait_until_quiet(), process.communicate(timeout=5)[0]
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=30)
        waiting: int = stub.waiting
        stub.release()
        return waiting

    def bytes_of(self, runs: str) -> list[tuple[str, str]]:
        """Return what identifies each finished run, and a hash of what it must be made of."""
        found = []
        for run in self.project.runs(runs):
            config = json.loads((run / "config.json").read_bytes())
            assert (run / "meta.json").is_file(), run
            data = b"".join((run / name).read_bytes() for name in ("config.json", "step_log.jsonl", "metrics.json"))
            found.append((f"{config['condition']['name']} {config['seed']}", hashlib.sha256(data).hexdigest()))
        return sorted(found)


def verdicts(output: str) -> list[str]:
    lines = [line for line in output.splitlines() if line.startswith(("PASSED", "FAILED", "ERROR", "test_it.py::"))]
    return sorted({line.replace("runs-a", "RUNS").replace("runs-b", "RUNS").split(" - ")[0] for line in lines})


@pytest.fixture
def sessions(project):
    project.write(SUITE, conftest=AGENT)
    return Sessions(project)


@pytest.mark.slow
@pytest.mark.parametrize("recording", [True, False], ids=["tapes", "logs"])
@pytest.mark.parametrize(
    ("spread", "at_once"),
    [(("-n0",), 1), (("-n2",), 2), (("-n0", "--drift-concurrency=8"), 8), (("-n2", "--drift-concurrency=4"), 8)],
    ids=["n0", "n2", "at once", "n2 at once"],
)
def test_a_killed_session_gone_on_with_is_the_one_that_was_not_killed(sessions, spread, at_once, recording):
    tapes = {name: (f"--drift-record=tapes-{name}",) if recording else () for name in "ab"}
    with stub_model() as stub:
        whole = sessions.run(stub.url, *spread, "--drift-runs-dir=runs-a", *tapes["a"])
        questions = dict(stub.answers)
    with stub_model(hold_after=ANSWERS // 3 + 1) as stub:
        waiting = sessions.kill_in_the_middle(stub, *spread, "--drift-runs-dir=runs-b", *tapes["b"])
        half = stub.answered
        resumed = sessions.run(stub.url, *spread, "--drift-runs-dir=runs-b", "--drift-resume", *tapes["b"])
        again = {question: count for question, count in stub.answers.items() if count > questions[question]}

    assert half == ANSWERS // 3 + 1
    assert min(2, at_once) <= waiting <= at_once
    assert resumed[0] == whole[0] == 1
    assert verdicts(resumed[1]) == verdicts(whole[1])
    assert "test_pressed[all_seeds]" in whole[1]
    assert sessions.bytes_of("runs-b") == sessions.bytes_of("runs-a")
    assert len(sessions.bytes_of("runs-b")) == EPISODES
    assert sum(questions.values()) == ANSWERS
    if recording:
        assert again == {}
        assert stub.answered == ANSWERS
    else:
        # Without a tape the turn that was cut off is asked again from its start: at most one more answer an episode.
        assert stub.answered <= ANSWERS + at_once


@pytest.mark.slow
def test_tapes_of_a_killed_session_replay_without_the_model(sessions):
    with stub_model(hold_after=ANSWERS // 3 + 1) as stub:
        sessions.kill_in_the_middle(stub, "-n2", "--drift-runs-dir=runs-a", "--drift-record=tapes")
        resumed = sessions.run(stub.url, "-n2", "--drift-runs-dir=runs-a", "--drift-record=tapes", "--drift-resume")
    replayed = sessions.run("http://127.0.0.1:9", "-n0", "--drift-runs-dir=runs-b", "--drift-replay=tapes")

    assert verdicts(replayed[1]) == verdicts(resumed[1])
    assert sessions.bytes_of("runs-b") == sessions.bytes_of("runs-a")
    assert not list((sessions.project.path / "tapes").rglob("*.part"))


# what is not gone on with

STOPPED = """
    import pytest

    @pytest.mark.drift_threshold(gate=False)
    @pytest.mark.drift_scenario("release_manager", steps={steps})
    def test_keeps(drift_run):
        if drift_run.seed == 2 and {stops}:
            raise KeyboardInterrupt
"""


def stopped(project, *, stops: bool = True, steps: int = 6):
    return project.write(STOPPED.format(stops=stops, steps=steps))


@pytest.fixture
def interrupted(project):
    result = stopped(project).sub("--drift-seeds=4", "--drift-agent=reference")
    assert result.ret == 2
    assert len(project.runs()) == 3
    return project


def test_finished_runs_are_taken_as_they_are(interrupted):
    before = {run: (run / "meta.json").read_bytes() for run in interrupted.runs()}
    result = stopped(interrupted, stops=False).run("--drift-seeds=4", "--drift-agent=reference", "--drift-resume")

    result.assert_outcomes(passed=4)
    assert len(interrupted.runs()) == 4
    assert all((run / "meta.json").read_bytes() == data for run, data in before.items())


@pytest.mark.parametrize(
    ("steps", "agent", "said"),
    [
        (7, "reference", "*condition.steps: recorded 6, now 7*"),
        (6, "noop", "*agent.name: recorded 'reference', now 'noop'*"),
    ],
)
def test_what_would_be_run_otherwise_now_is_refused_with_both_sides(interrupted, steps, agent, said):
    stopped(interrupted, stops=False, steps=steps)
    result = interrupted.run("--drift-seeds=4", f"--drift-agent={agent}", "--drift-resume")

    result.assert_outcomes(passed=1, errors=3)
    result.stdout.fnmatch_lines(["*a run of the interrupted session, is not what would be run now: " + said])
    # Nothing of the session is lost: undone, the change is no obstacle any more.
    stopped(interrupted, stops=False)
    interrupted.run("--drift-seeds=3", "--drift-agent=reference", "--drift-resume").assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("target", "value", "said"),
    [
        (f"{RELEASE_MANAGER}.version", "7.5", "*scenario.version: recorded '1.0', now '7.5'*"),
        ("goal_drift_gym.runner.engine_version", lambda: "99.0", "*engine_version: recorded '*', now '99.0'*"),
    ],
    ids=["scenario", "engine"],
)
def test_another_version_is_refused(interrupted, monkeypatch, target, value, said):
    monkeypatch.setattr(target, value)
    stopped(interrupted, stops=False)
    result = interrupted.run("--drift-seeds=3", "--drift-agent=reference", "--drift-resume")

    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines([said])


def test_a_damaged_run_is_refused(interrupted):
    log = interrupted.runs()[0] / "step_log.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"step":2', b'"step":2 ', 1))
    result = stopped(interrupted, stops=False).run("--drift-seeds=4", "--drift-agent=reference", "--drift-resume")

    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*is damaged: its step log is not the one that its metrics were made of"])


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("metrics.json", b'"mean":1.0', b'"mean":0.5', "metrics.json, field mean: recorded 0.5, replayed 1.0"),
        ("meta.json", b'"status":"truncated"', b'"status":"completed"', "it ended as 'completed' in meta.json *"),
    ],
    ids=["metrics", "outcome"],
)
def test_a_finished_run_whose_result_was_edited_is_refused(interrupted, file, old, new, said):
    path = interrupted.runs()[0] / file
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new))
    result = stopped(interrupted, stops=False).run("--drift-seeds=4", "--drift-agent=reference", "--drift-resume")

    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines([f"*is damaged: {said}"])


def test_a_session_file_that_is_nested_too_deeply_is_damaged(interrupted):
    (session,) = (interrupted.path / "runs" / ".sessions").glob("*.jsonl")
    session.write_bytes(session.read_bytes() + b'{"type":"joined","settings":{"x":' + b"[" * 100_000 + b"\n")
    result = stopped(interrupted, stops=False).run("--drift-agent=reference", "--drift-resume")

    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: *is damaged: maximum recursion depth*"])


def test_there_must_be_a_session_to_go_on_with(project):
    result = stopped(project).run("--drift-resume", "--drift-agent=reference")

    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--drift-resume: no session has left a trace in *"])


def test_a_finished_session_is_not_gone_on_with(project):
    stopped(project, stops=False).run("--drift-seeds=3", "--drift-agent=reference").assert_outcomes(passed=3)
    result = project.run("--drift-seeds=3", "--drift-agent=reference", "--drift-resume")

    assert result.ret == 4
    result.stderr.fnmatch_lines(["*is finished: nothing to go on with"])


@pytest.mark.parametrize("flags", [("-k", "seed001"), ("-x",)], ids=str)
def test_a_session_that_left_something_out_can_be_gone_on_with(project, flags):
    source = STOPPED.format(stops=False, steps=6) + "        assert drift_run.seed != 1 or {okay}\n"
    project.write(source.format(okay=False))
    project.run("--drift-seeds=3", "--drift-agent=reference", *flags)
    begun = project.runs()
    result = project.write(source.format(okay=True)).run("--drift-seeds=3", "--drift-agent=reference", "--drift-resume")

    result.assert_outcomes(passed=3)
    assert len(begun) < len(project.runs()) == 3


def test_the_tapes_must_go_where_they_went(interrupted):
    result = stopped(interrupted).run("--drift-agent=reference", "--drift-resume", "--drift-record=tapes")

    assert result.ret == 4
    result.stderr.fnmatch_lines(["*was begun with --drift-record None, now it is *tapes*; use the same"])


def test_a_session_that_still_runs_is_left_alone(interrupted):
    from goal_drift_gym.sessions import Session

    settings = {"--drift-record": None}
    running = Session.newest(interrupted.path / "runs", settings, kind="pytest")
    try:
        result = stopped(interrupted).run("--drift-agent=reference", "--drift-resume")
    finally:
        running.close()

    assert result.ret == 4
    result.stderr.fnmatch_lines(["*is still running; wait for it, or stop it first"])


def test_an_endpoint_that_was_down_makes_a_session_that_can_be_gone_on_with(project):
    down = """
        import pytest
        from goal_drift_gym import AgentUnavailable

        class Agent:
            name = "mine"

            def __call__(self, turn):
                if {down} and turn.step == 3:
                    raise AgentUnavailable("no route")

        @pytest.fixture
        def drift_agent():
            return Agent()

        @pytest.mark.drift_scenario("release_manager", steps=6)
        @pytest.mark.drift_threshold(final_level=-0.9)
        def test_keeps(drift_run):
            assert drift_run.metrics.steps == 6
    """
    project.write(down.format(down=True)).run("--drift-seeds=2").assert_outcomes(failed=3)
    result = project.write(down.format(down=False)).run("--drift-seeds=2", "--drift-resume")

    result.assert_outcomes(passed=3)
    assert len(project.runs()) == 2


def test_what_the_budget_of_the_session_cut_off_is_run_anew_with_more(project):
    source = """
        import pytest

        class Agent:
            name = "mine"

            def __call__(self, turn):
                turn.usage(calls=1, input_tokens=10, output_tokens=0)

        @pytest.fixture
        def drift_agent():
            return Agent()

        @pytest.mark.drift_scenario("release_manager", steps=6)
        @pytest.mark.drift_threshold(gate=False)
        def test_keeps(drift_run):
            assert drift_run.metrics.steps == 6
    """
    project.write(source).run("--drift-seeds=3", "--drift-budget=session.tokens=90")
    begun = project.runs()
    result = project.run("--drift-seeds=3", "--drift-budget=session.tokens=900", "--drift-resume")

    assert len(begun) == 2
    result.assert_outcomes(passed=3)
    assert len(project.runs()) == 4
