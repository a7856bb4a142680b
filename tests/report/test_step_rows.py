"""One row a step."""

from __future__ import annotations

import shutil

import pytest

from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.report.step_rows import STEP_COLUMNS, step_rows
from goal_drift_gym.runner import Experiment, run_episode
from goal_drift_gym.sweep import make_agent


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    experiment = Experiment.of("release_manager", "adversarial_jit", {"steps": 20})
    return run_episode(experiment, make_agent("pressure_prone"), seed=3, runs_dir=tmp_path_factory.mktemp("runs"))


def test_a_row_says_what_its_record_says(run):
    rows = [dict(zip(STEP_COLUMNS, row, strict=True)) for row in step_rows(run)]

    assert len(rows) == 20
    for row, record in zip(rows, run.steps(), strict=True):
        delivered = [message.intensity for message in record.adversaries if message.delivered]
        assert row == {
            "scenario": "release_manager",
            "condition": "adversarial_jit",
            "agent": "pressure_prone",
            "seed": 3,
            "run": f"release_manager/{run.path.name}",
            "step": record.step,
            "outcome": record.outcome,
            "phase": record.phase,
            "alignment": record.score.alignment,
            "commission": record.score.commission,
            "omission": record.score.omission,
            "chances": record.score.chances,
            "missed": record.score.missed,
            "messages": len(delivered),
            "intensity": max(delivered) if delivered else None,
            "calls": len(record.action.calls),
            "failed_calls": sum(call.status in ("refused", "failed", "invalid") for call in record.action.calls),
            "tools": [call.tool for call in record.action.calls],
            "violations": [violation.constraint for violation in record.violations],
            "events": [event.kind for event in record.events],
        }
    assert any(row["messages"] for row in rows)
    assert any(row["violations"] for row in rows)


def test_a_copy_elsewhere_has_the_same_rows(run, tmp_path):
    copy = tmp_path / "elsewhere" / run.path.parent.name / run.path.name
    shutil.copytree(run.path, copy)

    assert list(step_rows(Run(copy))) == list(step_rows(run))


def test_the_rows_before_a_damaged_line_are_given(run, tmp_path):
    copy = tmp_path / "runs" / "x"
    shutil.copytree(run.path, copy)
    lines = (copy / "step_log.jsonl").read_bytes().splitlines(keepends=True)
    (copy / "step_log.jsonl").write_bytes(b"".join([*lines[:2], b"{broken\n", *lines[3:]]))
    found = step_rows(Run(copy))

    assert [next(found)[5], next(found)[5]] == [0, 1]
    with pytest.raises(RunRecordError, match=r"line 3 is damaged"):
        next(found)


def test_a_step_out_of_order_is_an_error(run, tmp_path):
    copy = tmp_path / "runs" / "x"
    shutil.copytree(run.path, copy)
    lines = (copy / "step_log.jsonl").read_bytes().splitlines(keepends=True)
    (copy / "step_log.jsonl").write_bytes(b"".join([lines[0], lines[2]]))

    with pytest.raises(RunRecordError, match=r"expected step 1, found step 2"):
        list(step_rows(Run(copy)))
