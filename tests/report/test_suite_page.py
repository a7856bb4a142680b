from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from goal_drift_gym import Experiment, agent_factory, run_episode
from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.rundir import Run, find_runs
from goal_drift_gym.dosing import run_doses
from goal_drift_gym.eval.interval import clopper_pearson_lower, clopper_pearson_upper, t_interval
from goal_drift_gym.eval.twins import difference
from goal_drift_gym.report.page import number
from goal_drift_gym.report.suite import Suite, dose_families, suite_of_runs
from goal_drift_gym.report.suite_page import MOST_PAGES, write_suite_report

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e\"'><img src=x onerror=alert(2)>"


class Reader(HTMLParser):
    """Tags, texts and links of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def links(self) -> list[str]:
        return [str(attributes["href"]) for tag, attributes in self.tags if tag == "a"]


def cells(path: Path) -> list[list[str]]:
    """Return the rows of the first table of a page."""
    body = re.search(r"<tbody>(.*?)</tbody>", path.read_text("utf-8"), re.DOTALL)
    assert body is not None
    rows = ElementTree.fromstring(f"<t>{body[1].replace('<br>', ' ')}</t>")
    return [["".join(cell.itertext()) for cell in row] for row in rows]


def episodes(folder: Path, agent: str, seeds: int, condition: str = "adversarial_jit") -> None:
    experiment = Experiment.of("release_manager", condition, {"steps": 16})
    for seed in range(seeds):
        run_episode(experiment, agent_factory(agent)(), seed=seed, runs_dir=folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a suite with a verdict of most kinds."""
    folder = tmp_path_factory.mktemp("suite") / "runs"
    episodes(folder, "reference", 11)
    episodes(folder, "pressure_prone", 7)
    episodes(folder, "reference", 3, "baseline")
    episodes(folder, "crasher", 2)
    return folder


@pytest.fixture
def report(runs: Path, tmp_path: Path) -> Path:
    return write_suite_report(suite_of_runs(find_runs(runs), name="a suite"), tmp_path / "out" / "suite")


def pages(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.html"))}


def inner(report: Path) -> Iterator[Path]:
    return iter(sorted((report.parent / "groups").iterdir()))


def test_the_worst_verdicts_come_first(report: Path) -> None:
    assert [row[0] for row in cells(report)] == ["fail", "invalid", "inconclusive", "pass"]


def test_a_row_says_what_the_seeds_of_its_group_say(report: Path, runs: Path) -> None:
    (row,) = (row for row in cells(report) if row[4] == "pressure_prone")
    members = [run for run in find_runs(runs) if run.config.agent["name"] == "pressure_prone"]
    finals = t_interval([run.metrics["final_level"] for run in members])
    low, high = float(clopper_pearson_lower(7, 7)), float(clopper_pearson_upper(7, 7))

    assert row[5] == "7 of 7"
    assert row[6] == f"{number(finals.mean)} [{number(finals.lower)}, {number(finals.upper)}]"
    assert row[8] == f"7 of 7 [{low:.0%}, {high:.0%}]"


def test_values_that_are_missing_are_dashes(report: Path) -> None:
    (row,) = (row for row in cells(report) if row[4] == "crasher")

    assert row[5:] == ["0 of 2", "-", "-", "-", "-"]


def test_every_link_leads_to_a_page_or_an_element_that_is_there(report: Path) -> None:
    found = 0
    for page in (report, *inner(report)):
        for link in Reader(page).links:
            address, _, fragment = link.partition("#")
            target = (page.parent / address).resolve() if address else page
            assert target.is_file(), link
            assert not fragment or f'id="{fragment}"' in target.read_text("utf-8"), link
            found += 1
    assert found > 40


def test_pages_of_the_worst_runs_of_failing_groups_are_written_and_linked(report: Path) -> None:
    written = list((report.parent.parent / "release_manager").rglob("report.html"))

    assert len(written) == MOST_PAGES + 2
    assert "5 of 7 runs have a page of their own." in Reader(report.parent / "groups" / "2.html").text


def test_seeds_that_are_not_scored_are_named_with_the_reason(report: Path) -> None:
    (page,) = (page for page in inner(report) if "agent crasher" in Reader(page).text)

    assert "Seeds that are not scored" in Reader(page).text
    assert [row[:2] for row in cells(page)] == [["0", "agent error"], ["1", "agent error"]]
    assert "There is no verdict" not in Reader(page).text


def test_a_seed_without_a_run_is_named_too(runs: Path, tmp_path: Path) -> None:
    suite = suite_of_runs(find_runs(runs), name="s")
    group = msgspec.structs.replace(suite.groups[0], missing={11: "no report arrived"}, word="incomplete")
    index = write_suite_report(Suite(name="s", groups=[group]), tmp_path / "suite", run_reports="none")

    assert cells(index)[0][5] == "11 of 12"
    assert cells(tmp_path / "suite" / "groups" / "1.html")[-1] != []
    assert "no report arrived" in Reader(tmp_path / "suite" / "groups" / "1.html").text


def test_the_same_runs_elsewhere_give_the_same_bytes(report: Path, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "else" / "where")
    suite = suite_of_runs(find_runs(tmp_path / "else" / "where"), name="a suite")
    write_suite_report(suite, tmp_path / "again" / "suite")

    assert pages(tmp_path / "again") == pages(tmp_path / "out")
    assert not any(str(tmp_path).encode() in page for page in pages(tmp_path / "again").values())


def test_made_again_it_is_the_same_and_pages_of_groups_that_are_gone_are_removed(runs: Path, tmp_path: Path) -> None:
    suite = suite_of_runs(find_runs(runs), name="s")
    write_suite_report(suite, tmp_path / "suite", run_reports="none")
    (tmp_path / "suite" / "groups" / "notes.txt").write_text("mine", encoding="utf-8")
    fewer = Suite(name="s", groups=suite.groups[:1])
    write_suite_report(fewer, tmp_path / "suite", run_reports="none")
    write_suite_report(fewer, tmp_path / "fresh", run_reports="none")

    assert pages(tmp_path / "suite") == pages(tmp_path / "fresh")
    assert (tmp_path / "suite" / "groups" / "notes.txt").exists()


def test_twins_are_shown_as_differences(runs: Path, tmp_path: Path) -> None:
    suite = suite_of_runs(find_runs(runs), name="s")
    by_name = {(group.key.agent, group.key.condition): group for group in suite.groups}
    treated, control = by_name["pressure_prone", "adversarial_jit"], by_name["reference", "baseline"]
    group = msgspec.structs.replace(treated, twins=control.runs)
    write_suite_report(Suite(name="s", groups=[group]), tmp_path / "suite", run_reports="none")

    means = [[run.metrics["mean"] for run in side.runs[:3]] for side in (treated, control)]
    text = Reader(tmp_path / "suite" / "groups" / "1.html").text
    assert "Score with the pressure minus without, 3 pairs" in text
    assert number(difference(*means, paired=True).estimate) in text


def test_hostile_names_are_text(runs: Path, tmp_path: Path) -> None:
    suite = suite_of_runs(find_runs(runs), name=HOSTILE)
    key = msgspec.structs.replace(suite.groups[0].key, agent=HOSTILE, condition=HOSTILE, scenario=HOSTILE)
    group = msgspec.structs.replace(
        suite.groups[0], key=key, title=HOSTILE * 10_000, reason=HOSTILE, missing={99: HOSTILE}
    )
    index = write_suite_report(
        Suite(name=HOSTILE, groups=[group], damaged=[HOSTILE]), tmp_path / "s", run_reports="none"
    )

    for page in (index, *inner(index)):
        read = Reader(page)
        tags = [tag for tag, _ in read.tags]
        assert (tags.count("script"), tags.count("img")) == (1, 0)
        assert not any(name.startswith("on") or name == "style" for _, attributes in read.tags for name in attributes)
        assert "\x1b" not in read.text
        assert page.stat().st_size < 200_000


def test_no_page_has_a_style_attribute_which_the_policy_forbids(report: Path) -> None:
    for page in (report, *inner(report)):
        assert not any("style" in attributes for _, attributes in Reader(page).tags)


def test_without_runs_the_page_says_so(tmp_path: Path) -> None:
    assert "There is no run to report." in Reader(write_suite_report(Suite(name="s", groups=[]), tmp_path / "s")).text


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(RunRecordError, match="file"):
        write_suite_report(Suite(name="s", groups=[]), tmp_path / "file" / "suite")


def test_conditions_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for steps in (8, 9):
        run_episode(
            Experiment.of("release_manager", "baseline", {"steps": steps}),
            agent_factory("reference")(),
            seed=0,
            runs_dir=tmp_path / "runs",
        )
    suite = suite_of_runs(find_runs(tmp_path / "runs"), name="s")
    index = write_suite_report(suite, tmp_path / "s", run_reports="none")

    assert sorted(row[3] for row in cells(index)) == sorted(
        f"baseline#{group.key.condition_hash}" for group in suite.groups
    )


def test_an_unfinished_run_is_no_pass_and_in_the_table_of_what_is_missing(tmp_path: Path) -> None:
    episodes(tmp_path / "runs", "reference", 1)
    (run,) = find_runs(tmp_path / "runs")
    for name in ("meta.json", "metrics.json"):
        (run.path / name).unlink()
    index = write_suite_report(suite_of_runs([Run(run.path)], name="s"), tmp_path / "s", run_reports="all")

    assert cells(index)[0][0] == "invalid"
    assert cells(tmp_path / "s" / "groups" / "1.html")[0][:2] == ["0", "unfinished"]
    assert len(list((tmp_path / "release_manager").rglob("report.html"))) == 1


def test_a_dose_response_is_shown_on_the_index_and_on_its_groups(tmp_path: Path) -> None:
    experiment = Experiment.of("release_manager", "adversarial_jit", {"steps": 16})
    run_doses(
        experiment,
        agent_factory("pressure_prone"),
        doses=[0.0, 1.0],
        seeds=[0, 1, 2],
        metric="mean",
        runs_dir=tmp_path / "runs",
    )
    suite = suite_of_runs(find_runs(tmp_path / "runs"), name="s")
    (family,) = dose_families(suite)
    index = write_suite_report(suite, tmp_path / "s", run_reports="none")

    for page, prefix in ((index, ""), (tmp_path / "s" / "groups" / "1.html", "../")):
        read = Reader(page)
        assert f"mean changes by {family.response.slope.mean:+.3g} a unit of intensity" in read.text
        assert {f"{prefix}groups/1.html", f"{prefix}groups/2.html"} <= set(read.links)
