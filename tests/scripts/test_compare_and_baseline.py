import json
from pathlib import Path

import pytest


def make(cli, agent, where, *more, seeds=12, steps=24):
    words = (
        "run",
        "release_manager",
        "--agent",
        agent,
        "--seeds",
        seeds,
        "--set",
        f"steps={steps}",
        "--runs-dir",
        where,
    )
    assert cli(*words, *more).code == 0


@pytest.fixture
def outside_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)


def test_the_same_agent_is_not_worse(cli):
    make(cli, "late_collapser", "a")
    make(cli, "late_collapser", "b")

    answer = cli("compare", "a", "b", "--format", "json")

    assert answer.code == 0
    (one,) = answer.json["comparisons"]
    assert (one["paired"], one["status"]) == (True, "PASS")
    assert [metric["estimate"] for metric in one["metrics"]] == [0.0, 0.0, 0.0]


def test_a_worse_agent_fails_by_a_difference_that_is_not_clipped(cli):
    make(cli, "reference", "a")
    make(cli, "late_collapser", "b")

    worse = cli("compare", "a", "b", "--fail-on", "total_change:-0.1", "--format", "json")
    better = cli("compare", "b", "a", "--limit", "total_change=-0.1", "--format", "json")

    assert worse.code == 1
    assert better.json["comparisons"][0]["metrics"][0]["estimate"] > 0
    assert better.json["comparisons"][0]["metrics"][0]["estimate"] == pytest.approx(
        -worse.json["comparisons"][0]["metrics"][0]["estimate"]
    )


def test_the_text_names_both_agents_and_leads_to_the_worst_seed_of_b(cli):
    make(cli, "reference", "a", seeds=5)
    make(cli, "late_collapser", "b", seeds=5)

    answer = cli("compare", "a", "b")

    assert "agent reference (A) and late_collapser (B)" in answer.out
    assert "goal-drift verify b/" in answer.out


def test_other_seeds_are_compared_without_pairs(cli):
    make(cli, "reference", "a", seeds="0-11")
    make(cli, "reference", "b", seeds="12-23")

    (one,) = cli("compare", "a", "b", "--format", "json").json["comparisons"]

    assert one["paired"] is False
    assert {metric["method"] for metric in one["metrics"]} == {"welch"}


def test_pairing_can_be_asked_for_and_refused(cli):
    make(cli, "reference", "a")

    assert cli("compare", "a", "a", "--paired", "no", "--format", "json").json["comparisons"][0]["paired"] is False
    assert cli("compare", "a", "a", "--paired", "yes", "--format", "json").json["comparisons"][0]["paired"] is True


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"steps": 24}, {"steps": 20}, ["24", "20", "horizon"]),
        (
            {"more": ("--condition", "baseline")},
            {"more": ("--condition", "adversarial_jit")},
            ["'baseline'", "'adversarial_jit'"],
        ),
        (
            {"more": ("--set", "goal.wording=weak")},
            {"more": ("--set", "goal.wording=strong")},
            ["goal.wording", "'weak'", "'strong'"],
        ),
    ],
)
def test_what_does_not_match_is_an_error_that_names_both_values(cli, first, second, said):
    for where, settings in (("a", first), ("b", second)):
        make(cli, "reference", where, *settings.get("more", ()), seeds=2, steps=settings.get("steps", 24))

    answer = cli("compare", "a", "b")

    assert answer.code == 2
    assert all(word in answer.err for word in said)


def test_another_version_of_the_scenario_is_an_error(cli, place):
    for where in ("a", "b"):
        make(cli, "reference", where, seeds=2)
    for path in (place / "b").glob("*/*/config.json"):
        config = json.loads(path.read_bytes())
        config["scenario"]["version"] = "9.9"
        path.write_text(json.dumps(config), encoding="utf-8")

    answer = cli("compare", "a", "b")

    assert answer.code == 2
    assert all(version in answer.err for version in ("'1.0'", "'9.9'"))


def test_a_group_without_a_counterpart_is_an_error_on_either_side(cli):
    make(cli, "reference,noop", "both", seeds=2)
    make(cli, "reference", "one", "--condition", "baseline,adversarial_jit", seeds=2)
    make(cli, "reference", "two", "--condition", "baseline,friction_heavy", seeds=2)

    assert "no counterpart" in cli("compare", "one", "two").err
    assert "no counterpart" in cli("compare", "both", "one").err
    assert cli("compare", "one", "both").code == 2


def test_a_baseline_stands_for_the_runs_it_was_made_of(cli, outside_ci):
    make(cli, "reference,late_collapser", "a")
    make(cli, "reference,late_collapser", "b")

    assert cli("baseline", "save", "before", "a").code == 0

    assert cli("compare", "baseline:before", "b").code == 0
    assert cli("gate", "baseline:before", "--format", "json").json["groups"][0]["n"] == 12
    runs = cli("gate", "a", "--format", "json").json["groups"]
    stored = cli("gate", "baseline:before", "--format", "json").json["groups"]
    assert [(group["status"], group["metrics"]) for group in runs] == [
        (group["status"], group["metrics"]) for group in stored
    ]


def test_a_baseline_is_json_with_a_line_a_seed(cli, place, outside_ci):
    make(cli, "reference", "a", seeds=5)
    cli("baseline", "save", "before", "a", "--limit", "mean=0.5")

    text = (place / "artifacts" / "baselines" / "before.json").read_text("ascii")

    data = json.loads(text)
    group = data["groups"][0]
    assert data["limits"] == {"mean": 0.5}
    assert group["spread"] == {"mean": {"n": 5, "mean": 1.0, "sd": 0.0}}
    assert [result["seed"] for result in group["sample"]["results"]] == [0, 1, 2, 3, 4]
    assert group["sample"]["key"]["version"] == "1.0"
    assert sum('"seed": ' in line for line in text.splitlines()) == 5


def test_saving_twice_gives_the_same_bytes(cli, place, outside_ci):
    make(cli, "reference", "a", seeds=3)
    cli("baseline", "save", "one", "a")
    path = place / "artifacts" / "baselines" / "one.json"
    before = path.read_bytes()

    cli("baseline", "save", "one", "a", "--force")

    assert path.read_bytes() == before


def test_a_baseline_is_not_written_over_without_force(cli, outside_ci):
    make(cli, "reference", "a", seeds=2)
    assert cli("baseline", "save", "one", "a").code == 0

    answer = cli("baseline", "save", "one", "a")

    assert answer.code == 2
    assert "--force" in answer.err
    assert cli("baseline", "save", "one", "a", "--force").code == 0


def test_in_ci_nothing_is_written_without_force(cli, place, monkeypatch):
    make(cli, "reference", "a", seeds=2)
    monkeypatch.setenv("CI", "true")

    answer = cli("baseline", "save", "one", "a")

    assert answer.code == 2
    assert not (place / "artifacts").exists()
    assert cli("baseline", "promote", "one").code == 2
    assert cli("baseline", "save", "one", "a", "--force").code == 0


def test_promoting_copies_over_main_and_says_where_from(cli, place, outside_ci):
    make(cli, "reference", "a", seeds=2)
    for name in ("one", "two"):
        cli("baseline", "save", name, "a")

        assert cli("baseline", "promote", name).code == 0

    listed = cli("baseline", "list", "--format", "json").json
    assert [(row["name"], row["promoted_from"]) for row in listed] == [("main", "two"), ("one", None), ("two", None)]


def test_a_dirty_checkout_is_warned_about(cli, place, outside_ci):
    make(cli, "reference", "a", seeds=1)
    for path in (place / "a").glob("*/*/meta.json"):
        path.write_text(
            json.dumps({**json.loads(path.read_bytes()), "git": {"sha": "0" * 40, "dirty": True}}), encoding="utf-8"
        )

    answer = cli("baseline", "save", "one", "a")

    assert answer.code == 0
    assert "uncommitted changes" in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["save"], "needs a NAME"),
        (["save", "x"], "needs runs"),
        (["save", "../x", "a"], "cannot name a baseline"),
        (["save", "x", "a", "--limit", "meen=1"], "mean"),
        (["promote", "nothing"], "no baseline 'nothing'"),
        (["list", "x"], "takes no name"),
        (["lost"], "list"),
    ],
)
def test_wrong_usage_is_said(cli, outside_ci, words, said):
    make(cli, "reference", "a", seeds=1)

    answer = cli("baseline", *words)

    assert answer.code == 2
    assert said in answer.err


def test_a_damaged_baseline_is_no_result(cli, place, outside_ci):
    make(cli, "reference", "a", seeds=1)
    cli("baseline", "save", "one", "a")
    path = place / "artifacts" / "baselines" / "one.json"

    path.write_text(path.read_text("ascii")[:-30], encoding="ascii")
    assert cli("compare", "baseline:one", "a").code == 3
    path.write_text('{"format_version": 99}', encoding="ascii")
    assert "99" in cli("compare", "baseline:one", "a").err


def test_runs_that_are_not_scored_make_no_baseline(cli, outside_ci):
    make(cli, "crasher", "a", seeds=2)

    assert "nothing to compare" in cli("baseline", "save", "one", "a").err


def test_a_page_shows_both_sides_and_leaves_what_is_printed_as_it_is(cli, place):
    make(cli, "reference", "a", seeds=5)
    make(cli, "late_collapser", "b", seeds=5)

    plain = cli("compare", "a", "b", "--format", "json")
    answer = cli("compare", "a", "b", "--format", "json", "--html", "pages/compared.html")

    assert (answer.code, answer.json) == (plain.code, plain.json)
    assert "pages/compared.html" in answer.err
    page = (place / "pages" / "compared.html").read_text("utf-8")
    assert "a (A) and b (B)" in page
    assert str(place) not in page


def test_a_page_against_a_baseline_shows_the_curves_of_the_runs_alone(cli, place, outside_ci):
    make(cli, "reference", "a", seeds=5)
    assert cli("baseline", "save", "main", "a").code == 0

    cli("compare", "baseline:main", "a", "--html", "page.html")

    assert "A is a baseline" in (place / "page.html").read_text("utf-8")


def test_a_baseline_that_is_nested_too_deeply_cannot_be_read(cli):
    path = Path("artifacts/baselines/deep.json")
    path.parent.mkdir(parents=True)
    path.write_text("[" * 100_000)

    answer = cli("gate", "baseline:deep")

    assert answer.code == 3
    assert f"cannot read {path}: maximum recursion depth" in answer.err
