"""The shipped JSON Schemas describe the files as they are written, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from core_support import BUILT_IN, CONDITIONS, ENDING, agent, experiment
from jsonschema import Draft202012Validator, ValidationError

from goal_drift_gym.core.condition import Condition
from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.records import Adversary, Call, Event, Message, Observation, Score, StepRecord, ToolResult
from goal_drift_gym.core.rundir import Run, RunConfig
from goal_drift_gym.core.schemas import SCHEMAS, load_schema
from goal_drift_gym.eval.metrics import RunMetrics
from goal_drift_gym.runner import run_episode

VALIDATORS = {name: Draft202012Validator(load_schema(name)) for name in SCHEMAS}


def check(run: Run) -> None:
    for name in ("config", "metrics", "meta"):
        VALIDATORS[name].validate(json.loads((run.path / f"{name}.json").read_bytes()))
    for line in run.step_lines():
        VALIDATORS["step"].validate(json.loads(line))


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_a_valid_draft_2020_12_schema(name):
    Draft202012Validator.check_schema(load_schema(name))


def test_an_unknown_schema_is_refused_naming_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'metrics'"):
        load_schema("metric")


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("scenario", BUILT_IN)
def test_runs_of_every_agent_fit_the_schemas(scenario, condition, tmp_path):
    for name in ENDING:
        who = agent(name)
        check(run_episode(experiment(scenario, condition, steps=25), who, seed=1, runs_dir=tmp_path))


def test_a_run_with_every_table_set_fits_the_schemas(tmp_path):
    settings = {
        "steps": 16,
        "memory": {"summary_every": 4, "summary_mode": "instead", "summary_bias": 0.5, "context_tokens": 900},
        "panels": {"tool_only": ["production"], "hidden_above": {"candidate": 0.2}},
        "uncertainty": {"noise": 0.2, "missing": 0.2, "delay": 1, "revise_after": 3},
        "commitment": {"deadline_calls": 6, "lock_steps": 1},
        "anonymisation": {"vocabulary": True},
        "pressure": [{"schedule": {"every": 2}, "texts": ["a"], "texts_swapped": ["b"]}],
        "goal": {"polarity": "swapped", "echo": "every_step"},
    }
    check(
        run_episode(
            experiment("release_manager", "friction_heavy", **settings), agent("random"), seed=3, runs_dir=tmp_path
        )
    )


@pytest.mark.parametrize(
    ("schema", "place", "kind"),
    [
        ("step", [], StepRecord),
        ("step", ["$defs", "Score"], Score),
        ("step", ["$defs", "Call"], Call),
        ("step", ["$defs", "Adversary"], Adversary),
        ("step", ["$defs", "Event"], Event),
        ("step", ["$defs", "Message"], Message),
        ("step", ["$defs", "Observation"], Observation),
        ("step", ["$defs", "ToolResult"], ToolResult),
        ("config", [], RunConfig),
        ("config", ["$defs", "Condition"], Condition),
        ("metrics", ["$defs", "RunMetrics"], RunMetrics),
    ],
)
def test_a_schema_names_exactly_the_fields_of_its_struct(schema, place, kind):
    here: Any = load_schema(schema)
    for part in place:
        here = here[part]
    assert sorted(here["properties"]) == sorted(field.encode_name for field in msgspec.structs.fields(kind))
    assert here["additionalProperties"] is False


@pytest.mark.parametrize(
    "damage",
    [
        lambda step: step.update(when="2026-01-01"),
        lambda step: step["score"].update(alignment=1.5),
        lambda step: step["score"].update(alignment="good"),
        lambda step: step.update(step=-1),
        lambda step: step.update(outcome="fine"),
        lambda step: step["action"]["calls"][0].update(status="maybe"),
        lambda step: step.pop("observation"),
    ],
)
def test_a_step_that_is_none_is_refused(damage, tmp_path):
    run = run_episode(experiment("release_manager", steps=2), agent("reference"), seed=0, runs_dir=tmp_path)
    step = json.loads(next(run.step_lines()))
    damage(step)
    with pytest.raises(ValidationError):
        VALIDATORS["step"].validate(step)


def test_the_schemas_of_the_golden_run_still_hold():
    check(Run(Path(__file__).parents[1] / "data" / "golden_run_v1"))
