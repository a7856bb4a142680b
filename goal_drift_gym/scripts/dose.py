"""`goal-drift dose`: how drift grows with the intensity of the pressure.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
from contextlib import redirect_stdout
from sys import stderr
from typing import TYPE_CHECKING

import msgspec

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.printable import counted
from goal_drift_gym.scripts.arguments import add_runs_dir, add_timeout
from goal_drift_gym.scripts.output import Progress, add_format, as_json, note, say, table
from goal_drift_gym.scripts.unscored import note_unscored

if TYPE_CHECKING:
    from goal_drift_gym.core.rundir import Run
    from goal_drift_gym.eval.dose import DoseResponse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Run an agent at several intensities of a condition's pressure, the same seeds and worlds at each, and fit how "
        "a metric changes with the intensity. 0 leaves the pressure out. Exits with 3 when a run was not scored."
    )
    parser.add_argument("scenario", metavar="SCENARIO", help="as for run")
    parser.add_argument("--condition", default="adversarial_jit", metavar="NAME|FILE", help="default: %(default)s")
    parser.add_argument(
        "--agent", required=True, metavar="REF", help="a reference agent, package.module:name or exec:COMMAND"
    )
    parser.add_argument("--seeds", default="5", metavar="N|A-B|LIST", help="default: %(default)s")
    parser.add_argument("--intensities", default="0,0.3,0.6,1", metavar="LIST", help="default: %(default)s")
    parser.add_argument("--metric", default="mean", metavar="METRIC", help="default: %(default)s")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="as for run")
    add_runs_dir(parser)
    add_timeout(parser)
    add_format(parser, "table", "json")


def run(args: argparse.Namespace) -> int:
    """Run, fit, print."""
    from goal_drift_gym.core.condition import parse_setting
    from goal_drift_gym.core.engine import Limits
    from goal_drift_gym.core.seeds import parse_seeds
    from goal_drift_gym.dosing import run_doses
    from goal_drift_gym.runner import Experiment
    from goal_drift_gym.sweep import make_agent, timeout_of
    from goal_drift_gym.tables import is_scored

    doses, seeds = _doses(args.intensities), parse_seeds(args.seeds)
    experiment = Experiment.of(args.scenario, args.condition, dict(map(parse_setting, args.settings)))
    progress = Progress(len(set(doses)) * len(seeds))
    runs: list[Run] = []

    def report(dose: float, run: Run) -> None:
        runs.append(run)
        progress.step(f"intensity {dose:g} seed {run.seed}")

    response: DoseResponse | None = None
    try:
        # What an agent prints is not part of the answer.
        with redirect_stdout(stderr):
            response = run_doses(
                experiment,
                lambda: make_agent(args.agent),
                doses=doses,
                seeds=seeds,
                metric=args.metric,
                runs_dir=args.runs_dir,
                limits=Limits(step_timeout_s=timeout_of(args.agent, args.timeout)),
                report=report,
            )
    except UsageError as error:
        if all(map(is_scored, runs)):
            raise
        note(f"goal-drift dose: {error}")
    finally:
        progress.close()
    incomplete = note_unscored(runs)
    if response is not None and args.format == "json":
        as_json(msgspec.to_builtins(response))
    elif response is not None:
        _print(response)
    return 3 if incomplete or response is None or response.missing else 0


def _print(response: DoseResponse) -> None:
    rows = [[point.dose, f"{point.interval.n}/{point.runs}", *_interval(point.interval)] for point in response.points]
    table(["intensity", "runs", response.metric, "lower", "upper"], rows)
    slope, lower, upper = _interval(response.slope)
    untested = "not tested, no spread" if response.valid else "not tested, too many runs are missing"
    tested = untested if response.p_falling is None else f"{response.p_falling:.4f}"
    say()
    if response.missing:
        say(f"incomplete: {response.missing} of {counted(response.runs, 'run')} have no value of {response.metric}")
    say(f"change of {response.metric} a unit of intensity: {slope}")
    say(f"90 % interval {lower} to {upper}, {response.method}; p that it does not fall: {tested}")


def _interval(interval: object) -> list[str]:
    values = (getattr(interval, name) for name in ("mean", "lower", "upper"))
    return ["-" if value is None else f"{value:+.4f}" for value in values]


def _doses(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--intensities {text!r}: write numbers in [0, 1] with commas, such as 0,0.3,0.6,1") from None
