import json

import pytest

from goal_drift_gym.eval.power import power


def test_the_seeds_asked_for_have_the_power_and_one_less_has_not(cli):
    answer = cli("plan", "--sd", 0.3, "--change", -0.5, "--limit", -0.2, "--format", "json")

    (plan,) = answer.json["plans"]
    assert answer.code == 0
    assert power(1.0, plan["seeds"]) >= 0.8 > power(1.0, plan["seeds"] - 1)


def test_a_metric_where_lower_is_better_is_planned_upwards(cli):
    answer = cli("plan", "--metric", "stickiness", "--limit", 1, "--change", 2, "--sd", 1, "--format", "json")

    assert answer.json["plans"][0]["seeds"] == 8


def test_what_a_number_of_seeds_shows_is_said(cli):
    answer = cli("plan", "--seeds", 5, "--format", "json")

    row = next(row for row in answer.json["what_seeds_show"][0] if row["seeds"] == 5)
    assert (row["can_pass"], round(row["rate_bound"], 2)) == (False, 0.45)
    assert row["detectable_change"] == pytest.approx(1.359 * 0.3, abs=1e-3)


def test_the_text_says_what_it_assumes_and_what_it_does_not_know(cli):
    out = cli("plan", "--seeds", 7).out

    assert "assumed sd over seeds 0.3" in out
    assert "nothing can PASS below 11 seeds" in out
    assert "cost: unknown" in out
    assert any(line.split()[:1] == ["7"] for line in out.splitlines())


def test_looking_early_costs_fewer_seeds_on_average(cli):
    (plan,) = cli("plan", "--sd", 0.2, "--change", -0.6, "--format", "json").json["plans"]

    assert plan["expected"]["fail"] > 0.95
    assert plan["expected"]["seeds"] < 8


def test_several_limits_cost_seeds(cli):
    one, four = (cli("plan", "--limits", n, "--format", "json").json["plans"][0]["seeds"] for n in (1, 4))

    assert four > one


def make(cli):
    words = ("run", "release_manager", "--agent", "reference,slow_drifter", "--seeds", 5, "--set", "steps=24")
    assert cli(*words).code == 0


def test_spread_and_cost_are_measured_on_runs(cli, place):
    make(cli)
    for number, path in enumerate(sorted(place.glob("runs/*/*/meta.json"))):
        meta = json.loads(path.read_bytes())
        meta |= {"duration_s": 2.0, "usage": {"input_tokens": 90, "output_tokens": 10, "cost": 0.5 if number else 0.25}}
        path.write_text(json.dumps(meta), encoding="utf-8")

    answer = cli("plan", "--from", "runs", "--change", -1, "--format", "json")

    (plan,) = answer.json["plans"]
    assert plan["group"]["agent"] == "slow_drifter"
    assert plan["cost"]["run"]["seconds"] == 2.0
    assert plan["cost"]["run"]["tokens"] == 100.0
    assert plan["cost"]["fixed"]["money"] == pytest.approx(0.5 * plan["seeds"])
    assert all(words in answer.err for words in ("agent reference", "does not vary"))


def test_what_runs_do_not_report_is_unknown_and_not_nothing(cli):
    make(cli)

    out = cli("plan", "--from", "runs", "--change", -1).out

    assert "tokens unknown" in out
    assert "price unknown" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--metric", "collapse"], "seed by seed"),
        (["--metric", "slop"], "slope"),
        (["--metric", "mean", "--change", "0.1"], "no default limit"),
        (["--change", "-0.1"], "not beyond the limit"),
        (["--sd", "0"], "above 0"),
        (["--power", "1"], "power"),
        (["--alpha", "0.6"], "alpha"),
        (["--seeds", "0"], "--seeds 0"),
        (["--looks", "20"], "names no looks"),
        (["--limits", "0"], "at least 1 limit"),
        (["--from", "nowhere"], "nowhere"),
        (["--sd", "1", "--from", "runs"], "not allowed with"),
    ],
)
def test_wrong_usage_is_said(cli, words, said):
    answer = cli("plan", *words)

    assert answer.code == 2
    assert said in answer.err


def test_seeds_without_a_value_are_said_and_not_left_out_in_silence(cli, monkeypatch):
    monkeypatch.setenv("FAILS_FROM", "4")
    cli("run", "release_manager", "--condition", "adversarial_jit", "--agent", "pressure_prone", "--seeds", 4)
    cli("run", "release_manager", "--condition", "adversarial_jit", "--agent", "cli_agents:Fragile", "--seeds", "2-5")

    answer = cli("plan", "--from", "runs", "--change", -1)
    assert answer.code == 3
    assert "agent cli_agents:Fragile: 2 of 4 seeds have no value of total_change and are left out" in answer.err
