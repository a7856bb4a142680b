"""`goal-drift check`: does a scenario hold what every verdict on it relies on?

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import msgspec

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.printable import counted, printable
from goal_drift_gym.scripts.arguments import add_limits, comma_list, parse_limits
from goal_drift_gym.scripts.output import Progress, add_format, as_json, note, one_of, say, table

if TYPE_CHECKING:
    from goal_drift_gym.testing.report import CheckReport

_MOST_WORKERS = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Check scenarios with reference agents over whole episodes: policies where the score says they are, pressure "
        "that reaches the agent and not the score, the same bytes for the same seed, a snapshot that holds the state, "
        "schemas that fit the code, texts of equal weight. Exits with 1 when a check fails."
    )
    parser.add_argument(
        "scenarios",
        nargs="*",
        metavar="SCENARIO",
        help="id, package.module:Name or file.py:Name; a comma list, or all for the installed ones",
    )
    parser.add_argument(
        "--profile",
        type=one_of("fast", "thorough"),
        default="fast",
        metavar="fast|thorough",
        help="3 or 50 seeds (default: %(default)s)",
    )
    parser.add_argument("--seeds", metavar="N|A-B|LIST", help="seeds instead of the profile's: 10, 0-9 or 3,5,8")
    parser.add_argument("--condition", action="append", metavar="NAME", help="only these conditions; repeatable")
    parser.add_argument("--only", action="append", metavar="CHECK", help="only these checks; repeatable, a comma list")
    add_limits(parser, said="limit that drifting agents must cross; repeatable (default: the default bundle)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument("--texts", action="store_true", help="print what the hygiene checks count in the texts, too")
    parser.add_argument("--list", action="store_true", help="print the checks and what each asks for")
    parser.add_argument(
        "--planted-faults",
        action="store_true",
        help="prove the checks: plant known faults in a correct scenario and print what each was caught by; the "
        "scenarios named are the control, in which nothing may be found",
    )
    add_format(parser, "table", "json")


def run(args: argparse.Namespace) -> int:
    """Check, print, and tell by the exit code."""
    if args.list:
        return _list(args)
    if args.planted_faults:
        return _prove(args)
    reports = _reports(args)
    if args.format == "json":
        as_json({"ok": all(report.ok for report in reports), "scenarios": [_plain(report) for report in reports]})
    else:
        for report in reports:
            _print(report, brief=len(reports) > 1)
            if args.texts:
                _print_texts(report)
    return 0 if all(report.ok for report in reports) else 1


def _reports(args: argparse.Namespace) -> list[CheckReport]:
    from goal_drift_gym.core.seeds import parse_seeds
    from goal_drift_gym.eval.limits import DEFAULT_LIMITS
    from goal_drift_gym.scenarios.discovery import scenario_entries
    from goal_drift_gym.testing.checking import SEEDS
    from goal_drift_gym.testing.spreading import CheckJob, check_many

    if not args.scenarios:
        raise UsageError("name a scenario: an id, package.module:Name or file.py:Name, or all")
    if not 1 <= args.workers <= _MOST_WORKERS:
        raise UsageError(f"--workers {args.workers}: give 1 to {_MOST_WORKERS}")
    names = comma_list(args.scenarios)
    if "all" in names:
        names = list(scenario_entries())
    seeds = parse_seeds(str(SEEDS[args.profile]) if args.seeds is None else args.seeds)
    jobs = [
        CheckJob(
            scenario=name,
            seeds=seeds,
            conditions=None if args.condition is None else comma_list(args.condition),
            only=None if args.only is None else comma_list(args.only),
            limits=parse_limits(args.limits) or dict(DEFAULT_LIMITS),
        )
        for name in names
    ]
    progress: Progress | None = None

    def report(total: int, what: str) -> None:
        nonlocal progress
        progress = progress or Progress(total)
        progress.step(what)

    try:
        return check_many(jobs, workers=args.workers, report=report)
    finally:
        if progress is not None:
            progress.close()


def _print(report: CheckReport, *, brief: bool) -> None:
    if not brief:
        rows = [[one.name, one.status, one.cases, one.failures, f"{one.seconds:.2f}"] for one in report.results]
        table(["check", "result", "cases", "failed", "seconds"], rows)
        say()
    for line in str(report).splitlines():
        say(printable(line))
    idle = [one.name for one in report.results if one.status == "idle"]
    if idle:
        note(f"{report.scenario}: nothing to look at for {', '.join(idle)}")


def _print_texts(report: CheckReport) -> None:
    from goal_drift_gym.testing.hygiene import table as rows_of
    from goal_drift_gym.testing.reference import scenario_reference

    rows = rows_of(scenario_reference(report.reference).scenario_class.texts)
    say()
    table(
        ["pool", "toward", "texts", "characters", *rows[0].traits],
        [[row.pool, row.direction, row.texts, row.characters, *row.traits.values()] for row in rows],
    )


def _prove(args: argparse.Namespace) -> int:
    """Print which check caught each planted fault, and whether the correct scenarios are clean."""
    from goal_drift_gym.testing.planted import FAULTS, Host, catches

    progress = Progress(len(FAULTS))
    caught = []
    for catch in catches():
        progress.step(catch.fault.name)
        caught.append(catch)
    progress.close()
    args.scenarios = args.scenarios or [Host.id]
    controls = _reports(args)
    missed = [catch.fault.name for catch in caught if not catch.caught]
    if args.format == "json":
        faults = [
            {"fault": one.fault.name, "wrong": one.fault.wrong, "check": one.fault.caught_by, "caught": one.caught}
            for one in caught
        ]
        as_json({"faults": faults, "controls": [_plain(report) for report in controls]})
    else:
        rows = [
            [one.fault.name, one.fault.wrong, one.fault.caught_by, "caught" if one.caught else "MISSED", one.said[:60]]
            for one in caught
        ]
        table(["fault", "what is wrong", "meant to be caught by", "result", "what it saw"], rows)
        say()
        say(f"{len(caught) - len(missed)} of {len(caught)} planted faults caught by the check meant for them")
        for report in controls:
            say(printable(f"correct {str(report).splitlines()[0]}"))
            for line in str(report).splitlines()[1:]:
                say(printable(line))
    return 1 if missed or not all(report.ok for report in controls) else 0


def _list(args: argparse.Namespace) -> int:
    from goal_drift_gym.testing.checks import CHECKS

    rows = [[one.name, f"once a {one.per}", one.summary] for one in CHECKS.values()]
    if args.format == "json":
        as_json([dict(zip(("name", "made", "asks"), row, strict=True)) for row in rows])
    else:
        table(["check", "made", "asks"], rows)
        say()
        say(counted(len(rows), "check"))
    return 0


def _plain(report: CheckReport) -> dict[str, Any]:
    return {**msgspec.to_builtins(report), "ok": report.ok}
