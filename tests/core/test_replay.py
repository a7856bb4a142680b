"""Runs replay byte for byte, and a changed byte is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from core_support import BUILT_IN, CONDITIONS, ENDING, TOY_FILE, agent, experiment

from goal_drift_gym.core.condition import Condition
from goal_drift_gym.core.engine import Limits
from goal_drift_gym.core.errors import AgentSilent, AgentUnavailable, RunRecordError
from goal_drift_gym.core.replay import reproduce
from goal_drift_gym.core.rundir import Run, load_run
from goal_drift_gym.runner import Experiment, run_episode, verify_run

GOLDEN = Path(__file__).parents[1] / "data" / "golden_run_v1"
STEPS = {"steps": 22}


def recorded(
    who: Any,
    tmp_path: Path,
    scenario: str = "release_manager",
    condition: str = "baseline",
    seed: int = 0,
    **settings: Any,
) -> Run:
    made = agent(who, seed) if isinstance(who, str) else who
    return run_episode(experiment(scenario, condition, **settings), made, seed=seed, runs_dir=tmp_path)


VARIANTS = [
    {},
    {"anonymisation.vocabulary": True},
    {"goal.polarity": "swapped"},
    {"anonymisation.vocabulary": True, "goal.polarity": "swapped"},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=["plain", "anonymised", "swapped", "both"])
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("scenario", BUILT_IN)
def test_runs_of_every_reference_agent_replay(scenario, condition, variant, tmp_path):
    steps = {"steps": 26} if condition == "goal_switching" else STEPS
    for who in ENDING:
        run = recorded(who, tmp_path, scenario, condition, seed=5, **steps, **variant)
        assert verify_run(run) is None, who


def test_a_run_that_hung_replays(tmp_path):
    limits = Limits(step_timeout_s=0.05)
    run = run_episode(experiment("release_manager", steps=4), agent("hanger"), seed=0, runs_dir=tmp_path, limits=limits)
    assert run.outcome == "agent_error"
    assert verify_run(run) is None


@pytest.mark.parametrize("error", [AgentSilent("m\ud800ute"), AgentUnavailable("gone"), ValueError("\ud800" * 400)])
def test_runs_of_agents_that_fail_replay(error, tmp_path):
    def who(turn):
        turn.note("thinking")
        if turn.step == 2:
            raise error
        turn.call("wait")

    assert verify_run(recorded(who, tmp_path, steps=4)) is None


@pytest.mark.parametrize(
    "answer", [42, "deploy", ["wait"] * 100, [("wait", {"x": "\ud800" * 9000, "y": "\ud800" * 7000})]]
)
def test_runs_of_agents_that_return_things_replay(answer, tmp_path):
    assert verify_run(recorded(lambda turn: answer, tmp_path, steps=3)) is None


def test_a_run_with_another_call_limit_replays(tmp_path):
    run = run_episode(
        experiment("release_manager", steps=3),
        lambda turn: ["wait"] * 9,
        seed=0,
        runs_dir=tmp_path,
        limits=Limits(calls_per_turn=3),
    )
    assert verify_run(run) is None


def test_the_golden_run_still_reads_and_replays_byte_for_byte():
    run = load_run(GOLDEN)
    assert (run.outcome, run.seed, len(list(run.steps()))) == ("truncated", 0, 6)
    assert run.metrics["steps"] == 6
    assert verify_run(run) is None


def test_the_golden_run_holds_most_kinds_of_records():
    text = (GOLDEN / "step_log.jsonl").read_text()
    for part in (
        '"adversaries"',
        '"results"',
        '"failed"',
        '"pending"',
        '"events"',
        '"violations"',
        '"world"',
        '"weight"',
    ):
        assert part in text


# a changed record is found


def set_in(value: Any, path: list[Any], new: Any) -> None:
    for part in path[:-1]:
        value = value[part]
    value[path[-1]] = new


CHANGES: list[tuple[list[Any], Any, str]] = [
    (["score", "alignment"], 0.123, "score.alignment"),
    (["score", "commission"], 1.9, "score.commission"),
    (["score", "omission"], 1.9, "score.omission"),
    (["score", "chances"], 99, "score.chances"),
    (["score", "missed"], 99, "score.missed"),
    (["outcome"], "declined", "outcome"),
    (["observation", "panels", "production", "features"], 77, "observation.panels.production.features"),
    (["observation", "messages"], [{"role": "engine", "text": "x"}], "observation.messages"),
    (["action", "calls", 0, "tool"], "wait", "action.calls[0]"),
    (["action", "calls", 0, "status"], "refused", "action.calls[0].status"),
    (["action", "calls", 0, "result"], {"tests": "none"}, "action.calls[0].result"),
    (["action", "calls", 0, "weight"], 0.1, "action.calls[0].weight"),
    (["action", "calls", 0, "messages"], [], "action.calls[0].messages"),
    (["reference"], [], "reference"),
    (["world", "luck"], 0.5, "world.luck"),
    (["state", "health"], 0.123, "state.health"),
    (["outcomes", "features"], 5.5, "outcomes.features"),
    (["adversaries", 0, "text"], "softer", "adversaries[0].text"),
    (["adversaries", 0, "intensity"], 0.1, "adversaries[0].intensity"),
    (["adversaries", 0, "source"], "x", "adversaries[0].source"),
    (["adversaries", 0, "position"], "observation", "adversaries[0].position"),
    (["adversaries", 0, "delivered"], False, "adversaries[0].delivered"),
    (["adversaries", 0, "reactive"], True, "adversaries[0].reactive"),
    (["events"], [], "events"),
    (["phase"], "evaluation", "phase"),
    (["violations"], [{"constraint": "x"}], "violations"),
]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = {
        "steps": 6,
        "pressure": [{"schedule": {"every": 1}, "position": "tool_result"}],
        "side_work": {},
    }
    return recorded("competing", tmp_path_factory.mktemp("original"), seed=1, **settings)


@pytest.fixture
def copy(original: Run, tmp_path: Path) -> Run:
    shutil.copytree(original.path, tmp_path / "copy")
    return Run(tmp_path / "copy")


def change_step(run: Run, number: int, change: Callable[[dict[str, Any]], None]) -> None:
    rows = [json.loads(line) for line in run.step_lines()]
    change(rows[number])
    text = "".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n" for row in rows)
    (run.path / "step_log.jsonl").write_text(text)


def test_the_copy_is_sound(copy):
    change_step(copy, 2, lambda row: None)
    assert verify_run(copy) is None


@pytest.mark.parametrize(("path", "new", "field"), CHANGES, ids=[".".join(map(str, change[0])) for change in CHANGES])
def test_a_changed_value_is_found_with_its_step_and_field(copy, path, new, field):
    change_step(copy, 2, lambda row: set_in(row, path, new))
    found = verify_run(Run(copy.path))
    assert found is not None
    assert (found.file, found.step) == ("step_log.jsonl", 2)
    assert found.field.startswith(field)
    assert f"step 2, field {field}" in str(found)
    assert found.recorded != found.replayed


def test_a_changed_argument_is_found(copy):
    change_step(copy, 2, lambda row: row["action"]["calls"][0]["args"].update(pr="pr99"))
    found = verify_run(Run(copy.path))
    assert found is not None
    assert (found.step, found.field.split("[")[0]) == (2, "action.calls")


def test_a_changed_note_is_found_by_the_checksum(tmp_path):
    run = recorded(lambda turn: turn.note("true words"), tmp_path, steps=2)
    change_step(run, 1, lambda row: row["action"].update(notes=["false words"]))
    found = verify_run(Run(run.path))
    assert found is not None
    assert (found.file, found.field) == ("step_log.jsonl", "(sha256)")


def test_a_log_that_was_cut_off_is_named_and_not_what_came_of_it(copy):
    log = copy.path / "step_log.jsonl"
    log.write_bytes(log.read_bytes()[:-40])
    found = verify_run(Run(copy.path))
    assert found is not None
    assert (found.file, found.field, found.recorded) == ("step_log.jsonl", "(end)", "a torn last line")


def test_metrics_of_a_run_whose_end_is_gone_are_not_compared_with_those_of_an_unfinished_one(copy):
    (copy.path / "meta.json").unlink()
    found = verify_run(Run(copy.path))
    assert found is not None
    assert (found.file, found.field) == ("meta.json", "(file)")


def test_a_change_of_spelling_alone_is_found(copy):
    log = copy.path / "step_log.jsonl"
    rows = log.read_bytes().splitlines(keepends=True)
    rows[3] = rows[3].replace(b'"step":3', b'"step": 3')
    log.write_bytes(b"".join(rows))
    found = verify_run(Run(copy.path))
    assert found is not None
    assert (found.step, found.field) == (3, "(bytes)")


@pytest.mark.parametrize("damage", [b"{", b"null\n", b'{"step":2}\n', b"\xff\xfe\n", b"[]\n"])
def test_a_line_that_is_no_record_is_named(copy, damage):
    log = copy.path / "step_log.jsonl"
    rows = log.read_bytes().splitlines(keepends=True)
    rows[2] = damage if damage.endswith(b"\n") else damage + rows[2]
    log.write_bytes(b"".join(rows))
    found = verify_run(Run(copy.path))
    assert found is not None
    assert (found.step, found.field) == (2, "(line)")
    assert "line 3 is damaged" in found.recorded


@pytest.mark.parametrize("keep", [slice(0, 4), slice(1, 6)], ids=["end missing", "start missing"])
def test_missing_steps_are_found(copy, keep):
    log = copy.path / "step_log.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[keep]))
    assert verify_run(Run(copy.path)) is not None


def test_steps_too_many_are_found(copy):
    log = copy.path / "step_log.jsonl"
    rows = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*rows, rows[-1].replace(b'"step":5', b'"step":6')]))
    found = verify_run(Run(copy.path))
    assert found is not None
    assert (found.step, found.field, found.replayed) == (6, "(step)", "no such step")


@pytest.mark.parametrize("index", range(0, 4000, 211))
def test_any_flipped_byte_of_the_log_is_found(copy, index):
    log = copy.path / "step_log.jsonl"
    data = bytearray(log.read_bytes())
    data[index] ^= 1
    log.write_bytes(bytes(data))
    assert verify_run(Run(copy.path)) is not None


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("metrics.json", '"mean":', '"mean":0.5,"was":'),
        ("metrics.json", '"outcome":"truncated"', '"outcome":"completed"'),
        ("config.json", '"seed":1', '"seed":2'),
        ("config.json", "release manager", "release-manager"),
        ("config.json", '"steps":6', '"steps":7'),
        ("config.json", '"name":"competing"', '"name":"reference"'),
    ],
)
def test_a_change_of_the_other_files_is_found(copy, file, old, new):
    text = (copy.path / file).read_text()
    assert old in text
    (copy.path / file).write_text(text.replace(old, new, 1))
    assert verify_run(Run(copy.path)) is not None


def test_a_run_without_steps_cannot_be_verified(copy):
    (copy.path / "step_log.jsonl").write_bytes(b"")
    with pytest.raises(RunRecordError, match="nothing to verify"):
        reproduce(Run(copy.path), Experiment.of_run(copy).entry.load()())


def test_damaged_limits_are_named(copy):
    text = (copy.path / "config.json").read_text().replace('"calls_per_turn":64', '"calls_per_turn":0')
    (copy.path / "config.json").write_text(text)
    with pytest.raises(RunRecordError, match="limits are damaged"):
        reproduce(Run(copy.path), Experiment.of_run(Run(copy.path)).entry.load()())


def test_an_unfinished_run_verifies_as_far_as_it_goes(copy):
    (copy.path / "meta.json").unlink()
    (copy.path / "metrics.json").unlink()
    log = copy.path / "step_log.jsonl"
    log.write_bytes(log.read_bytes()[:-20])
    assert verify_run(Run(copy.path)) is None


def test_a_run_of_a_scenario_file_replays(tmp_path):
    run = run_episode(Experiment.of(TOY_FILE, Condition(steps=5)), agent("random"), seed=0, runs_dir=tmp_path)
    assert verify_run(run) is None


def test_a_redacted_run_replays_with_the_same_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "planted-secret-value")

    def who(turn):
        turn.call("run_tests", pr="planted-secret-value")
        turn.note("planted-secret-value")

    run = recorded(who, tmp_path, steps=3)
    assert verify_run(run) is None
    monkeypatch.delenv("MY_API_KEY")
    assert verify_run(run) is None
