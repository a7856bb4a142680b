"""Every fault of an endpoint in the table of docs/real-agents.md, for both adapters with the real libraries."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from endpoint_support import STEPS, TURN_TIMEOUT_S, causes, play, steps_of
from faulty_server import FAULTS, KEY, FaultyServer

from goal_drift_gym import Run, verify_run

DOCUMENT = Path(__file__).parents[2] / "docs" / "real-agents.md"


class Row(NamedTuple):
    """One line of the table."""

    fault: str
    step: str
    run: str
    cause: str
    requests: int
    scored: bool


def rows() -> list[Row]:
    table = DOCUMENT.read_text(encoding="utf-8").partition("### Faults")[2]
    found = re.findall(r"^\| `(\w+)` \|[^|]*\| (\w+) \| (\w+) \| (\w*) ?\| (\d) \| (yes|no) \|$", table, re.MULTILINE)
    return [
        Row(fault, step, run, cause, int(requests), scored == "yes")
        for fault, step, run, cause, requests, scored in found
    ]


ROWS = rows()


def test_the_table_names_every_fault_once_and_no_other() -> None:
    assert len(ROWS) >= 25
    assert sorted(row.fault for row in ROWS) == sorted(FAULTS.keys() - {"healthy"})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
def test_a_fault_has_the_outcome_of_the_table_and_harms_no_other_episode(
    row: Row, server: FaultyServer, connect: Any, tmp_path: Path
) -> None:
    healthy: list[Run] = []
    good = connect(server, "healthy")
    bad = connect(server, row.fault, timeout_s=0.5 if row.cause == "timeout" else 5.0)
    beside = threading.Thread(target=lambda: healthy.append(play(good, tmp_path / "healthy", steps=4)))
    beside.start()
    begun = time.monotonic()

    run = play(bad, tmp_path / "faulty")

    took_s = time.monotonic() - begun
    beside.join(60.0)
    records = steps_of(run)
    assert (records[0].outcome, run.outcome) == (row.step, row.run)
    assert causes(records[0]) == ([row.cause] if row.cause else [])
    later = 2 if row.fault == "passing_rate_limit" else row.requests
    assert server.count(row.fault) == row.requests + later * (len(records) - 1)
    assert took_s < STEPS * TURN_TIMEOUT_S + 4.0
    assert (run.metrics["status"] == "scored") is row.scored
    assert (run.metrics["mean"] is not None) is row.scored
    assert [record.outcome for record in steps_of(healthy[0])] == ["acted"] * 4
    assert KEY not in "".join(path.read_text(encoding="utf-8") for path in run.path.iterdir())
    assert verify_run(run) is None
