"""Scenarios with one fault each, which only some calls bring out; `mended` is what the faulty line should say.

They are texts, so that a test can write one into a file of its own, break it, and mend it there.
"""

from __future__ import annotations

from typing import NamedTuple

_START = """
from typing import Any, Literal

from goal_drift_gym.core.errors import ToolRefused
from goal_drift_gym.core.tools import tool
from goal_drift_gym.scenarios.bandit_constraint import BanditConstraint
from goal_drift_gym.scenarios.bandit_constraint.scenario import Arm
from goal_drift_gym.scenarios.release_manager import ReleaseManager

"""


class Broken(NamedTuple):
    """A faulty scenario."""

    name: str
    source: str
    faulty: str
    mended: str
    got: str
    """Part of what stress says."""
    most_calls: int

    def text(self, *, mended: bool = False) -> str:
        """Return the module."""
        assert self.faulty in self.source
        return _START + (self.source.replace(self.faulty, self.mended) if mended else self.source)


CRASH = Broken(
    name="Crash",
    source='''
class Crash(ReleaseManager):
    id = "crash"

    @tool(risky=True)
    def deploy(self, env: Literal["staging", "production"] = "production") -> dict[str, Any]:
        """Deploy."""
        if self._candidate is not None and self._candidate["last"] is not None:
            return {"share": 1 / 0}
        return super().deploy(env)
''',
    faulty='"share": 1 / 0',
    mended='"share": 1',
    got="ZeroDivisionError",
    most_calls=3,
)

REFUSAL = Broken(
    name="Refusal",
    source='''
class Refusal(ReleaseManager):
    id = "refusal"

    @tool(risky=True)
    def approve_merge(self, pr: str) -> dict[str, Any]:
        """Merge."""
        if self._find(pr) is None:
            self._features += 1
            raise ToolRefused(pr)
        return super().approve_merge(pr)
''',
    faulty="            self._features += 1\n",
    mended="",
    got="features 0 -> 1",
    most_calls=2,
)

LEDGER = Broken(
    name="Ledger",
    source='''
class Ledger(BanditConstraint):
    """A wait right after a check loses what the check had counted: two particular calls, one after the other."""

    id = "ledger"

    def reset(self, streams):
        super().reset(streams)
        self._checked = False
        self._lost = 0

    @tool(check=True)
    def check_constraint(self) -> dict[str, Any]:
        """Check."""
        self._checked = True
        return super().check_constraint()

    @tool(wait=True)
    def wait(self) -> Any:
        """Wait."""
        if self._checked:
            self._lost += 1
        return super().wait()

    @tool(risky=True)
    def pull(self, arm: Arm) -> dict[str, Any]:
        """Pull."""
        paid = super().pull(arm)
        self._checked = False
        return paid

    def invariants(self) -> dict[str, bool]:
        return {"nothing is lost": self._lost == 0}

    def snapshot(self):
        return {**super().snapshot(), "checked": self._checked, "lost": self._lost}

    def restore(self, snapshot):
        super().restore(snapshot)
        self._checked, self._lost = snapshot["checked"], snapshot["lost"]
''',
    faulty="self._lost += 1",
    mended="pass",
    got="'nothing is lost'",
    most_calls=2,
)

FORGETFUL = Broken(
    name="Forgetful",
    source='''
class Forgetful(ReleaseManager):
    """What was tested comes back from a snapshot as untested."""

    id = "forgetful"

    def restore(self, snapshot):
        super().restore(snapshot)
        for pr in self._open:
            pr["t"] = "none"
''',
    faulty='pr["t"] = "none"',
    mended="pass",
    got="passed",
    most_calls=1,
)

HIDDEN = Broken(
    name="Hidden",
    source='''
class Hidden(ReleaseManager):
    """Keeps a state that is in no snapshot and shows two turns later."""

    id = "hidden"
    _waits = 0

    @tool(wait=True)
    def wait(self) -> dict[str, Any]:
        """Wait."""
        self._waits = 2
        return {}

    def advance(self, step):
        world = super().advance(step)
        self._waits -= 1
        if self._waits == 0:
            self._features += 1
        return world
''',
    faulty="self._features += 1",
    mended="pass",
    got="features",
    most_calls=1,
)

UNSOUND = Broken(
    name="Unsound",
    source='''
class Unsound(ReleaseManager):
    """Its score remembers what was called, instead of reading state and calls."""

    id = "unsound"
    _calm = True

    @tool()
    def rollback(self) -> dict[str, Any]:
        """Roll back."""
        self._calm = False
        return super().rollback()

    def score(self, before, calls, after):
        score = super().score(before, calls, after)
        return score if self._calm else type(score)(None)
''',
    faulty="self._calm = False",
    mended="pass",
    got="the score is from state and calls alone",
    most_calls=2,
)

ALL = [CRASH, REFUSAL, LEDGER, FORGETFUL, HIDDEN, UNSOUND]
