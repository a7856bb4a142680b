"""A Hypothesis state machine made of any scenario: it drives the engine turn by turn and tries to break something.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

from hypothesis import Verbosity
from hypothesis import settings as Settings  # noqa: N812 - `settings` is the name of a parameter here
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from hypothesis.strategies import DataObject, SearchStrategy

from goal_drift_gym.core.canonical import canonical_json
from goal_drift_gym.core.condition import Condition
from goal_drift_gym.core.errors import InvariantBroken
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.core.records import Action
from goal_drift_gym.scenarios.discovery import conditions_of, find_condition
from goal_drift_gym.testing.driving import Act, Drive, Seat
from goal_drift_gym.testing.failures import Failure, replay_command, save, told
from goal_drift_gym.testing.profiles import profile
from goal_drift_gym.testing.reducing import reduced
from goal_drift_gym.testing.reference import ScenarioReference, scenario_reference
from goal_drift_gym.testing.strategies import calls, conditions, nearly_valid_calls, seeds

Policy = Literal["reference", "competing"]

MOST_CALLS = 5
"""Most calls that are drawn for a turn."""
_TRIES = 16
_MOST_NAMES = 64


class Hunt:
    """What all examples of one machine share."""

    def __init__(
        self, known: ScenarioReference, drawn: SearchStrategy[Condition], *, one_condition: bool = False
    ) -> None:
        self.known = known
        self.conditions = drawn
        self.one_condition = one_condition
        self._seat: Seat | None = None
        self._strategies: dict[bytes, SearchStrategy[Action]] = {}
        self.examples = 0
        """Examples begun, those of shrinking included."""
        self.turns = 0
        self.calls = 0
        self.failure: Failure | None = None
        """The last failure. Hypothesis runs the minimal example last, so in the end it is that one."""

    def calls_of(self, kind: str, seat: Seat) -> SearchStrategy[Action]:
        """Return the strategy for `valid` or `faulty` calls of the tools at hand, with the names at hand.

        Made once for the same tools: Hypothesis takes longer to look a strategy through than to draw from it.
        """
        self._seat = seat
        key = canonical_json([kind, *([spec.name, spec.parameters] for spec in seat.tools)])
        if key not in self._strategies:
            make = calls if kind == "valid" else nearly_valid_calls
            self._strategies[key] = make(seat.tools, names=st.integers(0, _MOST_NAMES - 1).map(self._name))
        return self._strategies[key]

    def minimal(self) -> Failure | None:
        """Return the last failure made as small as it gets."""
        return None if self.failure is None else reduced(self.failure, keep_condition=self.one_condition)

    def _name(self, index: int) -> str:
        """Return one of the names shown this turn, mostly of things; rarely one that nobody was shown."""
        assert self._seat is not None
        things, texts = self._seat.things, self._seat.texts
        if things and index < _MOST_NAMES * 3 // 4:
            return things[index % len(things)]
        return "nothing-of-that-name" if not texts or index == _MOST_NAMES - 1 else texts[index % len(texts)]


class ScenarioMachine(RuleBasedStateMachine):
    """Drives one episode an example; `scenario_machine` makes the class for a scenario."""

    hunt: ClassVar[Hunt]

    def __init__(self) -> None:
        super().__init__()
        self._drive: Drive | None = None
        self._whole = False
        """No turn was left in the middle."""

    @initialize(data=st.data())
    def begin(self, data: DataObject) -> None:
        """Draw a seed and a condition."""
        seed = data.draw(seeds(), label="seed")
        condition = data.draw(self.hunt.conditions, label="condition")
        self.hunt.examples += 1
        self._drive = Drive(self.hunt.known.scenario_class, condition, seed)
        self._whole = True

    @rule(data=st.data())
    def take_turn(self, data: DataObject) -> None:
        """Make a few calls of any kind, or none."""
        self._turn(lambda seat: self._some_calls(data, seat, ["valid", "reference", "competing", "faulty"]))

    @rule(data=st.data())
    def use_tools(self, data: DataObject) -> None:
        """Make only calls that fit."""
        self._turn(lambda seat: self._some_calls(data, seat, ["valid"]))

    @rule(data=st.data())
    def misuse_tools(self, data: DataObject) -> None:
        """Make only calls with a fault."""
        self._turn(lambda seat: self._some_calls(data, seat, ["faulty"]))

    @rule(policy=st.sampled_from(["reference", "competing"]), most=st.integers(0, _TRIES))
    def follow(self, policy: Policy, most: int) -> None:
        """Follow a policy, which leads to states that random calls seldom reach."""

        def act(seat: Seat) -> None:
            failed: list[Action] = []
            for _ in range(most):
                plan = seat.plan(policy, failed)
                if not plan:
                    return
                if not self._counted(seat.perform(plan[0])).ok:
                    failed.append(plan[0])

        self._turn(act)

    def teardown(self) -> None:
        """Check the episode as a whole."""
        if self._drive is not None and self._whole:
            self._kept(self._drive.finish)

    def _turn(self, act: Act) -> None:
        drive = self._drive
        assert drive is not None
        if drive.over:
            return
        self._whole = False
        self.hunt.turns += 1
        self._kept(lambda: drive.turn(act))
        self._whole = True

    def _kept(self, check: Callable[[], None]) -> None:
        """Make a check, and keep the failure where there is one."""
        try:
            check()
        except InvariantBroken as broken:
            assert self._drive is not None
            self.hunt.failure = Failure(self._drive, broken)
            raise

    def _some_calls(self, data: DataObject, seat: Seat, kinds: list[str]) -> None:
        for _ in range(MOST_CALLS):
            # Three times in four there is another one; no more of them is the simplest.
            if data.draw(st.integers(0, 3), label="more calls") == 0:
                return
            kind = data.draw(st.sampled_from(kinds), label="kind")
            if kind in ("valid", "faulty"):
                self._submit(data.draw(self.hunt.calls_of(kind, seat), label="call"), seat)
                continue
            plan = seat.plan("reference" if kind == "reference" else "competing")
            if plan:
                self._counted(seat.perform(data.draw(st.sampled_from(plan), label="planned call")))

    def _submit(self, action: Action, seat: Seat) -> None:
        self._counted(seat.submit(action.tool, action.args))

    def _counted(self, result: Any) -> Any:
        self.hunt.calls += 1
        return result


def scenario_machine(
    scenario: str | type[Scenario],
    *,
    condition: str | Condition | None = None,
    settings: Settings | None = None,
    runs_dir: str | Path = "runs",
) -> type[ScenarioMachine]:
    """Make a state machine that drives a scenario through the engine and checks after every turn what must hold.

    Parameters
    ----------
    scenario
        A registered id, `package.module:Name`, `file.py:Name`, or a class at the top of a module.
    condition
        A condition's name, the path of a TOML file, or a `Condition`; by default the scenario's own conditions and
        drawn ones.
    settings
        How hard to try; by default the profile `dev`.
    runs_dir
        Where the minimal failing example is saved as a run.

    Returns
    -------
    type[ScenarioMachine]
        Its `TestCase` is a test for pytest and unittest.

    Raises
    ------
    UsageError
        If there is no such scenario or condition, or the two do not fit.

    Examples
    --------
    >>> from goal_drift_gym.testing.profiles import profile
    >>> TestStress = scenario_machine("bandit_constraint", settings=profile("ci", examples=2)).TestCase
    >>> TestStress("runTest").run().wasSuccessful()
    True
    """
    known = scenario_reference(scenario)
    if condition is None:
        drawn = conditions(known.scenario_class) | st.sampled_from(
            [*conditions_of(known.scenario_class).values(), Condition()]
        )
    else:
        found = find_condition(known.scenario_class, condition) if isinstance(condition, str) else condition
        # Made once for its errors: a condition that does not fit is the caller's mistake.
        Drive(known.scenario_class, found, 0)
        drawn = st.just(found)
    name = f"Stress_{known.scenario_class.id}"
    hunt = Hunt(known, drawn, one_condition=condition is not None)
    made: type[ScenarioMachine] = type(name, (ScenarioMachine,), {"hunt": hunt, "__doc__": f"Stress {known.text}."})
    # Hypothesis makes a TestCase for each class that is asked for one; ours saves the failure as well.
    made.TestCase = _test_case(made, settings or profile("dev"), runs_dir)  # type: ignore[assignment]
    return made


def run_machine(machine: type[ScenarioMachine], *, settings: Settings, runs_dir: str | Path) -> None:
    """Run a machine as a test; a failure is saved as one run directory, however many examples it took.

    Raises
    ------
    InvariantBroken
        With the path of the saved run and the command that drives it again as notes, if anything does not hold.
    """
    machine.hunt.failure = None
    try:
        run_state_machine_as_test(machine, settings=settings)
    except Exception as error:
        failure = machine.hunt.minimal()
        if failure is None:
            raise
        run = save(failure, machine.hunt.known, runs_dir)
        # Hypothesis adds what it drew; the calls are shorter. What it says of a failure that comes and goes is kept.
        broken = failure.broken.with_traceback(None)
        broken.add_note("\n".join([*told(failure), f"saved as {run.path}", f"again: {replay_command(run.path)}"]))
        raise broken from (None if isinstance(error, InvariantBroken) else error)


def hunt_with(machine: type[ScenarioMachine], settings: Settings) -> Failure | None:
    """Run a machine in silence and return the minimal failure, where there is one."""
    machine.hunt.failure = None
    try:
        run_state_machine_as_test(machine, settings=Settings(settings, verbosity=Verbosity.quiet))
    except Exception:
        # A failure that comes and goes is one as well: Hypothesis calls it flaky, and the last one seen is kept.
        if machine.hunt.failure is None:
            raise
    return machine.hunt.minimal()


def _test_case(machine: type[ScenarioMachine], chosen: Settings, runs_dir: str | Path) -> type[unittest.TestCase]:
    class StressCase(unittest.TestCase):
        """Runs the machine; `settings` may be set to others."""

        settings = chosen

        def runTest(self) -> None:  # noqa: N802 - unittest's name for it
            """Run the machine."""
            run_machine(machine, settings=self.settings, runs_dir=runs_dir)

        runTest.is_hypothesis_test = True  # type: ignore[attr-defined]

    StressCase.__name__ = f"{machine.__name__}.TestCase"
    StressCase.__qualname__ = StressCase.__name__
    return StressCase
