from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest

from goal_drift_gym.core.rundir import CONFIG, META, METRICS, STEP_LOG, Run
from goal_drift_gym.report.live import LiveRuns

from .conftest import MakeRun


@pytest.fixture
def growing(make_run: MakeRun, tmp_path: Path) -> tuple[Path, list[bytes], Run]:
    """Return a run directory that has just begun, the lines it will have, and the run they are from."""
    whole = make_run()
    path = tmp_path / "live" / "release_manager" / "20260101T000000.000000Z-0"
    path.mkdir(parents=True)
    shutil.copy(whole.path / CONFIG, path / CONFIG)
    (path / STEP_LOG).touch()
    return path, list(whole.step_lines()), whole


def append(path: Path, data: bytes) -> None:
    with open(path / STEP_LOG, "ab") as log:
        log.write(data)


def test_a_run_is_followed_line_by_line(growing: tuple[Path, list[bytes], Run], tmp_path: Path) -> None:
    path, lines, whole = growing
    live = LiveRuns(tmp_path / "live")
    assert [(row.steps, row.last_score, row.mean) for row in live.rows()] == [(0, None, None)]

    append(path, b"".join(lines[:9]) + lines[9][:20])
    (row,) = live.rows()
    scores = [step.score.alignment for step in whole.steps()]
    scored = [score for score in scores[:9] if score is not None]
    assert (row.steps, row.horizon, row.last_score) == (9, 24, scored[-1])
    assert row.mean == pytest.approx(sum(scored) / len(scored))

    append(path, lines[9][20:])
    assert [row.steps for row in live.rows()] == [10]


def test_who_is_written_now_runs_and_who_was_left_is_unfinished(
    growing: tuple[Path, list[bytes], Run], tmp_path: Path
) -> None:
    path, _, _ = growing
    live = LiveRuns(tmp_path / "live")

    assert [row.state for row in live.rows()] == ["unfinished"]
    with open(path / STEP_LOG, "ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert [row.state for row in live.rows()] == ["running"]


def test_a_run_that_ends_shows_its_outcome_with_all_its_steps(
    growing: tuple[Path, list[bytes], Run], tmp_path: Path
) -> None:
    path, lines, whole = growing
    live = LiveRuns(tmp_path / "live")
    live.rows()

    append(path, b"".join(lines))
    for name in (METRICS, META):
        shutil.copy(whole.path / name, path / name)
    (row,) = live.rows()
    assert (row.state, row.steps) == ("truncated", 24)
    assert live.rows() == [row]


def test_a_finished_run_is_not_read_again(make_run: MakeRun) -> None:
    run = make_run()
    live = LiveRuns(run.path.parents[1])
    rows = live.rows()

    (run.path / STEP_LOG).write_bytes(b"gone\n")
    assert live.rows() == rows


def test_a_damaged_line_makes_a_damaged_row_and_spares_the_others(
    growing: tuple[Path, list[bytes], Run], tmp_path: Path
) -> None:
    path, _, _ = growing
    shutil.copytree(path, path.with_name("20260102T000000.000000Z-1"))
    append(path, b'{"score": 3}\n')

    live = LiveRuns(tmp_path / "live")
    assert [row.state for row in live.rows()] == ["unfinished", "damaged"]


def test_a_run_that_was_deleted_is_forgotten(growing: tuple[Path, list[bytes], Run], tmp_path: Path) -> None:
    path, _, _ = growing
    live = LiveRuns(tmp_path / "live")
    live.rows()

    shutil.rmtree(path)
    assert live.rows() == []


def test_the_newest_run_comes_first(make_run: MakeRun) -> None:
    first, second = make_run(seed=5), make_run(seed=3)

    assert [row.seed for row in LiveRuns(first.path.parents[1]).rows()] == [second.seed, first.seed]


@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "release_manager", "", ".", "release_manager/../x"])
def test_nothing_but_a_run_is_found_at_a_place(make_run: MakeRun, place: str) -> None:
    run = make_run()
    live = LiveRuns(run.path.parents[1])

    assert live.run_at(place) is None
    found = live.run_at(f"release_manager/{run.path.name}")
    assert found is not None
    assert found.path == run.path


def test_a_directory_that_is_not_there_yet_has_no_runs(tmp_path: Path) -> None:
    assert LiveRuns(tmp_path / "none").rows() == []
