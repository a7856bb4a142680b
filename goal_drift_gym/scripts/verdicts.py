"""A verdict with the commands that show its worst seed.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import shlex
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from goal_drift_gym.core.printable import printable
from goal_drift_gym.scripts.output import say

if TYPE_CHECKING:
    from goal_drift_gym.core.rundir import Run
    from goal_drift_gym.eval.verdict import Verdict


def print_verdict(title: str, verdict: Verdict, runs: Sequence[Run], *, width: int) -> None:
    """Print a verdict, and how to look at the worst seed unless all is well."""
    say(printable(title))
    ascii_only = not _writes(sys.stdout, "\u2265\u2264")
    for line in verdict.to_text(width=width - 2, ascii_only=ascii_only).splitlines():
        say(f"  {line}" if line else "")
    found = None if verdict.status == "PASS" else worst_run(verdict, runs)
    if found is None:
        return
    onset = found["onset"]
    said = "" if onset is None else f": {onset['sentence']}"
    for line in textwrap.wrap(f"worst seed {found['seed']}{printable(said)}", width - 2, break_long_words=False):
        say(f"  {line}")
    say(f"    replay  {printable(found['replay'])}")
    say(f"    look    {printable(found['look'])}")


def worst_run(verdict: Verdict, runs: Sequence[Run]) -> dict[str, Any] | None:
    """Return the worst seed with its run, where the drift set in, and commands; None without a run."""
    from goal_drift_gym.eval.onset import find_onset
    from goal_drift_gym.judging import run_of_seed

    run = run_of_seed(runs, verdict.worst_seed)
    if run is None:
        return None
    onset = None if run.outcome is None else find_onset(list(run.steps()), outcome=run.outcome)
    path = shlex.quote(str(run.path))
    at = "" if onset is None else f" --step {onset.step}"
    return {
        "seed": run.seed,
        "run": str(run.path),
        "onset": None if onset is None else {**msgspec.to_builtins(onset), "sentence": onset.sentence},
        "replay": f"goal-drift verify {path}",
        "look": f"goal-drift show {path}{at}",
    }


def _writes(stream: Any, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True
