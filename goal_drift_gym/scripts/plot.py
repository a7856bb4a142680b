"""`goal-drift plot`: figures of runs for papers and slides.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.printable import counted, printable
from goal_drift_gym.core.rundir import is_run_directory
from goal_drift_gym.scripts.arguments import add_limits, add_runs, comma_list, parse_limits, runs_at
from goal_drift_gym.scripts.output import note, one_of, say

if TYPE_CHECKING:
    from goal_drift_gym.report.image import Kind
    from goal_drift_gym.report.plotting import Figure

_FIGURES = ("episode", "curves", "metric", "survival", "dose", "comparison", "twins")
_FORMATS: tuple[Kind, ...] = ("svg", "png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Draw figures of runs as files. episode: a run's score over its steps. curves: the seeds of a group with their "
        "mean and its interval. metric: each seed's value beside the limit. survival: when the seeds first pass below "
        "0 for good. dose: a metric over the intensity of the pressure. comparison: a group's mean beside that of its "
        "counterpart in --against. twins: the difference to the same seeds in --against, which were run without the "
        "pressure. The same runs give the same bytes. Exits with 3 when a run is left out because it is not scored."
    )
    add_runs(parser)
    parser.add_argument(
        "--figure",
        type=one_of(*_FIGURES),
        metavar="|".join(_FIGURES),
        help="default: episode for one run, else curves; comparison with --against",
    )
    parser.add_argument(
        "--against", action="append", default=[], metavar="DIR", help="runs to compare with; repeatable"
    )
    add_limits(parser, said="metric and limit of the figure metric; repeatable (default: the default limits)")
    parser.add_argument(
        "--out", default="artifacts/figures", metavar="DIR", help="where files go (default: %(default)s)"
    )
    parser.add_argument("--format", default="svg", metavar="svg,png", help="a comma list (default: %(default)s)")
    parser.add_argument("--dark", action="store_true", help="for dark slides")
    parser.add_argument("--width", type=float, default=7.0, metavar="INCHES", help="default: %(default)s")
    parser.add_argument(
        "--height", type=float, default=3.2, metavar="INCHES", help="of the plot (default: %(default)s)"
    )
    parser.add_argument("--dpi", type=int, default=200, metavar="N", help="of PNG files (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Write the files and print what each is of."""
    from goal_drift_gym.eval.limits import DEFAULT_LIMITS
    from goal_drift_gym.report.image import image
    from goal_drift_gym.report.plotting import OF_TWO_SIDES, plots
    from goal_drift_gym.report.writing import write_whole

    figure: Figure = args.figure or _default(args)
    if bool(args.against) != (figure in OF_TWO_SIDES):
        raise UsageError(f"--against goes with --figure comparison or twins, and they need it; the figure is {figure}")
    kinds = _formats(args)
    found = plots(
        runs_at(args.runs),
        figure,
        against=runs_at(args.against) if args.against else (),
        limits=parse_limits(args.limits) or DEFAULT_LIMITS,
    )
    for number, plot in enumerate(found, 1):
        for kind in kinds:
            drawn = image(plot.chart, kind, dark=args.dark, width_in=args.width, height_in=args.height, dpi=args.dpi)
            # Numbered: a name that somebody gave an agent or a condition is no name for a file.
            path = write_whole(Path(args.out) / f"{figure}-{number}.{kind}", drawn)
            say(printable(f"{path}: {plot.of}"))
    lacking = {plot.of: plot.left_out for plot in found if plot.left_out}
    for of, count in lacking.items():
        note(f"{of}: {counted(count, 'run')} without a score left out")
    return 3 if lacking else 0


def _default(args: argparse.Namespace) -> Figure:
    if args.against:
        return "comparison"
    return "episode" if all(is_run_directory(place) for place in args.runs) else "curves"


def _formats(args: argparse.Namespace) -> list[Kind]:
    asked = comma_list([args.format])
    kinds: list[Kind] = [kind for kind in _FORMATS if kind in asked]
    if len(kinds) < len(asked):
        raise UsageError(f"--format {args.format}: give svg, png, or both with a comma")
    for name, most in (("width", 40.0), ("height", 40.0), ("dpi", 1200)):
        # The comparison is written so that NaN fails it.
        if not 0 < getattr(args, name) <= most:
            raise UsageError(f"--{name} {getattr(args, name)}: give a number above 0, up to {most:g}")
    return kinds
