"""`goal-drift stress`: try to break scenarios with drawn calls, and drive what was found again.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.printable import counted, printable
from goal_drift_gym.scripts.arguments import add_runs_dir, comma_list, one_run
from goal_drift_gym.scripts.output import one_of, say

if TYPE_CHECKING:
    from goal_drift_gym.testing.report import Finding
    from goal_drift_gym.testing.stress import StressReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Drive scenarios through the engine with calls, seeds and conditions that Hypothesis draws, and check after "
        "every turn what must always hold. The smallest failing example is saved as a run. Exits with 1 when one is "
        "found, or when --replay finds one again; with 0 otherwise."
    )
    parser.add_argument(
        "scenarios",
        nargs="*",
        metavar="SCENARIO",
        help="id, package.module:Name or file.py:Name; a comma list, or all for the installed ones",
    )
    parser.add_argument("--condition", metavar="C", help="only this one: a name, or the path of a TOML file")
    parser.add_argument("--examples", type=int, metavar="N", help="examples a scenario instead of the profile's")
    parser.add_argument(
        "--profile",
        type=one_of("dev", "ci"),
        metavar="dev|ci",
        help="dev: 50 examples, others each time; ci: 200 longer ones, always the same (default: dev)",
    )
    parser.add_argument("--replay", metavar="RUN", help="instead: make the calls of a saved failure again")
    add_runs_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Stress or replay, print, and tell by the exit code."""
    if args.replay is not None:
        if args.scenarios or args.condition or args.examples is not None or args.profile:
            raise UsageError("--replay RUN goes alone: the run says which scenario and which calls")
        return _replay(args.replay)
    if not args.scenarios:
        raise UsageError("name a scenario: an id, package.module:Name or file.py:Name, or all; or --replay RUN")
    from goal_drift_gym.scenarios.discovery import scenario_entries
    from goal_drift_gym.testing.profiles import profile
    from goal_drift_gym.testing.stress import stress_scenario

    names = comma_list(args.scenarios)
    if "all" in names:
        names = list(scenario_entries())
    settings = profile(args.profile or "dev", examples=args.examples)
    code = 0
    for name in names:
        report = stress_scenario(name, condition=args.condition, settings=settings, runs_dir=args.runs_dir)
        _print(report)
        code = code if report.ok else 1
    return code


def _print(report: StressReport) -> None:
    done = (
        f"{counted(report.examples, 'example')}, {counted(report.turns, 'turn')}, {counted(report.calls, 'call')}, "
        f"{report.seconds:.1f} s"
    )
    if report.finding is None:
        say(f"{printable(report.scenario)}: nothing found ({done})")
        return
    say(f"{printable(report.scenario)}: BROKEN after {counted(report.calls_needed or 0, 'call')} ({done})")
    for line in report.way[1:]:
        say(f"  {printable(line)}")
    _print_finding(report.finding)
    say(f"saved as {printable(str(report.run))}")


def _replay(path: str) -> int:
    from goal_drift_gym.testing.stress import replay_failure

    finding = replay_failure(one_run(path).path)
    if finding is None:
        say(f"{printable(path)}: nothing found any more")
        return 0
    say(f"{printable(path)}: BROKEN still")
    _print_finding(finding)
    return 1


def _print_finding(finding: Finding) -> None:
    for line in str(finding).splitlines():
        say(f"  {printable(line)}")
