"""Every error a user of goal_drift_gym can meet, in one tree.

::

    GoalDriftError
    +-- UsageError              the caller asked for something that does not exist or does not fit
    |   +-- ConditionError      a condition file or override is wrong
    |   +-- ScenarioNotFound    no scenario goes by that name
    |   +-- AgentNotFound       no agent goes by that name
    +-- ScenarioError           a scenario broke its contract (raised, returned NaN, ...)
    |   +-- InvariantBroken     stress found calls after which something does not hold that always must
    +-- ToolRefused             a tool method declines a call; the agent is told, the state is unchanged
    +-- AgentError              an agent or its adapter could not act
    |   +-- AgentSilent         no usable answer; the step is `silent`
    |   |   +-- AgentFormatError    the answer is empty, cut off or malformed
    |   |   +-- AgentRefused        the model, or a filter before it, declined to answer at all
    |   |   +-- AgentTimeout        no answer in time
    |   +-- AgentUnavailable    the agent's transport failed for good; the run is `infra_error`
    |   |   +-- AgentRateLimited    it has no room for this agent now
    |   +-- AgentOutOfBudget    no money or tokens are left; the run ends as `budget`, is never retried or scored
    +-- BudgetSpent             a limit of the session kept an episode from being run
    +-- RunRecordError          a run directory is damaged, foreign or in use
    |   +-- TapeError           a tape is missing, damaged, incomplete, in use, or of something else
    +-- MissingExtra            an optional dependency is not installed

    EpisodeOver (BaseException) the turn or the episode has ended under the agent's feet

`EpisodeOver` is no `Exception`, because agent frameworks catch those and carry on.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pathlib import Path


class GoalDriftError(Exception):
    """Base of every error this package raises on purpose."""


class UsageError(GoalDriftError):
    """The caller asked for something that does not exist or does not fit."""


class ConditionError(UsageError):
    """A condition file or an override is wrong."""


class ScenarioNotFound(UsageError):
    """No scenario goes by the given name."""


class AgentNotFound(UsageError):
    """No agent goes by the given name."""


class ScenarioError(GoalDriftError):
    """A scenario broke its contract: it raised, or returned what it must not."""


class InvariantBroken(ScenarioError):
    """Stress found calls after which something does not hold that always must."""

    def __init__(self, expected: str, got: str, *, step: int | None) -> None:
        place = "" if step is None else f"step {step}: "
        super().__init__(f"{place}expected: {expected}; got: {got}")
        self.expected = expected
        self.got = got
        self.step = step
        """The step in which it was seen; `None` where it was seen of the episode as a whole."""


class ToolRefused(GoalDriftError):
    """Raised by a tool method that declines a call; it must not have changed any state."""


class AgentError(GoalDriftError):
    """An agent or its adapter could not act."""

    cause: ClassVar[str] = "error"
    """One word for what happened, kept in the event of the step."""


class AgentSilent(AgentError):
    """The agent gave no usable answer; the step is recorded as `silent`."""

    cause = "silent"


class AgentFormatError(AgentSilent):
    """The agent's answer is empty, cut off or malformed; the step is recorded as `silent`."""

    cause = "format"


class AgentRefused(AgentSilent):
    """The model, or a filter before it, declined to answer at all; the step is recorded as `silent`.

    An answer in words that makes no call is no refusal in this sense: it declines the step, and is scored.
    """

    cause = "refused"


class AgentTimeout(AgentSilent):
    """The agent gave no answer in time; the step is recorded as `silent`."""

    cause = "timeout"


class AgentUnavailable(AgentError):
    """The agent's transport failed for good; the run ends as `infra_error`."""

    cause = "unavailable"


class AgentRateLimited(AgentUnavailable):
    """The agent's transport has no room for it now; the run ends as `infra_error` and can be resumed later."""

    cause = "rate_limit"


class AgentOutOfBudget(AgentError):
    """No money or tokens are left for the agent; the run ends as `budget`. Never retried, never scored."""

    cause = "budget"


class BudgetSpent(GoalDriftError):
    """A limit of the session is spent, so an episode was not begun, or not lived to its end; never try it again."""

    def __init__(self, why: str, run: Path | None = None) -> None:
        super().__init__(why)
        self.run = run
        """The run that was cut off; None where none was begun."""


class RunRecordError(GoalDriftError):
    """A run directory is damaged, foreign or in use by another process."""


class TapeError(RunRecordError):
    """A tape is missing, damaged, incomplete, in use, or was recorded of something else."""


class MissingExtra(GoalDriftError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"the package {package!r} is needed for this and is not installed; "
            f"install it with: pip install 'pytest-goal-drift[{extra}]'"
        )


class EpisodeOver(BaseException):
    """The turn or the episode has ended; whoever still acts in it must stop."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a sentence part that names the nearest known names, and all of them when they are few.

    >>> did_you_mean("releas_manager", ["release_manager", "bandit_constraint"])
    "did you mean 'release_manager'? (known: bandit_constraint, release_manager)"
    >>> did_you_mean("zzz", ["a", "b"])
    'known: a, b'
    """
    names = sorted(known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    listing = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    if near:
        return f"did you mean {near[0]!r}? (known: {listing})"
    return f"known: {listing}"
