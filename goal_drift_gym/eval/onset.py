"""Where in an episode the drift set in, and after which event. It locates; it never decides.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.eval.events import ADVERSARY_MESSAGE, PHASE_CHANGE, SUMMARY, TOOL_FAILURE, TRUNCATION, event_steps
from goal_drift_gym.eval.triage import triage

_SHORTEST: Final = 2
_LONGEST_SEARCH: Final = 2000
_SMALL: Final = 1e-9
# Of several events in one step the one that says most is named.
_TELLING: Final = (ADVERSARY_MESSAGE, PHASE_CHANGE, TRUNCATION, SUMMARY, TOOL_FAILURE)


class Onset(msgspec.Struct, frozen=True, kw_only=True):
    """The stretch of an episode in which the score was lowest as a whole."""

    step: int
    """First step of the stretch."""
    last: int
    """Its last scored step."""
    inside: float
    """Mean score of the stretch, in [-1, 1]."""
    outside: float | None
    """Mean score of the other scored steps, in [-1, 1]; None where there are none."""
    event: str | None
    """Kind of the last event at or before `step`; None without one."""
    event_step: int | None
    """Step of that event."""
    source: str | None
    """Who sent the message, where the event is one; else which shaper it came from, where that is known."""

    @property
    def sentence(self) -> str:
        """The onset as a reader would write it."""
        if self.outside is None:
            return f"the score is low from the first scored step on (mean {self.inside:+.2f})"
        told = f"drift sets in at step {self.step} (mean score {self.outside:+.2f} elsewhere, {self.inside:+.2f} from "
        told += f"there to step {self.last})"
        if self.event is None:
            return f"{told}, no event before it"
        by = "" if self.source is None else f" ({self.source})"
        return f"{told}, after {self.event}{by} at step {self.event_step}"


def find_onset(records: Sequence[StepRecord], *, outcome: str) -> Onset | None:
    """Find where the score of a run fell.

    Parameters
    ----------
    records : sequence of StepRecord
        The steps of the run.
    outcome : str
        How it ended, one of `RUN_OUTCOMES`.

    Returns
    -------
    Onset or None
        The stretch of two or more scored steps whose mean lies below that of the rest and which, taken as one level
        and the rest as another, leaves the smallest sum of squares. A series without a fall that is nowhere above 0
        is low from its start. None for any other series without a fall, and for a run that is not scored.

    Notes
    -----
    A fall that lasts ends with the episode; a dip does not. Stretches of more than 2,000 scored steps are not
    searched for an end. Where a change point lies is a guess on one autocorrelated series, so no verdict uses it.
    """
    sorted_run = triage(records, outcome=outcome)
    if sorted_run.status != "scored":
        return None
    steps, scores = sorted_run.steps, sorted_run.scores
    found = _lowest_stretch(scores)
    if found is None:
        if max(scores) > 0.0:
            return None
        found = (0, len(scores))
    start, stop = found
    rest = [*scores[:start], *scores[stop:]]
    event = _last_event(sorted_run.own, steps[start])
    return Onset(
        step=steps[start],
        last=steps[stop - 1],
        inside=math.fsum(scores[start:stop]) / (stop - start),
        outside=math.fsum(rest) / len(rest) if rest else None,
        **event,
    )


def _lowest_stretch(scores: Sequence[float]) -> tuple[int, int] | None:
    import numpy as np

    count = len(scores)
    if count <= _SHORTEST:
        return None
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(scores, dtype=float))])
    total, best, found = float(sums[-1]), _SMALL, None
    for start in range(count - _SHORTEST + 1):
        first = start + _SHORTEST if count <= _LONGEST_SEARCH else count
        stops = np.arange(first, count + 1)
        inside = (stops - start).astype(float)
        outside = count - inside
        with np.errstate(divide="ignore", invalid="ignore"):
            low = (sums[stops] - sums[start]) / inside
            fall = np.where(outside > 0, (total - (sums[stops] - sums[start])) / outside - low, 0.0)
        gain = np.where(fall > 0.0, inside * outside / count * fall**2, 0.0)
        place = int(np.argmax(gain))
        # The smallest margin is asked for, so that of equal stretches the first one is named on every platform.
        if gain[place] > best * (1.0 + _SMALL):
            best, found = float(gain[place]), (start, int(stops[place]))
    return found


def _last_event(own: Sequence[StepRecord], step: int) -> dict[str, Any]:
    before = {kind: [at for at in steps if at <= step] for kind, steps in event_steps(own).items()}
    latest = max((steps[-1] for steps in before.values() if steps), default=None)
    if latest is None:
        return {"event": None, "event_step": None, "source": None}
    kinds = [kind for kind, steps in before.items() if steps and steps[-1] == latest]
    kind = next((telling for telling in _TELLING if telling in kinds), kinds[0])
    record = next(record for record in own if record.step == latest)
    return {"event": kind, "event_step": latest, "source": _source(record, kind)}


def _source(record: StepRecord, kind: str) -> str | None:
    if kind == ADVERSARY_MESSAGE:
        return next(adversary.source for adversary in record.adversaries if adversary.delivered)
    return next((event.by for event in record.events if event.kind == kind), None)
