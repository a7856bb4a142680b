"""From names to a finished run: running, resuming, forking and starting from a prefix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from goal_drift_gym.agents.reference import REFERENCE_AGENTS
from goal_drift_gym.core.condition import Condition
from goal_drift_gym.core.engine import Limits
from goal_drift_gym.core.errors import (
    AgentError,
    AgentUnavailable,
    ConditionError,
    RunRecordError,
    ScenarioNotFound,
    UsageError,
)
from goal_drift_gym.core.rundir import Run, RunWriter, find_runs
from goal_drift_gym.runner import (
    Experiment,
    fork_run,
    recompute_metrics,
    resume_run,
    run_episode,
    verify_run,
)

STEPS = 14


def experiment(condition: str = "adversarial_jit", **settings: Any) -> Experiment:
    return Experiment.of("release_manager", condition, {"steps": STEPS, **settings})


def agent(name: str) -> Any:
    return REFERENCE_AGENTS[name]()


def run(who: Any, tmp_path: Path, seed: int = 0, **settings: Any) -> Run:
    return run_episode(
        experiment(**settings), agent(who) if isinstance(who, str) else who, seed=seed, runs_dir=tmp_path
    )


def files(made: Run) -> list[bytes]:
    return [(made.path / name).read_bytes() for name in ("config.json", "step_log.jsonl", "metrics.json")]


def cut(made: Run, steps: int, torn: bytes = b"") -> Run:
    """Make a run look as if its writer had been killed after some steps."""
    log = made.path / "step_log.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:steps]) + torn)
    for name in ("metrics.json", "meta.json"):
        (made.path / name).unlink(missing_ok=True)
    return Run(made.path)


class Plain:
    """An agent of somebody's own that decides from what it sees alone, and does not say that it is deterministic."""

    def __call__(self, turn: Any) -> Any:
        rows = turn.observation.panels["queue"]["prs"]
        turn.note(f"I see {len(rows)} and remember {len(turn.history)}")
        return [("run_tests", {"pr": row["id"]}) for row in rows]


# names


def test_names_are_resolved_with_settings():
    made = Experiment.of("release_manager", "baseline", {"steps": 3, "goal.wording": "weak"})
    assert (made.condition.name, made.condition.steps, made.condition.goal.wording) == ("baseline", 3, "weak")
    assert Experiment.of("release_manager", Condition(steps=2)).condition.steps == 2


def test_wrong_names_are_refused():
    with pytest.raises(ScenarioNotFound, match="did you mean 'release_manager'"):
        Experiment.of("release_manger")
    with pytest.raises(ConditionError, match="did you mean 'baseline'"):
        Experiment.of("release_manager", "baselin")
    with pytest.raises(ConditionError, match="did you mean 'steps'"):
        Experiment.of("release_manager", "baseline", {"step": 3})


def test_a_run_is_of_the_experiment_it_was_made_with(tmp_path):
    made = run("noop", tmp_path)
    again = Experiment.of_run(made)
    assert (again.entry.id, again.condition) == ("release_manager", experiment().condition)


def test_a_run_of_another_scenario_version_is_refused(tmp_path):
    made = run("noop", tmp_path)
    text = (made.path / "config.json").read_text()
    (made.path / "config.json").write_text(text.replace('"version":"1.0"', '"version":"0.1"'))
    with pytest.raises(
        RunRecordError, match=r"recorded with version 0.1 of scenario 'release_manager', installed is 1.0"
    ):
        Experiment.of_run(Run(made.path))


# running


@pytest.mark.parametrize("who", [Plain, 5, "text", None])
def test_what_is_no_agent_is_refused_before_anything_is_written(who, tmp_path):
    with pytest.raises(UsageError, match="the agent"):
        run_episode(experiment(), who, seed=0, runs_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("part", ["reset", "describe"])
def test_an_agent_that_cannot_start_leaves_no_run(part, tmp_path):
    class Bad(Plain):
        pass

    def fail(self: Any, **kwargs: Any) -> None:
        raise RuntimeError("no start")

    setattr(Bad, part, fail)
    with pytest.raises(AgentError, match="no start"):
        run_episode(experiment(), Bad(), seed=0, runs_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_an_agent_is_reset_with_the_seed(tmp_path):
    class Wants(Plain):
        def reset(self, *, seed: int) -> None:
            seeds.append(seed)

    seeds: list[int] = []
    run(Wants(), tmp_path, seed=-7)
    assert seeds == [-7]


def test_an_interruption_is_recorded_and_passes_through(tmp_path):
    def who(turn: Any) -> None:
        if turn.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_episode(experiment(), who, seed=0, runs_dir=tmp_path)
    made = Run(next((tmp_path / "release_manager").iterdir()))
    assert (made.outcome, len(list(made.steps()))) == ("interrupted", 3)
    assert made.metrics["status"] == "not_scored"
    assert verify_run(made) is None


@pytest.mark.parametrize(
    ("who", "outcome", "status"), [("reference", "truncated", "scored"), ("crasher", "agent_error", "not_scored")]
)
def test_the_outcome_decides_whether_a_run_is_scored(who, outcome, status, tmp_path):
    made = run(who, tmp_path)
    assert (made.outcome, made.metrics["status"]) == (outcome, status)
    assert made.meta is not None
    assert ("crashes" in made.meta["detail"]) == (who == "crasher")


def test_a_run_in_a_directory_that_is_gone_is_still_finished(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run("noop", tmp_path / "runs").outcome == "truncated"


def test_recomputed_metrics_are_the_written_ones(tmp_path):
    made = run("sudden_flipper", tmp_path)
    assert recompute_metrics(made).mean == made.metrics["mean"]


# resuming


@pytest.mark.parametrize("who", ["random", "pressure_prone", "slow_drifter"])
@pytest.mark.parametrize("kind", [{}, {"anonymisation.vocabulary": True}], ids=["plain", "anonymised"])
def test_resuming_after_a_cut_at_any_step_gives_the_same_bytes(who, kind, tmp_path):
    made = run(who, tmp_path, seed=3, **kind)
    whole = files(made)
    for step in range(STEPS):
        resumed = resume_run(cut(made, step, torn=b'{"step":' if step % 2 else b""), agent(who))
        assert files(resumed) == whole, step
        assert resumed.meta is not None
        assert resumed.meta["resumed_at"] == (step or None)


def test_an_agent_that_does_not_claim_to_be_deterministic_is_not_asked_again(tmp_path):
    class Counted(Plain):
        def __call__(self, turn: Any) -> Any:
            asked.append(turn.step)
            return super().__call__(turn)

    asked: list[int] = []
    made = run(Counted(), tmp_path)
    whole = files(made)
    asked.clear()
    resumed = resume_run(cut(made, 5), Counted())
    assert asked == list(range(5, STEPS))
    assert files(resumed) == whole


def test_a_late_result_survives_resuming(tmp_path):
    made = run_episode(
        Experiment.of("release_manager", "friction_heavy", {"steps": 9}), agent("reference"), seed=2, runs_dir=tmp_path
    )
    assert any(record.observation.results for record in made.steps())
    whole = files(made)
    for step in range(9):
        assert files(resume_run(cut(made, step), agent("reference"))) == whole


def test_a_finished_run_is_not_resumed(tmp_path):
    with pytest.raises(RunRecordError, match=r"is finished \(truncated\)"):
        resume_run(run("noop", tmp_path), agent("noop"))


def test_another_agent_cannot_take_over(tmp_path):
    with pytest.raises(UsageError, match="fork it to change agents"):
        resume_run(cut(run("noop", tmp_path), 3), agent("reference"))


def test_a_run_that_does_not_replay_is_not_resumed(tmp_path):
    made = cut(run("competing", tmp_path), 5)
    log = made.path / "step_log.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"outcome":"acted"', b'"outcome":"silent"', 1))
    before = log.read_bytes()
    for _ in range(2):
        with pytest.raises(RunRecordError, match=r"does not replay, so it cannot be resumed.*field outcome"):
            resume_run(Run(made.path), agent("competing"))
    assert log.read_bytes() == before


def test_an_agent_that_falsely_says_it_is_deterministic_is_found_out(tmp_path):
    class Fickle(Plain):
        deterministic = True
        lives = 0

        def reset(self, *, seed: int) -> None:
            type(self).lives += 1

        def __call__(self, turn: Any) -> Any:
            turn.note(f"life {self.lives}")

    made = cut(run(Fickle(), tmp_path), 4)
    with pytest.raises(RunRecordError, match="acts differently at step 0; it says it is deterministic and is not"):
        resume_run(made, Fickle())


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_step_whose_transport_failed_is_asked_again(deterministic, tmp_path):
    class Online(Plain):
        up = False

        def __call__(self, turn: Any) -> Any:
            if turn.step == 4 and not self.up:
                raise AgentUnavailable("503")
            return super().__call__(turn)

    Online.deterministic = deterministic  # type: ignore[attr-defined]
    made = run(Online(), tmp_path)
    assert (made.outcome, len(list(made.steps()))) == ("infra_error", 5)
    Online.up = True
    resumed = resume_run(Run(made.path), Online())
    assert (resumed.outcome, len(list(resumed.steps()))) == ("truncated", STEPS)
    assert files(resumed)[1:] == files(run(Online(), tmp_path))[1:]
    assert verify_run(resumed) is None


# prefixes and forks


def calls(made: Run) -> list[Any]:
    return [record.action.calls for record in made.steps()]


def marked(made: Run) -> list[int]:
    return [record.step for record in made.steps() for event in record.events if event.kind == "prefix"]


def test_a_fork_begins_with_the_recorded_steps_and_goes_on_with_another_agent(tmp_path):
    bad, good = run("competing", tmp_path, seed=4), run("reference", tmp_path, seed=4)
    fork = fork_run(bad, agent("reference"), steps=6, runs_dir=tmp_path)
    assert marked(fork) == [0, 1, 2, 3, 4, 5]
    assert calls(fork)[:6] == calls(bad)[:6]
    assert calls(fork)[6:] != calls(bad)[6:]
    assert [record.world for record in fork.steps()] == [record.world for record in good.steps()]
    assert fork.config.config_hash != bad.config.config_hash
    assert verify_run(fork) is None


def test_the_prefix_is_not_counted_to_the_agent(tmp_path):
    fork = fork_run(run("competing", tmp_path), agent("noop"), steps=6, runs_dir=tmp_path)
    assert (fork.metrics["steps"], fork.metrics["tool_usage"]) == (STEPS - 6, {})


def test_a_fork_of_a_fork_keeps_both_prefixes(tmp_path):
    first = run("competing", tmp_path)
    second = fork_run(first, agent("reference"), steps=4, runs_dir=tmp_path)
    third = fork_run(second, agent("random"), steps=8, runs_dir=tmp_path)
    assert marked(third) == list(range(8))
    assert calls(third)[:8] == calls(second)[:8]
    assert verify_run(third) is None


def test_an_agent_remembers_the_prefix(tmp_path):
    remembered: list[int] = []

    def who(turn: Any) -> None:
        remembered.append(len(turn.history))

    fork_run(run("competing", tmp_path), who, steps=5, runs_dir=tmp_path)
    assert remembered == list(range(5, STEPS))


@pytest.mark.parametrize("who", ["random", Plain()])
def test_a_fork_resumes_to_the_same_bytes_even_when_cut_inside_its_prefix(who, tmp_path):
    made = agent(who) if isinstance(who, str) else who
    fork = fork_run(run("competing", tmp_path), made, steps=6, runs_dir=tmp_path)
    whole = files(fork)
    for step in (0, 3, 6, 9):
        assert files(resume_run(cut(fork, step), agent(who) if isinstance(who, str) else who)) == whole


@pytest.mark.parametrize("steps", [STEPS, STEPS + 1])
def test_a_fork_must_leave_a_step_to_the_agent(steps, tmp_path):
    with pytest.raises(ConditionError, match="leaves no step"):
        fork_run(run("noop", tmp_path), agent("noop"), steps=steps, runs_dir=tmp_path)


def prefixed(source: Run | Path, steps: int = 3) -> dict[str, Any]:
    path = source.path if isinstance(source, Run) else source
    return {"prefix.run": str(path), "prefix.steps": steps}


def test_a_prefix_may_come_from_another_condition(tmp_path):
    source = run_episode(experiment("baseline"), agent("competing"), seed=0, runs_dir=tmp_path)
    made = run("reference", tmp_path, **prefixed(source))
    assert calls(made)[:3] == calls(source)[:3]
    assert verify_run(made) is None


def test_a_prefix_of_another_seed_scenario_or_length_is_refused(tmp_path):
    source = run("noop", tmp_path)
    with pytest.raises(UsageError, match="has seed 0, this run has 1"):
        run("noop", tmp_path, seed=1, **prefixed(source))
    other = run_episode(
        Experiment.of("bandit_constraint", "baseline", {"steps": 5}), agent("noop"), seed=0, runs_dir=tmp_path
    )
    with pytest.raises(UsageError, match="recorded with bandit_constraint"):
        run("noop", tmp_path, **prefixed(other))
    with pytest.raises(UsageError, match="has only 14 steps"):
        run("noop", tmp_path, **{**prefixed(source, 20), "steps": 30})
    with pytest.raises(RunRecordError, match="no run directory"):
        run("noop", tmp_path, **prefixed(tmp_path / "nowhere"))


def test_a_prefix_that_holds_a_failed_step_is_refused(tmp_path):
    source = run("crasher", tmp_path)
    with pytest.raises(UsageError, match="failed at step 7; use fewer"):
        fork_run(source, agent("noop"), steps=8, runs_dir=tmp_path)
    assert fork_run(source, agent("noop"), steps=7, runs_dir=tmp_path).outcome == "truncated"


def test_limits_of_the_caller_are_recorded(tmp_path):
    made = run_episode(experiment(), agent("noop"), seed=0, runs_dir=tmp_path, limits=Limits(calls_per_turn=2))
    assert made.config.limits == {"calls_per_turn": 2}
    assert made.meta is not None
    assert made.meta["step_timeout_s"] is None


def full(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Let the disk fill up after some steps, for the step log and for what is written at the end."""
    written = []

    def fail(self: RunWriter, *args: Any) -> None:
        raise RunRecordError("disk full at the end")

    def write_step(self: RunWriter, record: Any) -> None:
        if len(written) >= after:
            raise RunRecordError(f"disk full after {after}")
        written.append(record)
        real(self, record)

    real = RunWriter.write_step
    monkeypatch.setattr(RunWriter, "write_step", write_step)
    monkeypatch.setattr(RunWriter, "finish", fail)


def test_a_disk_that_is_full_reports_its_first_error(tmp_path, monkeypatch):
    full(monkeypatch, 3)
    with pytest.raises(RunRecordError, match="disk full after 3"):
        run("noop", tmp_path)


def test_an_end_that_cannot_be_written_is_an_error_and_leaves_the_run_resumable(tmp_path, monkeypatch):
    full(monkeypatch, STEPS)
    with pytest.raises(RunRecordError, match="disk full at the end"):
        run("noop", tmp_path)
    monkeypatch.undo()
    (left,) = find_runs(tmp_path)
    assert left.outcome is None
    assert resume_run(left, agent("noop")).outcome == "truncated"


def test_tools_of_a_damaged_config_are_named(tmp_path):
    made = run("noop", tmp_path)
    text = (made.path / "config.json").read_text().replace('"risky":false', '"risky":0')
    (made.path / "config.json").write_text(text)
    with pytest.raises(RunRecordError, match="tools"):
        recompute_metrics(Run(made.path))


def test_an_imported_run_has_no_scenario_to_drive(tmp_path):
    made = run("noop", tmp_path)
    text = (made.path / "config.json").read_text().replace('"reference":"release_manager"', '"reference":"import"')
    (made.path / "config.json").write_text(text)
    with pytest.raises(RunRecordError, match="was imported"):
        Experiment.of_run(Run(made.path))
