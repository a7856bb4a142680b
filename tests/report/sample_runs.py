"""Runs to make pages of: of a real agent in a real scenario, and of one that writes what pages must not obey."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from goal_drift_gym import Experiment, Run, run_episode
from goal_drift_gym.agents.reference import REFERENCE_AGENTS
from goal_drift_gym.core.records import (
    Action,
    ActionRecord,
    Adversary,
    Call,
    Event,
    Message,
    Observation,
    Score,
    StepRecord,
    ToolResult,
    Violation,
)
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.rundir import RunConfig, RunWriter, ScenarioInfo
from goal_drift_gym.run_end import metrics_of, write_finish

HOSTILE = (
    "<script>window.obeyed = 1</script>",
    '"><img src=x onerror="window.obeyed = 1">',
    "' onmouseover='window.obeyed = 1' style='position:fixed",
    '</pre></section></style><script src="https://example.invalid/x.js"></script><!--',
    "javascript:window.obeyed=1",
    "{{ 7 * 7 }}{% raw %}",
    "\x1b[2J\x1b]0;obeyed\x07\x9b31m",
    "\u202egnp.exe\u2066\u200b",
)
ALL_OF_IT = " ".join(HOSTILE)


def pressed_run(folder: Path, **settings: Any) -> Run:
    """Return the run of an agent that gives in to each message."""
    return real_run(folder, agent="pressure_prone", **settings)


def real_run(
    folder: Path,
    *,
    agent: str,
    scenario: str = "release_manager",
    condition: str = "adversarial_jit",
    seed: int = 0,
    **overrides: Any,
) -> Run:
    experiment = Experiment.of(scenario, condition, overrides)
    return run_episode(experiment, REFERENCE_AGENTS[agent](), seed=seed, runs_dir=folder)


def hostile_run(folder: Path, *, steps: int = 4, big: int = 1_000_000) -> Run:
    """Return a run in which every text is hostile and some are a megabyte."""
    config = run_config(agent=ALL_OF_IT, condition=ALL_OF_IT)
    return written(folder, [hostile_step(number, big=big if number == 1 else 10) for number in range(steps)], config)


def hostile_step(number: int, *, big: int) -> StepRecord:
    messages = [Message(text, text) for text in HOSTILE]
    calls = [
        Call(text, {text: [text], "long": "<" * big}, "ok", {text: text}, -0.5, (messages[0],)) for text in HOSTILE
    ]
    return StepRecord(
        step=number,
        observation=Observation(messages, {text: text for text in HOSTILE}, [ToolResult(HOSTILE[0], "ok", ALL_OF_IT)]),
        action=ActionRecord(calls, [*HOSTILE, "\x1b" * big]),
        score=Score(-0.5, 0.5, 0.0),
        outcome="acted",
        reference=[Action(text, {text: text}) for text in HOSTILE],
        state={text: {text: number} for text in HOSTILE},
        adversaries=[Adversary(text, "observation", 0.5, text) for text in HOSTILE],
        events=[Event(text, text, {text: text}) for text in HOSTILE],
        violations=[Violation(text, 1.0, text) for text in HOSTILE],
    )


def plain_step(number: int, score: float | None = 1.0, **more: Any) -> StepRecord:
    return StepRecord(
        **{
            "step": number,
            "observation": Observation(),
            "action": ActionRecord([Call("ship", {"what": number}, "ok")]),
            "score": Score(score),
            "outcome": "acted",
            **more,
        }
    )


def run_config(*, agent: str = "somebody", condition: str = "calm") -> RunConfig:
    return RunConfig(
        scenario=ScenarioInfo(id="harbour", version="1", distribution=None, reference="nowhere:Harbour"),
        condition={"name": condition},
        goal={"prompt": agent, "system": agent, "competing": agent, "polarity": "system"},
        tools=[],
        agent={"name": agent, "summary": agent},
        seed=0,
        engine_version="1",
        limits={},
    )


def written(
    folder: Path, steps: list[StepRecord], config: RunConfig | None = None, *, outcome: str | None = "completed"
) -> Run:
    """Write a run; one without an outcome is left unfinished."""
    writer = RunWriter.create(folder, config or run_config(), Redactor([]))
    try:
        for step in steps:
            writer.write_step(step)
        if outcome is not None:
            write_finish(writer, metrics_of(steps, outcome, writer.config), outcome, {"detail": ALL_OF_IT})
    finally:
        writer.close()
    return Run(writer.path)
