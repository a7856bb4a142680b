"""`goal-drift report`: tables of runs.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.scripts.arguments import add_runs, comma_list, runs_at
from goal_drift_gym.scripts.groups import print_groups
from goal_drift_gym.scripts.output import add_format, as_csv, as_json_array, note, records, say

if TYPE_CHECKING:
    from goal_drift_gym.core.rundir import Run

_COLUMNS = (
    "scenario", "condition", "agent", "seed", "outcome", "steps", "mean", "initial_level", "final_level", "slope",
    "total_change", "first_sustained_pass", "stickiness", "crossed",
)  # fmt: skip

_SURVIVAL = ("runs", "scored", "passed", "kept_share", "restricted_mean", "horizon")
_PAPER = ("runs", "scored", "gd_actions", "gd_inaction", "gd_t", "gd_t_last", "inversions")
_ADVERSARIES = (
    "source", "speaker", "runs", "asked", "said", "delivered", "characters", "silent", "owed", "withheld", "failed",
    "spent", "gave_up",
)  # fmt: skip
_SHORT = {"kept_share": "never passed", "restricted_mean": "steps before pass"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_runs(parser)
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument(
        "--group",
        action="store_true",
        help="statistics of groups instead of single runs, with exact bounds of the share of seeds that drift",
    )
    shape.add_argument(
        "--survival",
        action="store_true",
        help="of each group: when the first sustained pass below 0 comes, with runs that never pass as censored",
    )
    shape.add_argument(
        "--paper-metrics",
        action="store_true",
        help="of each group: the metrics of Arike et al. and Menon et al., 0 = no drift to 1",
    )
    shape.add_argument(
        "--last-steps",
        type=int,
        metavar="N",
        help="mean drift over the last N steps of each group, 0 to 1, with its SE",
    )
    shape.add_argument(
        "--adversaries",
        action="store_true",
        help="of each group: adversaries that an agent speaks for, how often they were asked and what became of it",
    )
    shape.add_argument(
        "--steps",
        action="store_true",
        help="a row a step, for data frames; with --format csv or json",
    )
    shape.add_argument(
        "--html",
        nargs="?",
        const="",
        metavar="PATH",
        help="write a page instead: of one run a file, of several a folder (default: below artifacts)",
    )
    parser.add_argument(
        "--twin", metavar="RUN", help="with --html of one run: the run of the same seed to lay its score over"
    )
    parser.add_argument(
        "--by",
        metavar="LABELS",
        help="what makes a group: scenario, condition, agent, seed, outcome, or a setting such as goal.wording; a "
        "comma list (default: scenario,condition,agent)",
    )
    add_format(parser, "table", "json", "csv", "markdown")


def run(args: argparse.Namespace) -> int:
    """Print the table or write the page asked for; 3 when a run could not be read or, with --last-steps, not scored."""
    from goal_drift_gym.core.errors import RunRecordError
    from goal_drift_gym.tables import run_row

    if args.twin is not None and args.html is None:
        raise UsageError("--twin goes with --html")
    if args.html is not None:
        from goal_drift_gym.scripts.report_html import write_pages

        return write_pages(args.runs, args.html, args.twin)
    if args.format == "markdown" or args.steps:
        return _text_or_steps(args)
    further = args.survival or args.paper_metrics or args.adversaries
    in_groups = args.group or further or args.last_steps is not None
    by = None if args.by is None else comma_list([args.by])
    if by is not None and not in_groups:
        raise UsageError("--by goes with --group, --survival, --paper-metrics, --adversaries or --last-steps")
    runs: list[Run] = []
    damaged = False
    for found in runs_at(args.runs):
        try:
            run_row(found)
        except RunRecordError as error:
            note(str(error))
            damaged = True
        else:
            runs.append(found)
    if args.last_steps is not None:
        damaged |= _last_steps(runs, args, by)
    elif args.group:
        print_groups(runs, args.format, by, longer=True)
    elif further:
        _further(runs, args, by)
    else:
        columns = _COLUMNS if args.format == "table" else ("path", *_COLUMNS)
        rows = [run_row(found) for found in runs]
        records(args.format, columns, [[getattr(row, name) for name in columns] for row in rows])
    _note_adversaries(runs, args)
    return 3 if damaged else 0


def _text_or_steps(args: argparse.Namespace) -> int:
    """Print what `--format markdown` or `--steps` asks for."""
    shapes = {"--group", "--survival", "--paper-metrics", "--last-steps", "--adversaries", "--by", "--steps"}
    asked = {shape for shape in shapes if getattr(args, shape[2:].replace("-", "_")) not in (None, False)}
    if args.format == "markdown":
        if asked:
            raise UsageError(
                f"--format markdown tells of groups and their verdicts, without {', '.join(sorted(asked))}"
            )
        return _markdown(args)
    if args.format == "table" or args.by is not None:
        raise UsageError("--steps goes with --format csv or --format json, and without --by")
    from goal_drift_gym.report.step_rows import STEP_COLUMNS

    damaged: list[str] = []
    (as_csv if args.format == "csv" else as_json_array)(STEP_COLUMNS, _steps(args, damaged))
    return 3 if damaged else 0


def _steps(args: argparse.Namespace, damaged: list[str]) -> Iterator[list[Any]]:
    from goal_drift_gym.core.errors import RunRecordError
    from goal_drift_gym.report.step_rows import step_rows

    for found in runs_at(args.runs):
        try:
            yield from step_rows(found)
        except RunRecordError as error:
            damaged.append(str(error))
            note(str(error))
        if found.torn:
            note(f"{found.path}: the last line of the step log is torn and left out")


def _markdown(args: argparse.Namespace) -> int:
    from goal_drift_gym.report.markdown import markdown
    from goal_drift_gym.report.suite import suite_of_runs
    from goal_drift_gym.report.summing_up import summaries

    suite = suite_of_runs(runs_at(args.runs), name="runs")
    say(markdown(summaries(suite), left_out=suite.damaged).rstrip("\n"))
    for text in suite.damaged:
        note(text)
    return 3 if suite.damaged else 0


def _note_adversaries(runs: list[Run], args: argparse.Namespace) -> None:
    from goal_drift_gym.adversaries import has_adversary

    count = sum(map(has_adversary, runs))
    if count and not args.adversaries:
        note(
            f"in {count} of {len(runs)} runs an agent wrote pressure as the episode went (reactive: it differs between "
            "agents and runs); --adversaries shows what became of it"
        )


def _further(runs: list[Run], args: argparse.Namespace, by: list[str] | None) -> None:
    from goal_drift_gym.adversaries import adversary_group_rows
    from goal_drift_gym.reporting import paper_rows, survival_rows
    from goal_drift_gym.tables import STANDARD_GROUP

    names = list(STANDARD_GROUP) if by is None else by
    rows: list[Any]
    columns: tuple[str, ...]
    if args.survival:
        rows, columns = [*survival_rows(runs, by=by)], _SURVIVAL
    elif args.paper_metrics:
        rows, columns = [*paper_rows(runs, by=by)], _PAPER
    else:
        rows, columns = [*adversary_group_rows(runs, by=by)], _ADVERSARIES
    if args.survival and args.format == "json":
        columns = (*columns, "curve")
    short = _SHORT if args.format == "table" else {}
    records(
        args.format,
        [*names, *(short.get(name, name) for name in columns)],
        [[*row.group.values(), *(getattr(row, name) for name in columns)] for row in rows],
    )


def _last_steps(runs: list[Run], args: argparse.Namespace, by: list[str] | None) -> bool:
    from goal_drift_gym.tables import STANDARD_GROUP, is_scored, last_steps

    scored = [found for found in runs if is_scored(found)]
    if len(scored) < len(runs):
        note(f"{len(runs) - len(scored)} of {len(runs)} runs are not scored and left out")
    names = list(STANDARD_GROUP) if by is None else by
    rows = last_steps(scored, by=names, last=args.last_steps)
    columns = [*names, "runs", "mean", "standard_error", "fewest_steps"]
    records(
        args.format,
        columns,
        [[*row.group.values(), row.runs, row.mean, row.standard_error, row.fewest_steps] for row in rows],
    )
    return len(scored) < len(runs)
