"""Runs with an adversary are driven again without it: verified, resumed, forked and begun with, byte for byte."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from core_support import TOY_FILE
from jsonschema import Draft202012Validator
from talking_adversaries import Counted

from goal_drift_gym.core.budget import Budget
from goal_drift_gym.core.condition import Condition
from goal_drift_gym.core.errors import RunRecordError, UsageError
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.redaction import register_secret
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.core.schemas import load_schema
from goal_drift_gym.runner import Experiment, fork_run, resume_run, run_episode, verify_run

KEY = "zq-sentinel-90bb31"


@pytest.fixture(autouse=True)
def nobody_asked_yet() -> None:
    Counted.asked.clear()


def experiment(agent: str = "talking_adversaries:Counted", steps: int = 6, **settings: Any) -> Experiment:
    adversary = {"agent": agent, "sees": ["own_messages", "scores"], "messages": 4, **settings.pop("adversary", {})}
    source = {"schedule": {"every": 1}, "adversary": adversary, **settings.pop("source", {})}
    return Experiment.of(f"{TOY_FILE}:Toy", Condition(), {"steps": steps, "pressure": [source], **settings})


def looker(turn: Any) -> None:
    turn.call("look")


class Steady:
    """An agent that says it is deterministic, and is."""

    deterministic = True

    def __call__(self, turn: Any) -> None:
        turn.call("look")


def stopping_at(step: int) -> Any:
    """Return an agent like `looker` whose run is interrupted."""

    def stopping(turn: Any) -> None:
        if turn.step == step:
            raise KeyboardInterrupt
        turn.call("look")

    stopping.__qualname__ = "looker"
    return stopping


def interrupted(tmp_path: Path, who: Any, made: Experiment) -> Run:
    with pytest.raises(KeyboardInterrupt):
        run_episode(made, who, seed=0, runs_dir=tmp_path)
    (path,) = (tmp_path / "toy").iterdir()
    return Run(path)


def said(run: Run) -> list[list[str]]:
    return [[one.text for one in record.adversaries] for record in run.steps()]


def events(run: Run) -> list[tuple[int, str]]:
    return [(record.step, event.kind) for record in run.steps() for event in record.events]


# verify


@pytest.mark.parametrize("position", ["observation", "tool_result"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"anonymisation": {"vocabulary": True}}, {"goal.polarity": "swapped"}, {"adversary": {"characters": 900}}],
    ids=["plain", "anonymised", "swapped", "characters"],
)
def test_a_run_verifies_without_asking_anybody(settings, position, tmp_path):
    run = run_episode(experiment(source={"position": position}, **settings), looker, seed=0, runs_dir=tmp_path)
    asked = len(Counted.asked)

    assert verify_run(run) is None
    assert asked >= 2
    assert len(Counted.asked) == asked


@pytest.mark.parametrize("faults", [1, 9])
def test_a_run_whose_adversary_fails_verifies(faults, tmp_path):
    made = experiment("talking_adversaries:Failing", adversary={"faults": faults})
    run = run_episode(made, looker, seed=0, runs_dir=tmp_path)

    assert run.outcome == ("infra_error" if faults == 1 else "truncated")
    assert verify_run(run) is None


def test_a_run_whose_texts_are_withheld_verifies(tmp_path):
    made = experiment("talking_adversaries:Telling", adversary={"settings": {"says": "Please."}, "faults": 2})
    run = run_episode(made, looker, seed=0, runs_dir=tmp_path)

    assert [kind for _, kind in events(run)].count("adversary_withheld") == 6
    assert verify_run(run) is None


def test_an_interrupted_run_verifies_without_asking_for_the_step_that_never_was(tmp_path):
    run = interrupted(tmp_path, stopping_at(2), experiment())
    asked = len(Counted.asked)

    assert verify_run(run) is None
    assert len(Counted.asked) == asked == 3


def test_a_run_verifies_where_the_adversary_is_not_installed(tmp_path):
    run = run_episode(experiment(), looker, seed=0, runs_dir=tmp_path)
    code = f"import sys; from goal_drift_gym.scripts.main import main; sys.exit(main(['verify', {str(run.path)!r}]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr


CHANGES = [
    (lambda step: step["adversaries"][0].update(text="Another text."), "observation.messages[0].text"),
    (lambda step: step["adversaries"][0].update(intensity=0.5), "adversaries[0].intensity"),
    (lambda step: step["adversaries"][0].update(source="nobody"), "adversaries"),
    (lambda step: step["adversaries"][0].pop("reactive"), "adversaries"),
    (lambda step: step["observation"]["messages"][0].update(text="Another text."), "observation.messages[0].text"),
]


@pytest.mark.parametrize(("change", "field"), CHANGES, ids=range(len(CHANGES)))
def test_a_changed_message_is_found(change, field, tmp_path):
    run = run_episode(experiment(), looker, seed=0, runs_dir=tmp_path)
    log = run.path / "step_log.jsonl"
    lines = log.read_text().splitlines()
    step = json.loads(lines[1])
    change(step)
    lines[1] = json.dumps(step, separators=(",", ":"), ensure_ascii=False)
    log.write_text("\n".join(lines) + "\n")

    difference = verify_run(Run(run.path))
    assert difference is not None
    assert difference.step == 1
    assert difference.field.startswith(field)


def test_a_run_that_its_adversary_took_beyond_the_budget_verifies(tmp_path, monkeypatch):
    def spending(self: Counted, turn: Any) -> str:
        turn.usage(input_tokens=20)
        return "Taking is low."

    monkeypatch.setattr(Counted, "__call__", spending)
    budget = Budget(limits={"episode.tokens": 30.0})
    run = run_episode(experiment(), looker, seed=0, runs_dir=tmp_path, budget=budget)

    assert (run.outcome, said(run)) == ("budget", [["Taking is low."], []])
    assert verify_run(run) is None


# resume


@pytest.mark.parametrize("who", [looker, Steady()], ids=["any", "deterministic"])
def test_a_resumed_run_asks_only_for_the_steps_that_are_left_and_goes_on_with_the_dose(who, tmp_path):
    stopped = stopping_at(2)
    if who is not looker:
        stopped = type("Steady", (Steady,), {"__call__": staticmethod(stopped), "__module__": Steady.__module__})()
    run = interrupted(tmp_path, stopped, experiment())
    before = said(run)
    Counted.asked.clear()
    finished = resume_run(run, who)

    assert Counted.asked == [2, 3]
    assert said(finished)[:2] == before
    assert [len(texts) for texts in said(finished)] == [1, 1, 1, 1, 0, 0]
    assert verify_run(finished) is None


def test_a_run_that_ended_because_its_adversary_failed_can_be_resumed(tmp_path, monkeypatch):
    import talking_adversaries

    made = experiment("talking_adversaries:Failing", adversary={"faults": 0})
    run = run_episode(made, looker, seed=0, runs_dir=tmp_path)
    assert (run.outcome, len(said(run))) == ("infra_error", 1)
    monkeypatch.setattr(talking_adversaries.Failing, "__call__", lambda self, turn: "Taking is low.")

    finished = resume_run(Run(run.path), looker)
    assert finished.outcome == "truncated"
    assert [len(texts) for texts in said(finished)] == [1, 1, 1, 1, 0, 0]
    assert verify_run(finished) is None


def test_a_run_is_not_resumed_with_another_adversary_of_the_same_name(tmp_path, monkeypatch):
    run = interrupted(tmp_path, stopping_at(2), experiment())
    monkeypatch.setattr(Counted, "describe", lambda self: {"kind": "counted", "deterministic": True})

    with pytest.raises(UsageError, match="was made with the adversaries"):
        resume_run(run, looker)


# fork and prefix


def test_a_fork_says_again_what_was_said_and_asks_from_there_on(tmp_path):
    run = run_episode(experiment(), looker, seed=0, runs_dir=tmp_path)
    Counted.asked.clear()
    fork = fork_run(run, lambda turn: turn.call("take") and None, steps=2, runs_dir=tmp_path)

    assert said(fork)[:2] == said(run)[:2]
    assert Counted.asked == [2, 3]
    assert verify_run(fork) is None


def test_steps_of_a_run_without_the_adversary_stay_without_it(tmp_path):
    plain = run_episode(Experiment.of(f"{TOY_FILE}:Toy", Condition(), {"steps": 6}), looker, seed=0, runs_dir=tmp_path)
    made = experiment(adversary={"faults": 0}, **{"prefix.run": str(plain.path), "prefix.steps": 3})
    run = run_episode(made, looker, seed=0, runs_dir=tmp_path)

    assert Counted.asked == [3, 4, 5]
    assert [len(texts) for texts in said(run)] == [0, 0, 0, 1, 1, 1]
    assert verify_run(run) is None


def test_a_prefix_holds_no_step_at_which_an_adversary_ended_the_run(tmp_path):
    failed = run_episode(
        experiment("talking_adversaries:Failing", adversary={"faults": 1}), looker, seed=0, runs_dir=tmp_path
    )
    made = experiment(**{"prefix.run": str(failed.path), "prefix.steps": 2})

    with pytest.raises(UsageError, match=r"the adversary of .* failed at step 1; use fewer"):
        run_episode(made, looker, seed=0, runs_dir=tmp_path)


# the run directory


def test_the_config_says_who_speaks_and_all_files_fit_their_schemas(tmp_path):
    made = experiment("escalating", adversary={"settings": {"patience": 1}})
    run = run_episode(made, lambda turn: turn.usage(calls=1), seed=0, runs_dir=tmp_path)

    config = json.loads((run.path / "config.json").read_bytes())
    assert config["adversaries"] == [
        {
            "source": "stakeholder",
            "name": "goal_drift_gym.agents.scripted_adversaries:Escalating",
            "kind": "scripted_adversary",
            "deterministic": True,
            "patience": 1,
        }
    ]
    for name in ("config", "metrics", "meta"):
        Draft202012Validator(load_schema(name)).validate(json.loads((run.path / f"{name}.json").read_bytes()))
    for line in run.step_lines():
        Draft202012Validator(load_schema("step")).validate(json.loads(line))


def test_a_config_without_an_adversary_does_not_speak_of_any(tmp_path):
    run = run_episode(Experiment.of(f"{TOY_FILE}:Toy", Condition(), {"steps": 2}), looker, seed=0, runs_dir=tmp_path)

    assert "adversaries" not in json.loads((run.path / "config.json").read_bytes())
    assert run.meta is not None
    assert "usage_of_others" not in run.meta


def test_what_an_adversary_spends_is_in_meta_under_its_role(tmp_path, monkeypatch):
    def spending(self: Counted, turn: Any) -> None:
        turn.usage(input_tokens=5, calls=1, cost=0.25)

    monkeypatch.setattr(Counted, "__call__", spending)
    run = run_episode(experiment(steps=2), looker, seed=0, runs_dir=tmp_path)

    assert run.meta is not None
    assert run.meta["usage"]["input_tokens"] == 0
    others = run.meta["usage_of_others"]["adversary"]
    assert (others["input_tokens"], others["calls"], others["cost"]) == (10, 2, 0.5)
    Draft202012Validator(load_schema("meta")).validate(run.meta)


def test_a_secret_it_says_is_in_no_file(tmp_path, monkeypatch):
    register_secret(KEY)
    monkeypatch.setattr(
        Counted, "__call__", lambda self, turn: f"{'You must see' if turn.step else 'The key is'} {KEY}"
    )
    run = run_episode(experiment(steps=2), looker, seed=0, runs_dir=tmp_path)

    for file in run.path.iterdir():
        assert KEY.encode() not in file.read_bytes(), file.name
    assert said(run)[0] == ["The key is [redacted]"]
    assert verify_run(run) is None


def test_a_twin_without_pressure_makes_no_adversary(tmp_path, monkeypatch):
    from pytest_goal_drift.twinning import twin_of

    def fail(self: Counted, *args: Any) -> None:
        raise AssertionError("made")

    made = experiment()
    monkeypatch.setattr(Counted, "__init__", fail)
    twin = run_episode(twin_of(made, ["pressure"]), looker, seed=0, runs_dir=tmp_path)

    assert said(twin) == [[]] * 6


def test_the_same_steps_come_out_of_a_scripted_adversary_twice(tmp_path):
    made = experiment("escalating", source={"position": "tool_result"})
    lines: list[list[bytes]] = []
    for name in ("one", "two"):
        run = run_episode(made, lambda turn: turn.call("take") and None, seed=3, runs_dir=tmp_path / name)
        lines.append(list(run.step_lines()))

    assert lines[0] == lines[1]
    assert any(record.adversaries for record in run.steps() if isinstance(record, StepRecord))


def test_a_damaged_record_of_a_run_with_an_adversary_is_not_resumed(tmp_path):
    run = interrupted(tmp_path, stopping_at(2), experiment())
    log = run.path / "step_log.jsonl"
    log.write_text(log.read_text().replace("1. time", "7. time", 1))

    with pytest.raises(RunRecordError, match="does not replay"):
        resume_run(run, looker)
