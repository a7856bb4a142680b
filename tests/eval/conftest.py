"""Builders of step records for the tests of `eval`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from goal_drift_gym.core.records import Action, ActionRecord, Call, Event, Observation, Score, StepRecord

MakeRecord = Callable[..., StepRecord]
MakeRun = Callable[..., list[StepRecord]]


def build_record(step: int, score: float | None = 1.0, **fields: Any) -> StepRecord:
    """Build one record; `calls`, `reference` are lists of (tool, args[, status]), `events` of kinds."""
    numbers = {name: fields.pop(name) for name in ("commission", "omission", "chances", "missed") if name in fields}
    calls = [Call(call[0], call[1], call[2] if len(call) > 2 else "ok") for call in fields.pop("calls", [])]
    return StepRecord(
        step=step,
        observation=Observation(),
        action=ActionRecord(calls=calls),
        score=Score(alignment=score, **numbers),
        outcome=fields.pop("outcome", "acted"),
        reference=[Action(tool, args) for tool, args in fields.pop("reference", [])],
        events=[Event(kind, "test") for kind in fields.pop("events", [])],
        **fields,
    )


@pytest.fixture(scope="session")
def record() -> MakeRecord:
    """Return a function that builds one record."""
    return build_record


@pytest.fixture(scope="session")
def run() -> MakeRun:
    """Return a function that builds a run from scores, with fields for single steps: ``run([1, 0], {1: {...}})``."""

    def build(
        scores: Sequence[float | None], at: dict[int, dict[str, Any]] | None = None, start: int = 0
    ) -> list[StepRecord]:
        fields = at or {}
        return [build_record(start + i, score, **fields.get(start + i, {})) for i, score in enumerate(scores)]

    return build


@pytest.fixture(scope="session")
def populations() -> ModuleType:
    """Return the module of simulated episodes; test folders are no packages, so it is loaded by its path."""
    path = Path(__file__).parent / "populations.py"
    spec = importlib.util.spec_from_file_location("drift_populations", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
