from __future__ import annotations

from pathlib import Path

import msgspec

from goal_drift_gym import Experiment, agent_factory, run_episode
from goal_drift_gym.comparing import compare
from goal_drift_gym.core.rundir import find_runs
from goal_drift_gym.eval.interval import t_interval
from goal_drift_gym.grouping import group_runs
from goal_drift_gym.report.compare_page import Side, compare_page
from goal_drift_gym.report.page import number
from goal_drift_gym.samples import samples_of

HOSTILE = "<script>alert(1)</script>\x1b[31m\"'"


def side(folder: Path, agent: str, seeds: int = 4, *, name: str = "side", baseline: bool = False) -> Side:
    experiment = Experiment.of("release_manager", "baseline", {"steps": 20})
    for seed in range(seeds):
        run_episode(experiment, agent_factory(agent)(), seed=seed, runs_dir=folder)
    runs = list(find_runs(folder))
    return Side(name=name, samples=samples_of(runs), runs={} if baseline else group_runs(runs))


def compared(before: Side, after: Side) -> str:
    return compare_page(compare(before.samples, after.samples), before, after)


def test_both_sides_and_the_verdict_on_their_difference_are_shown(tmp_path: Path) -> None:
    before, after = side(tmp_path / "a", "reference"), side(tmp_path / "b", "late_collapser")
    (found,) = compare(before.samples, after.samples)

    shown = compared(before, after)

    finals = t_interval([run.metrics["final_level"] for run in find_runs(tmp_path / "b")])
    assert f"[{number(finals.lower)}, {number(finals.upper)}]" in shown
    assert '<span class="word fail">fail</span>' in shown
    assert all(reason.replace(">", "&gt;").replace("'", "&#39;") in shown for reason in found.verdict.reasons)
    assert shown.count('class="line before"') == shown.count('class="line after"') > 1


def test_what_the_agents_say_of_themselves_differently_is_named(tmp_path: Path) -> None:
    shown = compared(side(tmp_path / "a", "reference"), side(tmp_path / "b", "late_collapser"))

    assert '<th scope="row">name</th><td>reference</td><td>late_collapser</td>' in shown


def test_the_same_agent_has_nothing_to_name(tmp_path: Path) -> None:
    assert "said differently" not in compared(side(tmp_path / "a", "reference"), side(tmp_path / "b", "reference"))


def test_a_baseline_has_no_curve_and_the_page_says_so(tmp_path: Path) -> None:
    before = side(tmp_path / "a", "reference", baseline=True)

    shown = compared(before, side(tmp_path / "b", "late_collapser"))

    assert "A is a baseline: it keeps results and no series" in shown
    assert 'class="line before"' not in shown
    assert 'class="line after"' in shown


def test_seeds_that_are_not_scored_are_counted_by_what_they_are(tmp_path: Path) -> None:
    before, after = side(tmp_path / "a", "reference"), side(tmp_path / "b", "crasher")

    shown = compared(before, after)

    assert "0 of 4<br>4 agent error" in shown
    assert '<span class="word invalid">invalid</span>' in shown


def test_hostile_names_are_text(tmp_path: Path) -> None:
    before, after = side(tmp_path / "a", "reference", name=HOSTILE), side(tmp_path / "b", "reference")
    (found,) = compare(before.samples, after.samples)
    key = msgspec.structs.replace(found.after, agent=HOSTILE)
    renamed = msgspec.structs.replace(after, samples=[msgspec.structs.replace(after.samples[0], key=key)])

    shown = compare_page([msgspec.structs.replace(found, after=key)], before, renamed)

    assert shown.count("<script") == 1
    assert "\x1b" not in shown


def test_the_page_is_the_same_for_a_copy_and_does_not_say_where_it_lies(tmp_path: Path) -> None:
    before, after = side(tmp_path / "a", "reference"), side(tmp_path / "b", "late_collapser")
    (tmp_path / "else").mkdir()
    (tmp_path / "a").rename(tmp_path / "else" / "a")
    runs = list(find_runs(tmp_path / "else" / "a"))
    moved = Side(name="side", samples=samples_of(runs), runs=group_runs(runs))
    again = compared(moved, after)
    (tmp_path / "else" / "a").rename(tmp_path / "a")

    assert again == compared(before, after)
    assert str(tmp_path) not in again
