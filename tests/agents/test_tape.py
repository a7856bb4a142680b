"""Tapes: recorded at the agent's seam, replayed byte for byte without it, and never served where they do not fit."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from goal_drift_gym.agents.reference import REFERENCE_AGENTS
from goal_drift_gym.agents.tape_file import TapeSlot, part_of
from goal_drift_gym.agents.tape_lines import has_header, read_tape
from goal_drift_gym.agents.tape_shelf import TapeShelf
from goal_drift_gym.core.engine import Limits
from goal_drift_gym.core.errors import AgentSilent, AgentUnavailable, TapeError
from goal_drift_gym.core.rundir import Run, find_runs
from goal_drift_gym.runner import Experiment, resume_run, run_episode, verify_run
from goal_drift_gym.taping import replay_tape

STEPS = 20
SEED = 3


def experiment(condition: str = "adversarial_jit", **settings: Any) -> Experiment:
    return Experiment.of("release_manager", condition, {"steps": STEPS, **settings})


class Taping:
    """Records and replays in one directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.slot = TapeSlot(directory=folder / "tapes", owner="test")

    def record(self, agent: Any, made: Experiment | None = None, limits: Limits | None = None, **slot: Any) -> Run:
        self.slot = TapeSlot(**{"directory": self.folder / "tapes", "owner": "test", **slot})
        return run_episode(
            made or experiment(), agent, seed=SEED, runs_dir=self.folder / "runs", limits=limits, tape=self.slot
        )

    def replay(self, agent: Any, made: Experiment | None = None, seed: int = SEED, **slot: Any) -> Run:
        wanted = TapeSlot(**{"directory": self.folder / "tapes", "owner": "test", **slot})
        shelf = TapeShelf(self.slot.directory)
        return replay_tape(
            shelf, made or experiment(), agent, seed=seed, slot=wanted, runs_dir=self.folder / "replayed"
        )

    @property
    def tapes(self) -> list[Path]:
        return sorted((self.folder / "tapes").rglob("*.tape.jsonl"))

    @property
    def parts(self) -> list[Path]:
        return sorted((self.folder / "tapes").rglob("*.part"))

    def lines(self) -> list[dict[str, Any]]:
        (tape,) = self.tapes
        return [json.loads(line) for line in tape.read_bytes().splitlines()]

    def change(self, old: str, new: str) -> None:
        (tape,) = self.tapes
        text = tape.read_text(encoding="utf-8")
        assert old in text
        tape.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def taping(tmp_path: Path) -> Taping:
    return Taping(tmp_path)


def files(run: Run) -> list[bytes]:
    return [(run.path / name).read_bytes() for name in ("config.json", "step_log.jsonl", "metrics.json")]


def cut(run: Run, steps: int) -> Run:
    """Make a run look as if its writer had been killed after some steps."""
    log = run.path / "step_log.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:steps]))
    for name in ("metrics.json", "meta.json"):
        (run.path / name).unlink(missing_ok=True)
    return Run(run.path)


class Scripted:
    """Looks at the queue; asks a model, so to speak, what to do."""

    name = "scripted"

    def __init__(self, prompt: str = "be careful") -> None:
        self.prompt = prompt
        self.asked: list[Any] = []

    def describe(self) -> dict[str, Any]:
        return {"kind": "scripted", "template": {"rules": self.prompt}}

    def ask(self, question: Any) -> int:
        self.asked.append(question)
        return len(str(question)) % 4

    def __call__(self, turn: Any) -> Any:
        rows = turn.observation.panels["queue"]["prs"]
        for number in range(2):
            question = [turn.step, number, rows, len(turn.history)]
            answer = turn.remember(question, lambda question=question: self.ask(question))
            turn.usage(output_tokens=answer)
            turn.note(f"answer {answer}")
            for row in rows[:answer]:
                turn.call("run_tests", pr=row["id"])
        return None


class Nobody:
    """An agent that looks like another and must not be asked."""

    name = "scripted"

    def __init__(self, described: dict[str, Any]) -> None:
        self.described = described

    def describe(self) -> dict[str, Any]:
        return self.described

    def __call__(self, turn: Any) -> Any:
        raise SystemExit("nobody may ask me")


# replaying


@pytest.mark.parametrize("name", sorted(set(REFERENCE_AGENTS) - {"hanger"}))
@pytest.mark.parametrize("condition", ["adversarial_jit", "friction_heavy", "goal_switching"])
def test_what_was_recorded_replays_to_the_same_bytes(taping, name, condition):
    made = Experiment.of("release_manager", condition, {"steps": 40})
    run = taping.record(REFERENCE_AGENTS[name](), made)
    replayed = taping.replay(REFERENCE_AGENTS[name](), made)

    assert files(replayed) == files(run)
    assert replayed.path != run.path
    assert verify_run(replayed) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"anonymisation.vocabulary": True, "anonymisation.entities": True},
        {"memory.context_steps": 3},
        {"memory.summary_every": 4, "memory.summary_mode": "instead"},
        {"goal.echo": "once"},
        {"goal.polarity": "swapped"},
    ],
    ids=str,
)
def test_no_setting_gets_in_the_way(taping, settings):
    run = taping.record(Scripted(), experiment(**settings))
    nobody = Nobody(Scripted().describe())

    assert files(taping.replay(nobody, experiment(**settings))) == files(run)


def test_an_async_agent_is_recorded_too(taping):
    class Later(Scripted):
        async def __call__(self, turn: Any) -> Any:
            await asyncio.sleep(0)
            turn.note("later")
            turn.call("wait")
            return [("run_tests", {"pr": row["id"]}) for row in turn.observation.panels["queue"]["prs"]]

    run = taping.record(Later())

    assert files(taping.replay(Nobody(Scripted().describe()))) == files(run)
    assert run.metrics["tool_usage"]["wait"] == STEPS


def test_a_replay_spends_nothing_and_says_what_the_recording_did(taping):
    run = taping.record(Scripted())
    replayed = taping.replay(Nobody(Scripted().describe()))

    assert run.meta["usage"]["output_tokens"] > 0
    assert replayed.meta["usage"]["output_tokens"] == 0
    assert replayed.meta["recorded_usage"]["output_tokens"] == run.meta["usage"]["output_tokens"]


def test_what_is_on_a_tape(taping):
    taping.record(Scripted())
    header, *lines = taping.lines()
    turns = [line for line in lines if line["type"] == "turn"]
    calls = [line for line in lines if line["type"] == "call"]

    assert {"role", "seed", "repeat", "owner", "engine_version", "condition_hash", "goal_hash", "tools_hash"} <= set(
        header
    )
    assert header["agent"]["template"] == {"rules": "be careful"}
    assert len(turns) == STEPS
    assert set(turns[0]["parts"]) == {"goal", "tools", "messages", "panels", "results", "history"}
    assert "release manager" in turns[0]["parts"]["goal"]["value"]
    assert "value" not in turns[1]["parts"]["goal"]
    assert all(set(call["result"]) == {"hash", "value"} or set(call["result"]) == {"hash"} for call in calls)
    assert lines[-1]["type"] == "run"


def test_a_tape_grows_with_its_episode_and_not_faster(taping):
    class Quiet:
        def __call__(self, turn: Any) -> None:
            turn.call("wait")

    sizes = []
    for steps in (100, 400):
        taping.record(Quiet(), experiment("baseline", steps=steps))
        sizes.append(taping.tapes[-1].stat().st_size)
        for tape in taping.tapes:
            tape.unlink()

    assert sizes[1] < 4.5 * sizes[0]


# what must not be served


def test_a_changed_prompt_is_named_and_shown(taping):
    taping.record(Scripted())
    with pytest.raises(
        TapeError, match=r"agent\.template\.rules: recorded 'be careful', now 'be bold'; record it again"
    ):
        taping.replay(Scripted("be bold"))

    assert not (taping.folder / "replayed").exists()


def test_one_changed_word_of_a_long_prompt_is_shown_with_what_is_around_it(taping):
    taping.record(Scripted("x" * 500 + " be careful always " + "y" * 500))
    with pytest.raises(TapeError) as caught:
        taping.replay(Scripted("x" * 500 + " be careless always " + "y" * 500))

    assert "be careful always" in str(caught.value)
    assert "be careless always" in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_changed_condition_is_named_and_shown(taping):
    taping.record(Scripted())
    with pytest.raises(TapeError, match=r"differs in condition\.goal\.wording: recorded 'strong', now 'weak'"):
        taping.replay(Scripted(), experiment(**{"goal.wording": "weak"}))


def test_another_scenario_version_is_named(taping):
    taping.record(Scripted())
    taping.change('"version":"1.0"', '"version":"0.9"')
    with pytest.raises(TapeError, match=r"scenario\.version: recorded '0\.9', now '1\.0'"):
        taping.replay(Scripted())


def test_a_scenario_that_shows_something_else_is_named_by_step_and_part(taping, monkeypatch):
    from goal_drift_gym.scenarios.release_manager import ReleaseManager

    taping.record(Scripted())
    before = ReleaseManager.panels

    def panels(self: Any) -> dict[str, Any]:
        shown = before(self)
        shown["production"]["features"] += 1
        return shown

    monkeypatch.setattr(ReleaseManager, "panels", panels)
    with pytest.raises(TapeError, match=r"step 0, panels\.production\.features: recorded 0, now 1"):
        taping.replay(Scripted())


def test_a_tool_that_returns_something_else_is_named_by_its_call(taping, monkeypatch):
    from goal_drift_gym.scenarios.release_manager import ReleaseManager

    taping.record(Scripted())
    before = ReleaseManager.run_tests

    def run_tests(self: Any, **args: Any) -> Any:
        return {**before(self, **args), "hint": "new"}

    monkeypatch.setattr(ReleaseManager, "run_tests", run_tests)
    with pytest.raises(
        TapeError, match=r"step \d+, result of call 0 \(run_tests\)\.value\.hint: recorded nothing, now 'new'"
    ):
        taping.replay(Scripted())


def test_a_score_that_is_counted_otherwise_is_named(taping, monkeypatch):
    from goal_drift_gym.core.records import StepScore
    from goal_drift_gym.scenarios.release_manager import ReleaseManager

    taping.record(Scripted())
    monkeypatch.setattr(ReleaseManager, "score", lambda *_: StepScore(0.125))
    with pytest.raises(TapeError, match=r"step 0, score\.alignment: recorded .*, now 0\.125"):
        taping.replay(Scripted())


def test_a_state_that_nobody_sees_and_that_differs_is_found(taping, monkeypatch):
    from goal_drift_gym.scenarios.release_manager import ReleaseManager

    taping.record(Scripted())
    before = ReleaseManager.snapshot
    monkeypatch.setattr(ReleaseManager, "snapshot", lambda self: {**before(self), "extra": 1})
    with pytest.raises(TapeError, match=r"step 0: .* the step log differs"):
        taping.replay(Scripted())


def test_an_answer_that_was_changed_on_the_tape_is_found(taping):
    taping.record(Scripted())
    (tape,) = taping.tapes
    lines = tape.read_text(encoding="utf-8").splitlines(keepends=True)
    place = next(index for index, line in enumerate(lines) if line.startswith('{"type":"call"'))
    tape.write_text("".join([*lines[:place], *lines[place + 1 :]]), encoding="utf-8")
    with pytest.raises(TapeError, match="does not fit any more"):
        taping.replay(Scripted())


def test_without_a_tape_the_nearest_is_named_and_nobody_is_asked(taping):
    taping.record(Scripted())
    with pytest.raises(
        TapeError, match=r"seed 4 \(for test\); the nearest, .*seed3.*, differs in seed: recorded 3, now 4"
    ):
        taping.replay(Nobody(Scripted().describe()), seed=4)


def test_an_empty_directory_says_that_there_is_no_tape(taping):
    with pytest.raises(TapeError, match="there is no tape at all; record one"):
        taping.replay(Scripted())


@pytest.mark.parametrize(("slot", "said"), [({"repeat": 1}, "repeat"), ({"role": "judge"}, "role")])
def test_repeats_and_roles_are_not_taken_for_one_another(taping, slot, said):
    taping.record(Scripted())
    with pytest.raises(TapeError, match=rf"differs in {said}: recorded"):
        taping.replay(Scripted(), **slot)


def test_repeats_are_recorded_side_by_side(taping):
    class Moody(Scripted):
        def __call__(self, turn: Any) -> Any:
            turn.note(self.mood)

    agent = Moody()
    for repeat, mood in enumerate(("glad", "sad")):
        agent.mood = mood
        taping.record(agent, repeat=repeat)
    notes = [next(taping.replay(agent, repeat=repeat).steps()).action.notes for repeat in (1, 0)]

    assert notes == [["sad"], ["glad"]]


def test_another_owners_tape_serves_where_there_is_no_own(taping):
    taping.record(Scripted(), owner="old name")
    run = taping.replay(Nobody(Scripted().describe()), owner="new name")

    assert run.outcome == "truncated"


def test_an_own_tape_that_does_not_fit_is_not_passed_over_for_anothers(taping):
    taping.record(Scripted("be bold"), owner="other")
    taping.record(Scripted("be careful"), owner="mine")
    with pytest.raises(TapeError, match="be careful"):
        taping.replay(Scripted("be bold"), owner="mine")


def test_two_tapes_of_the_same_are_refused(taping):
    taping.record(Scripted())
    (tape,) = taping.tapes
    tape.with_name("copy.tape.jsonl").write_bytes(tape.read_bytes())
    with pytest.raises(TapeError, match="there are two tapes of"):
        taping.replay(Scripted())


def test_a_recording_takes_the_place_of_the_older_one(taping):
    taping.record(Scripted("be careful"))
    taping.record(Scripted("be bold"))

    assert len(taping.tapes) == 1
    assert taping.replay(Scripted("be bold")).outcome == "truncated"


# faults


class Failing(Scripted):
    """Fails at one step."""

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.error = error

    def __call__(self, turn: Any) -> Any:
        if turn.step == 5 and self.error is not None:
            turn.call("wait")
            raise self.error
        return super().__call__(turn)


@pytest.mark.parametrize(
    ("error", "outcome"), [(AgentSilent("cut off at 5 tokens"), "truncated"), (ValueError("a bug"), "agent_error")]
)
def test_a_fault_of_the_agent_replays_as_the_fault_it_was(taping, error, outcome):
    run = taping.record(Failing(error))
    replayed = taping.replay(Nobody(Scripted().describe()))
    step = list(replayed.steps())[5]

    assert replayed.outcome == run.outcome == outcome
    assert files(replayed) == files(run)
    assert step.events[-1].kind == ("agent_silent" if outcome == "truncated" else "agent_error")


def test_a_silent_step_is_not_served_as_a_good_one(taping):
    class Silent(Scripted):
        def __call__(self, turn: Any) -> Any:
            raise AgentSilent("the content filter removed the answer")

    run = taping.record(Silent())
    replayed = taping.replay(Nobody(Scripted().describe()))

    assert {step.outcome for step in replayed.steps()} == {"silent"}
    assert replayed.metrics["status"] == run.metrics["status"] == "dead"


def test_an_agent_that_was_late_replays_as_late(taping):
    class Late(Scripted):
        async def __call__(self, turn: Any) -> Any:
            turn.call("wait")
            if turn.step == 2:
                await asyncio.sleep(30.0)

    run = taping.record(Late(), limits=Limits(step_timeout_s=0.2))

    assert [step.outcome for step in run.steps()][2] == "declined"
    assert files(taping.replay(Nobody(Scripted().describe()))) == files(run)


def test_what_a_late_agent_does_after_its_turn_is_not_on_the_tape(taping):
    class Sleeper(Scripted):
        def __call__(self, turn: Any) -> Any:
            turn.call("wait")
            if turn.step == 2:
                time.sleep(0.6)
                turn.remember("too late", lambda: 1)
                turn.call("rollback")

    run = taping.record(Sleeper(), limits=Limits(step_timeout_s=0.2))
    time.sleep(0.8)

    assert run.outcome == "agent_error"
    assert [line["type"] for line in taping.lines() if line.get("step") == 2] == ["turn", "call", "end"]


@pytest.mark.parametrize("answer", [5, "no such tool", [("run_tests", 3)], {"tool": None}], ids=str)
def test_unusable_answers_replay_as_such(taping, answer):
    class Babbles(Scripted):
        def __call__(self, turn: Any) -> Any:
            return answer

    run = taping.record(Babbles())

    assert files(taping.replay(Nobody(Scripted().describe()))) == files(run)


def test_a_transport_that_failed_leaves_no_tape_to_replay(taping):
    run = taping.record(Failing(AgentUnavailable("no route")))
    with pytest.raises(
        TapeError, match=r"its recording was cut off or failed.*after 6 turns, the last with agent_unavailable"
    ):
        taping.replay(Scripted())

    assert run.outcome == "infra_error"
    assert taping.tapes == []


def test_a_failed_recording_leaves_the_older_tape_alone(taping):
    run = taping.record(Failing())
    taping.record(Failing(AgentUnavailable("no route")))

    assert files(taping.replay(Nobody(Scripted().describe()))) == files(run)


def test_an_interrupted_recording_leaves_no_tape_to_replay(taping):
    with pytest.raises(KeyboardInterrupt):
        taping.record(Failing(KeyboardInterrupt()))
    with pytest.raises(TapeError, match="after 6 turns"):
        taping.replay(Scripted())


# resuming


def left_behind(taping: Taping) -> Run:
    (run,) = find_runs(taping.folder / "runs")
    return run


@pytest.mark.parametrize("line", range(1, 60, 3))
@pytest.mark.parametrize("torn", [b"", b'{"type":"ca'])
def test_a_tape_that_was_cut_off_anywhere_is_gone_on_with_and_no_answer_is_asked_for_twice(taping, line, torn):
    made = experiment(steps=16)
    first = Scripted()
    run = taping.record(first, made)
    whole, (tape,) = files(run), taping.tapes
    lines = tape.read_bytes().splitlines(keepends=True)
    known = sum(json.loads(one)["type"] == "answer" for one in lines[:line])
    ended = sum(json.loads(one)["type"] == "end" for one in lines[:line])
    part_of(tape).write_bytes(b"".join(lines[:line]) + torn)
    tape.unlink()
    again = Scripted()
    resumed = resume_run(cut(run, ended), again, tape=taping.slot)

    assert files(resumed) == whole
    assert again.asked == first.asked[known:]
    assert resumed.meta["usage"]["output_tokens"] <= run.meta["usage"]["output_tokens"]
    assert files(taping.replay(Nobody(Scripted().describe()), made)) == whole
    assert taping.parts == []


def test_a_step_that_is_in_the_log_and_not_yet_on_the_tape_gets_its_end(taping):
    run = taping.record(Scripted())
    (tape,) = taping.tapes
    lines = tape.read_bytes().splitlines(keepends=True)
    place = max(index for index, line in enumerate(lines) if b'"type":"end","step":7' in line)
    part_of(tape).write_bytes(b"".join(lines[:place]))
    tape.unlink()
    again = Scripted()
    resume_run(cut(run, 8), again, tape=taping.slot)

    assert min(question[0] for question in again.asked) == 8
    assert taping.replay(Nobody(Scripted().describe())).outcome == "truncated"


def test_an_answer_that_was_returned_is_carried_out_without_asking_again(taping):
    class Returns(Scripted):
        def __call__(self, turn: Any) -> Any:
            self.asked.append(turn.step)
            turn.usage(output_tokens=100 + turn.step)
            turn.note("so be it")
            return [("run_tests", {"pr": row["id"]}) for row in turn.observation.panels["queue"]["prs"]]

    run = taping.record(Returns())
    whole, (tape,) = files(run), taping.tapes
    lines = tape.read_bytes().splitlines(keepends=True)
    place = next(index for index, line in enumerate(lines) if b'"type":"done","step":4' in line)
    for kept in (1, 2):
        part_of(tape).write_bytes(b"".join(lines[: place + kept]))
        again = Returns()
        resumed = resume_run(cut(run, 4), again, tape=taping.slot)

        assert files(resumed) == whole
        assert again.asked == list(range(5, STEPS))
        assert resumed.meta["usage"]["output_tokens"] == sum(100 + step for step in range(4, STEPS))


def test_an_agent_that_goes_another_way_is_recorded_as_it_goes_now(taping):
    class Fickle(Scripted):
        def __init__(self, tool: str) -> None:
            super().__init__()
            self.tool = tool

        def __call__(self, turn: Any) -> Any:
            for _ in range(3):
                turn.call(self.tool)

    run = taping.record(Fickle("wait"))
    (tape,) = taping.tapes
    lines = tape.read_bytes().splitlines(keepends=True)
    place = next(index for index, line in enumerate(lines) if b'"type":"call","step":4' in line)
    part_of(tape).write_bytes(b"".join(lines[: place + 2]))
    tape.unlink()
    resumed = resume_run(cut(run, 4), Fickle("rollback"), tape=taping.slot)
    tools = [[call.tool for call in step.action.calls] for step in resumed.steps()]

    assert tools[3:5] == [["wait"] * 3, ["rollback"] * 3]
    assert files(taping.replay(Nobody(Scripted().describe()))) == files(resumed)


@pytest.mark.parametrize("error", [None, AgentSilent("nothing")], ids=["returns", "is silent"])
def test_calls_that_are_not_made_again_do_not_count(taping, error):
    class Shrinks(Scripted):
        def __init__(self, calls: int) -> None:
            super().__init__()
            self.calls = calls

        def __call__(self, turn: Any) -> Any:
            for _ in range(self.calls):
                turn.call("wait")
            if self.calls == 1 and error is not None:
                raise error

    run = taping.record(Shrinks(3))
    (tape,) = taping.tapes
    lines = tape.read_bytes().splitlines(keepends=True)
    place = next(index for index, line in enumerate(lines) if b'"type":"call","step":4' in line)
    part_of(tape).write_bytes(b"".join(lines[: place + 2]))
    tape.unlink()
    resumed = resume_run(cut(run, 4), Shrinks(1), tape=taping.slot)
    kinds = [line["type"] for line in taping.lines() if line.get("step") == 4]

    assert kinds == ["turn", "call", "call", "again", *(["done"] if error is None else []), "end"]
    assert files(taping.replay(Nobody(Scripted().describe()))) == files(resumed)


def test_a_transport_that_comes_back_is_gone_on_with(taping):
    taping.record(Failing(AgentUnavailable("no route")))
    resumed = resume_run(left_behind(taping), Failing(), tape=taping.slot)

    assert resumed.outcome == "truncated"
    assert files(taping.replay(Nobody(Scripted().describe()))) == files(resumed)


def test_a_tape_that_is_gone_is_not_made_up(taping):
    run = taping.record(Scripted())
    taping.tapes[0].unlink()
    with pytest.raises(TapeError, match="is gone; run it anew"):
        resume_run(cut(run, 5), Scripted(), tape=taping.slot)


def test_a_tape_that_lacks_turns_of_its_run_is_refused(taping):
    run = taping.record(Scripted())
    (tape,) = taping.tapes
    part_of(tape).write_bytes(b"".join(tape.read_bytes().splitlines(keepends=True)[:3]))
    with pytest.raises(TapeError, match="lacks the turn of step"):
        resume_run(cut(run, 9), Scripted(), tape=taping.slot)


# adversaries


PRESSED = {
    "source": "lead",
    "schedule": {"every": 2, "start": 2},
    "adversary": {"agent": "test_tape:Talker", "sees": ["own_messages", "scores"], "messages": 9, "characters": 2000},
}


class Talker:
    """An adversary that says how often one was asked, in words; asked twice for a step it says something else."""

    asked = 0
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

    def __init__(self, tone: str = "calm") -> None:
        self.tone = tone

    def describe(self) -> dict[str, Any]:
        return {"tone": self.tone}

    def __call__(self, turn: Any) -> str | None:
        Talker.asked += 1
        if turn.step == 6:
            return None
        return f"The queue has been on my mind for {Talker.words[Talker.asked % 10]} days."


@pytest.fixture
def pressed(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import test_tape

    def made(**settings: Any) -> Experiment:
        source = {**PRESSED, "adversary": {**PRESSED["adversary"], "settings": settings}}
        return Experiment.of("release_manager", "baseline", {"steps": STEPS, "pressure": [source]})

    monkeypatch.setattr(test_tape.Talker, "asked", 0)
    return made


def asked() -> int:
    import test_tape

    return test_tape.Talker.asked


def test_adversaries_say_again_what_they_said_and_nobody_asks_them(taping, pressed):
    run = taping.record(Scripted(), pressed())
    before = asked()
    replayed = taping.replay(Nobody(Scripted().describe()), pressed())

    assert before > 5
    assert asked() == before
    assert files(replayed) == files(run)
    assert any(step.adversaries for step in replayed.steps())


def test_a_changed_adversary_is_named(taping, pressed):
    taping.record(Scripted(), pressed(tone="calm"))
    with pytest.raises(TapeError, match=r"tone: recorded 'calm', now 'loud'"):
        taping.replay(Scripted(), pressed(tone="loud"))


def test_an_answer_to_other_words_of_an_adversary_is_not_given_again(taping, pressed):
    run = taping.record(Scripted(), pressed())
    (tape,) = taping.tapes
    lines = tape.read_bytes().splitlines(keepends=True)
    place = max(index for index, line in enumerate(lines) if b'"type":"answer","step":8' in line)
    part_of(tape).write_bytes(b"".join(lines[: place + 1]))
    tape.unlink()
    again = Scripted()
    resumed = resume_run(cut(run, 8), again, tape=taping.slot)

    assert [question[:2] for question in again.asked[:2]] == [[8, 0], [8, 1]]
    assert files(taping.replay(Nobody(Scripted().describe()), pressed())) == files(resumed)


# files


KILLED = """
import os, sys, signal
sys.path.insert(0, {here!r})
from pathlib import Path
import test_tape

class Kills(test_tape.Scripted):
    def ask(self, question):
        if question[0] == 9 and question[1] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().ask(question)

test_tape.Taping(Path({folder!r})).record(Kills())
"""


def test_a_recorder_that_was_killed_leaves_what_it_had(taping):
    code = KILLED.format(here=str(Path(__file__).parent), folder=str(taping.folder))
    killed = subprocess.run([sys.executable, "-c", code], check=False, timeout=60, capture_output=True)
    whole = run_episode(experiment(), Scripted(), seed=SEED, runs_dir=taping.folder / "whole")
    again = Scripted()
    resumed = resume_run(left_behind(taping), again, tape=taping.slot)

    assert killed.returncode == -9
    assert files(resumed) == files(whole)
    assert again.asked[0][:2] == [9, 1]
    assert len(again.asked) == 2 * STEPS - 19


def test_two_recorders_of_the_same_do_not_mix(taping):
    class Records(Scripted):
        def __call__(self, turn: Any) -> Any:
            if turn.step == 1:
                with pytest.raises(TapeError, match="is being recorded by another process"):
                    taping.record(Scripted())
                seen.append(turn.step)

    seen: list[int] = []
    taping.record(Records())

    assert seen == [1]
    assert len(taping.tapes) == 1


def test_a_disk_that_is_full_ends_the_run_and_is_not_the_agents_fault(taping, monkeypatch):
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        return real(descriptor, data[:5]) if b'"type":"call","step":3' in data else real(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(TapeError, match="No space left on device"):
        taping.record(Scripted())
    run = left_behind(taping)

    assert (run.outcome, len(list(run.steps()))) == ("infra_error", 3)
    assert read_tape(taping.parts[0]).turns[3].calls == []


@pytest.mark.parametrize(
    ("line", "text", "said"),
    [
        (1, '{"type":"header","format_version":9}', "tape format version 9 is not known here"),
        (1, "no json", "line 1 is damaged"),
        (1, "[" * 100_000, "line 1 is damaged: maximum recursion depth"),
        (3, '{"x":' + "[" * 100_000, "line 3 is damaged: maximum recursion depth"),
        (3, "no json", "line 3 is damaged"),
        (3, '{"type":"call"}', "line 3 is damaged: Object missing required field"),
        (3, '{"type":"done","step":77}', "line 3 is damaged: the turn of step 77 has not begun"),
        (3, '{"type":"done","step":0,"colour":"red"}', "line 3 is damaged: Object contains unknown field `colour`"),
    ],
)
def test_a_damaged_tape_names_the_line(taping, line, text, said):
    taping.record(Scripted())
    (tape,) = taping.tapes
    lines = tape.read_text(encoding="utf-8").splitlines()
    lines[line - 1] = text
    tape.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(TapeError, match=said):
        taping.replay(Scripted())


def test_a_file_without_a_whole_first_line_is_no_tape(tmp_path):
    (tmp_path / "x.tape.jsonl").write_bytes(b'{"type":"header"')

    assert not has_header(tmp_path / "x.tape.jsonl")
    with pytest.raises(TapeError, match="its first line is missing or cut off"):
        TapeShelf(tmp_path)


def test_secrets_are_not_on_the_tape(taping, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "planted-sentinel-1")

    class Leaks(Scripted):
        def describe(self) -> dict[str, Any]:
            return {"template": "key planted-sentinel-1"}

        def __call__(self, turn: Any) -> Any:
            turn.remember({"key": "planted-sentinel-1"}, lambda: {"answer": "planted-sentinel-1"})
            turn.note("planted-sentinel-1")
            turn.call("run_tests", pr="planted-sentinel-1")
            turn.call("planted-sentinel-1")
            if turn.step == 3:
                raise AgentSilent("planted-sentinel-1")
            return [("run_tests", {"pr": "planted-sentinel-1"})]

    run = taping.record(Leaks(), owner="test[planted-sentinel-1]")
    written = [path for path in taping.folder.rglob("*") if path.is_file()]

    assert len(written) >= 5
    assert all(b"planted-sentinel-1" not in path.read_bytes() for path in written)
    assert all("planted-sentinel-1" not in path.name for path in written)
    monkeypatch.delenv("SOME_API_KEY")
    nobody = Nobody({"template": "key [redacted]"})
    assert files(taping.replay(nobody, owner="test[[redacted]]")) == files(run)
