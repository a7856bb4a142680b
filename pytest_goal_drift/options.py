"""Command-line options and ini settings.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import pytest

FLAGS = (
    "--drift-seeds",
    "--drift-mode",
    "--drift-inconclusive",
    "--drift-twin",
    "--drift-family",
    "--drift-baseline",
    "--drift-runs-dir",
    "--drift-artifacts-dir",
    "--drift-agent",
    "--drift-condition",
    "--drift-replay",
    "--drift-strict",
    "--drift-timeout",
    "--drift-concurrency",
    "--drift-budget",
    "--drift-prices",
    "--drift-dry-run",
    "--drift-otel",
    "--drift-report",
)
SESSION_FLAGS = ("--drift-record", "--drift-resume")
"""Flags without an ini setting: what they ask for is asked for once."""
MARKERS = (
    "drift_threshold(*, gate=True, mode=None, **limits): judge the runs of a drift test over all its seeds. Each "
    "keyword is a metric and the last value it may have; without limits the default bundle counts; gate=False: no "
    "verdict; mode='detect' fails on FAIL alone, mode='gate' asks for PASS.",
    "drift_scenario(name, condition='baseline', **settings): the scenario and condition of a drift test. Settings "
    "override the condition's, such as steps=20 or **{'goal.wording': 'weak'}.",
    "drift_twin(*, without='pressure', mode=None, **limits): run each seed with and without the pressure in the same "
    "world, and judge the difference. Each keyword is a metric and the largest loss it may have: final_level=-0.4.",
)

MODES = ("detect", "gate")
POLICIES = ("fail", "warn", "skip")
FAMILIES = ("none", "holm")
OTEL = ("spans", "content")
REPORTS = ("failing", "all", "none")
MOST_EPISODES = 1024


def add_options(parser: pytest.Parser) -> None:
    """Declare every option and its ini setting, in one group."""
    group = parser.getgroup("goal-drift", "goal drift of agents")
    group.addoption(
        "--drift-seeds",
        dest="drift_seeds",
        metavar="SEEDS",
        type=_argument(seeds_text),
        help="seeds of each drift test: a count (10), a range (0-9), a list (3,5,8), or looks: 5:20 decides after 5, "
        "10, 15 and 20 seeds and skips the seeds that are not needed any more; default 5",
    )
    group.addoption(
        "--drift-mode",
        dest="drift_mode",
        choices=MODES,
        help="detect: fail only where drift is shown, the default; gate: fail unless its absence is shown",
    )
    group.addoption(
        "--drift-inconclusive",
        dest="drift_inconclusive",
        choices=POLICIES,
        help="what an inconclusive verdict becomes; by default it passes with a note in detect mode and fails in gate "
        "mode",
    )
    group.addoption(
        "--drift-twin",
        dest="drift_twin",
        action="store_true",
        default=None,
        help="run each seed of tests under pressure once more without it and judge the difference, not the level",
    )
    group.addoption(
        "--drift-family",
        dest="drift_family",
        choices=FAMILIES,
        help="holm: correct the verdicts of a session for being several, so that a false fail among all of them is as "
        "rare as in one; default none",
    )
    group.addoption(
        "--drift-baseline",
        dest="drift_baseline",
        metavar="NAME_OR_FILE",
        type=_argument(given),
        help="judge the difference to these stored runs too: a name that `goal-drift baseline save` was given, or a "
        "JSON file",
    )
    group.addoption(
        "--drift-runs-dir",
        dest="drift_runs_dir",
        metavar="DIR",
        type=_argument(given),
        help="where run directories go; default runs in the root directory",
    )
    group.addoption(
        "--drift-artifacts-dir",
        dest="drift_artifacts_dir",
        metavar="DIR",
        type=_argument(given),
        help="where the verdicts that are no pass are written as JSON, and HTML pages; default artifacts in the root "
        "directory",
    )
    group.addoption(
        "--drift-agent",
        dest="drift_agent",
        metavar="AGENT",
        type=_argument(given),
        help="agent of tests without a drift_agent fixture of their own: a reference agent, package.module:name or "
        "exec:COMMAND",
    )
    group.addoption(
        "--drift-condition",
        dest="drift_condition",
        metavar="CONDITION",
        type=_argument(given),
        help="condition of all drift tests, instead of the one they name",
    )
    group.addoption(
        "--drift-replay",
        dest="drift_replay",
        metavar="RUN_OR_DIR",
        type=_argument(given),
        help="do not ask the agent: take the tape, or the recorded run, of the same scenario, condition, seed and "
        "agent, and fail unless it replays byte for byte",
    )
    group.addoption(
        "--drift-record",
        dest="drift_record",
        metavar="DIR",
        type=_argument(given),
        help="record what the agents are shown and answer on tapes in this directory, for --drift-replay",
    )
    group.addoption(
        "--drift-resume",
        dest="drift_resume",
        action="store_true",
        default=None,
        help="go on with the newest session of the runs directory, which was interrupted or killed: what it has run is "
        "not run again",
    )
    group.addoption(
        "--drift-strict",
        dest="drift_strict",
        action="store_true",
        default=None,
        help="an incomplete verdict (a seed is missing) is a failure; always so where $CI is set",
    )
    group.addoption(
        "--drift-timeout",
        dest="drift_timeout",
        metavar="SECONDS",
        type=_argument(seconds),
        help="seconds the agent may take for one turn; default 300",
    )
    group.addoption(
        "--drift-concurrency",
        dest="drift_concurrency",
        metavar="N",
        type=_argument(episodes_at_once),
        help="run up to N episodes at once in each process, for agents that wait for a model; default 1",
    )
    group.addoption(
        "--drift-otel",
        dest="drift_otel",
        choices=OTEL,
        help="leave OpenTelemetry spans of episodes, calls and verdicts with the tracer provider that the tests set "
        "up; content: also what was said and returned, without secrets",
    )
    group.addoption(
        "--drift-report",
        dest="drift_report",
        choices=REPORTS,
        help="which verdicts get HTML pages in the artifacts directory: of the session and of single runs; default "
        "failing",
    )
    group.addoption(
        "--drift-budget",
        dest="drift_budget",
        action="append",
        metavar="KEY=VALUE",
        type=_argument(budget_text),
        help="the last amount that may be spent, over all processes: call, step, episode or session, and seconds, "
        "tokens, calls or money, such as session.tokens=200000; repeatable",
    )
    group.addoption(
        "--drift-prices",
        dest="drift_prices",
        metavar="FILE",
        type=_argument(given),
        help="price table in TOML or JSON: money for a million tokens, by model",
    )
    group.addoption(
        "--drift-dry-run",
        dest="drift_dry_run",
        action="store_true",
        default=None,
        help="show the episodes and the calls, tokens and cost to expect; run nothing",
    )
    parser.addini("drift_seeds", "like --drift-seeds", type="string", default="")
    parser.addini("drift_mode", "like --drift-mode", type="string", default="")
    parser.addini("drift_inconclusive", "like --drift-inconclusive", type="string", default="")
    parser.addini("drift_twin", "like --drift-twin", type="bool", default=False)
    parser.addini("drift_family", "like --drift-family", type="string", default="")
    parser.addini("drift_baseline", "like --drift-baseline", type="string", default="")
    parser.addini("drift_runs_dir", "like --drift-runs-dir, from the root directory", type="string", default="")
    parser.addini("drift_artifacts_dir", "like --drift-artifacts-dir, from the root", type="string", default="")
    parser.addini("drift_agent", "like --drift-agent", type="string", default="")
    parser.addini("drift_condition", "like --drift-condition", type="string", default="")
    parser.addini("drift_replay", "like --drift-replay, from the root directory", type="string", default="")
    parser.addini("drift_strict", "like --drift-strict", type="bool", default=False)
    parser.addini("drift_timeout", "like --drift-timeout", type="string", default="")
    parser.addini("drift_otel", "like --drift-otel", type="string", default="")
    parser.addini("drift_report", "like --drift-report", type="string", default="")
    parser.addini("drift_concurrency", "like --drift-concurrency", type="string", default="")
    parser.addini("drift_budget", "like --drift-budget, one a line", type="linelist", default=[])
    parser.addini("drift_prices", "like --drift-prices, from the root directory", type="string", default="")
    parser.addini("drift_dry_run", "like --drift-dry-run", type="bool", default=False)


def in_use(config: pytest.Config) -> bool:
    """Return whether a flag or an ini setting of ours is given."""
    return flag_given(config) or any(config.getini(name) for name in map(_name, FLAGS))


def flag_given(config: pytest.Config) -> bool:
    """Return whether the command line holds one of our flags."""
    return any(config.getoption(name) is not None for name in map(_name, (*FLAGS, *SESSION_FLAGS)))


def bodies_left_out(config: pytest.Config) -> bool:
    """Return whether no test's body is run (`--setup-only`, `--setup-plan`), so that no verdict can be given."""
    return any(config.getoption(name, False) for name in ("setuponly", "setupplan"))


def _name(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _argument(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def seeds_text(text: str) -> str:
    """Return a text that names seeds, or raise ValueError."""
    from pytest_goal_drift.wire import parse_plan

    parse_plan(text)
    return text.strip()


def budget_text(text: str) -> str:
    """Return a text that is a limit of a budget, or raise ValueError."""
    from goal_drift_gym.core.budget import parse_budget
    from goal_drift_gym.core.errors import UsageError

    try:
        parse_budget([text])
    except UsageError as error:
        raise ValueError(str(error)) from None
    return text.strip()


def one_of(*words: str) -> Callable[[str], str]:
    """Return a reader that takes one of some words, and raises ValueError for any other."""

    def read(text: str) -> str:
        if text.strip() not in words:
            raise ValueError(f"{text!r} is none of {', '.join(words)}")
        return text.strip()

    return read


def given(text: str) -> str:
    """Return a text that is not empty, or raise ValueError."""
    if not text.strip():
        raise ValueError(f"{text!r} is empty")
    return text.strip()


def seconds(text: str) -> float:
    """Return a finite number of seconds above 0, or raise ValueError."""
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number of seconds") from None
    if not (number > 0.0 and math.isfinite(number)):
        raise ValueError(f"{text!r}: the time must be a finite number of seconds above 0")
    return number


def episodes_at_once(text: str) -> int:
    """Return a whole number of 1 to 1024, or raise ValueError."""
    number = int(text) if text.strip().isdecimal() else 0
    if not 1 <= number <= MOST_EPISODES:
        raise ValueError(f"{text!r}: give 1 to {MOST_EPISODES} episodes at once")
    return number
