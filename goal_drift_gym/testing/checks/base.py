"""What a check is and what it is given.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from goal_drift_gym.core.condition import Condition
from goal_drift_gym.core.errors import ConditionError, UsageError
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.testing.lab import Bare, Lab, Lived
from goal_drift_gym.testing.reference import ScenarioReference
from goal_drift_gym.testing.report import Finding

Scope = Literal["scenario", "seed", "condition"]
"""How often a check is made: once, once a seed, or once a seed and condition."""

_MEND_SCENARIO = (
    "See the check survives_any_calls: score() must return a number in [-1, 1] or None, and a tool or query may raise "
    "nothing but ToolRefused, before it changes anything."
)
_MEND_MADE = "Mend what the message names: until then this check cannot be made."
_PACKAGE = str(Path(__file__).parents[2])
_OWN = (f"{_PACKAGE}/testing/", f"{_PACKAGE}/core/", f"{_PACKAGE}/agents/")


class Idle(Exception):
    """Raised by a check where a case has nothing of the kind it looks at."""


class Broken(Exception):
    """Raised by a check where an episode did not come to its end."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.got)
        self.finding = finding


class Case:
    """What a check looks at: a scenario with one seed, and one condition where it is made per condition."""

    def __init__(
        self,
        lab: Lab,
        reference: ScenarioReference,
        conditions: Mapping[str, Condition],
        limits: Mapping[str, float | bool],
        condition: Condition | None,
    ) -> None:
        self.lab = lab
        self.reference = reference
        self.conditions = conditions
        self.limits = limits
        self._condition = condition

    @property
    def scenario_class(self) -> type[Scenario]:
        """The scenario under check."""
        return self.lab.scenario_class

    @property
    def seed(self) -> int:
        """The seed."""
        return self.lab.seed

    @property
    def condition(self) -> Condition:
        """The condition; only for checks made per condition."""
        assert self._condition is not None
        return self._condition

    @property
    def plain(self) -> Condition:
        """The condition `baseline`, or a plain one where the scenario has none of that name."""
        return self.conditions.get("baseline") or Condition(name="baseline")

    def live(self, agent: str, condition: Condition | None = None, **settings: Any) -> Lived:
        """Return the episode of a reference agent, under this case's condition unless another is given.

        Raises
        ------
        Idle
            If the settings do not fit the condition.
        Broken
            If the scenario failed in it.
        """
        chosen = condition or self._condition or self.plain
        try:
            lived = self.lab.live(chosen, agent, **settings)
        except ConditionError as error:
            raise Idle(str(error)) from error
        if lived.outcome in ("infra_error", "agent_error"):
            by_scenario = lived.outcome == "infra_error"
            raise Broken(
                Finding(
                    expected="an episode that comes to its end",
                    got=f"the {'scenario' if by_scenario else 'agent'} failed: {lived.detail}",
                    mend=_MEND_SCENARIO if by_scenario else _MEND_MADE,
                    agent=agent,
                    step=len(lived.records),
                )
            )
        return lived

    def bare(self) -> Bare:
        """Return the scenario, reset, to be driven without the engine."""
        return Bare(self.scenario_class, self.seed)

    def placed(self, finding: Finding, check: Check) -> Finding:
        """Return a finding with its place, the way to mend it and the command that shows it again."""
        name = self._condition.name if self._condition is not None else finding.condition
        command = f"goal-drift check {self.reference.text} --only {check.name}"
        if check.per != "scenario":
            command += f" --seeds {self.seed},"
        if self._condition is not None:
            command += f" --condition {name}"
        return msgspec.structs.replace(
            finding,
            condition=name,
            seed=None if check.per == "scenario" else self.seed,
            mend=finding.mend or check.mend,
            again=command,
        )


CheckFunction = Callable[[Case], Iterator[Finding]]


class Check(msgspec.Struct, frozen=True):
    """A named thing that every scenario must hold."""

    name: str
    summary: str
    """What it asks for, in a sentence."""
    mend: str
    """How a scenario that does not hold it is put right."""
    per: Scope
    function: CheckFunction

    def made(self, case: Case) -> tuple[bool, list[Finding]]:
        """Make the check on a case: whether it applies, and what it found."""
        try:
            found = list(self.function(case))
        except Idle:
            return False, []
        except Broken as broken:
            found = [broken.finding]
        except UsageError as error:
            mend = "Mend the condition, or give the scenario what it asks for."
            found = [Finding(expected="a scenario and conditions that fit each other", got=str(error), mend=mend)]
        except Exception as error:
            # One check that cannot be made must not keep the others from reporting.
            outside = _from_outside(error)
            expected = "a scenario that raises nothing but ToolRefused" if outside else "a check that can be made"
            got = f"{type(error).__name__}: {error} ({_line_of(error)})"
            found = [Finding(expected=expected, got=got, mend="" if outside else _MEND_MADE)]
        return True, [case.placed(finding, self) for finding in found]


def check(*, per: Scope, mend: str) -> Callable[[CheckFunction], Check]:
    """Make a check of a function; its name is the check's, its docstring says what it asks for."""

    def declare(function: CheckFunction) -> Check:
        summary = (function.__doc__ or "").split("\n\n")[0].replace("\n    ", " ").strip()
        return Check(function.__name__, summary, mend, per, function)

    return declare


def shown(value: Any, most: int = 160) -> str:
    """Return a value as a finding shows it, cut where it is long."""
    text = str(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= most else text[: most - 3] + "..."


def _frames(error: BaseException) -> list[tuple[str, int]]:
    """Return file and line of each frame that an exception came through, and then those of what caused it."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return frames if error.__cause__ is None else [*frames, *_frames(error.__cause__)]


def _from_outside(error: BaseException) -> bool:
    """Return whether an exception came out of the scenario and not out of the kit itself."""
    return any(not file.startswith(_OWN) for file, _ in _frames(error))


def _line_of(error: BaseException) -> str:
    outside = [place for place in _frames(error) if not place[0].startswith(_OWN)] or _frames(error)
    file, line = outside[-1]
    return f"{Path(file).name}:{line}"
