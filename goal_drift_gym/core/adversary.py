"""Asking an agent for a pressure message: what it sees, how long it may take, and what becomes of what it says.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, cast

import msgspec

from goal_drift_gym.core.account import Account
from goal_drift_gym.core.adversary_settings import AdversaryAgent
from goal_drift_gym.core.canonical import clean_text
from goal_drift_gym.core.cohort import Cohort
from goal_drift_gym.core.condition import Condition
from goal_drift_gym.core.errors import AgentTimeout, EpisodeOver, UsageError
from goal_drift_gym.core.host import Agent, AgentHost
from goal_drift_gym.core.hygiene import LARGEST_TEXT, Breach, breach_of, plain_line
from goal_drift_gym.core.records import CallStatus, StepRecord
from goal_drift_gym.core.redaction import Redactor

ADVERSARY: Final = "adversary"
"""Who logs the events below, and the role under which adversaries report what they spend."""
SILENT: Final = "adversary_silent"
"""It was asked and had nothing to say."""
WITHHELD: Final = "adversary_withheld"
"""What it said breaks a rule and was not shown; `attempt` 2 is the last."""
FAILED: Final = "adversary_failed"
"""It raised, was late, or returned something that is no text."""
SPENT: Final = "adversary_spent"
"""Its dose is used up; it is not asked again."""
GAVE_UP: Final = "adversary_gave_up"
"""It owed too many messages. The run ends, because it is not the experiment it should be."""

_ANSWERS = frozenset({SILENT, WITHHELD, FAILED})
_LONGEST_ERROR, _LONGEST_EXCERPT = 500, 200


class SeenCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of the agent as an adversary sees it, in the scenario's own words."""

    tool: str
    args: dict[str, Any]
    status: CallStatus


class SeenStep(msgspec.Struct, frozen=True, kw_only=True):
    """A finished step as an adversary sees it: nothing in it that the condition does not declare."""

    step: int
    calls: tuple[SeenCall, ...] = ()
    alignment: float | None = None
    """The score; None also where the step has none."""
    notes: tuple[str, ...] = ()


class OwnMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What the adversary said before."""

    step: int
    text: str
    delivered: bool
    """Whether the agent got to see it."""


class AdversaryTurn(msgspec.Struct, frozen=True, kw_only=True):
    """What an adversary is called with. It returns a text, or None to stay silent."""

    step: int
    """Index of the step that is about to begin."""
    horizon: int
    """Number of steps of the episode."""
    source: str
    """The role under which it speaks."""
    position: Literal["observation", "tool_result"]
    intensity: float
    """How hard to press, in (0, 1]."""
    setting: str
    """The situation, in the scenario's words."""
    toward: str
    """The goal to push toward, in a few words; the polarity is taken into account."""
    toward_wording: str
    """The same in a sentence."""
    against: str
    """The goal that alignment is measured against."""
    against_wording: str
    swapped: bool
    """Whether the goals have changed places."""
    panels: dict[str, Any] | None = None
    """What the agent is about to be shown; None unless declared."""
    past: tuple[SeenStep, ...] = ()
    """The newest finished steps, oldest first; empty unless something of them is declared."""
    own_messages: tuple[OwnMessage, ...] | None = None
    """None unless declared."""
    messages_left: int
    """What is left of the dose."""
    characters_left: int
    longest: int
    """Characters a message may have."""
    timeout_s: float
    """Seconds there are to answer."""
    withheld: Breach | None = None
    """Why the text it gave a moment ago was not shown; it is asked for another one once."""
    report: Callable[..., None]
    """Takes what was spent; see `usage`."""

    def usage(self, **spent: Any) -> None:
        """Report what was spent, as with `Turn.usage`; it is kept apart from what the agent spends."""
        self.report(**spent)


Adversary = Callable[[AdversaryTurn], Any]
"""Anything that takes an `AdversaryTurn`, sync or async."""

AdversaryMaker = Callable[[AdversaryAgent, int], Adversary]
"""Makes the adversary of a setting for the episode with a seed."""


class Answer(msgspec.Struct, frozen=True):
    """What came of asking, in a form that can be read from a step record again."""

    text: str | None
    events: list[tuple[str, dict[str, Any]]]

    @property
    def is_owed(self) -> bool:
        """Whether there is no message although the adversary did not choose to be silent."""
        return self.text is None and bool(self.events) and self.events[-1][0] != SILENT


class AskedAdversary:
    """An adversary behind a deadline and the rules; whatever it does, an answer comes of it and nothing is raised."""

    def __init__(self, adversary: Adversary, timeout_s: float, redactor: Redactor, account: Account) -> None:
        self.adversary = adversary
        model = getattr(adversary, "model", None)
        self._model = model if isinstance(model, str) else None
        self._account = account
        self._redactor = redactor
        self._timeout_s = timeout_s
        self._host = AgentHost(cast(Agent, adversary), timeout_s)

    def report(self, *, model: str | None = None, **spent: Any) -> None:
        """Take what the adversary spent, as with `Turn.usage`."""
        self._account.add(role=ADVERSARY, model=model or self._model, **spent)

    def begin(self, cohort: Cohort | None) -> None:
        """Get ready for an episode; stopping those that run beside it ends a wait here too, and so does a budget."""
        if cohort is not None:
            self._host = AgentHost(cast(Agent, self.adversary), self._timeout_s, cohort=cohort, own_loop=True)
        if self._account.limits_time:
            self._host.limit_time(self._account.left_s)

    def ask(self, turn: AdversaryTurn) -> Answer:
        """Return what it says now; a text that breaks a rule is withheld and another one asked for, once.

        Nothing comes of it where a limit of the budget is reached, which ends the run.
        """
        answer = self._asked(turn)
        return Answer(None, []) if self._account.reached is not None else answer

    def _asked(self, turn: AdversaryTurn) -> Answer:
        events: list[tuple[str, dict[str, Any]]] = []
        for attempt in (1, 2):
            if self._account.reached is not None:
                break
            try:
                if self._host.stuck:
                    raise UsageError("it has not come back from an earlier step")
                said = self._host.ask(cast(Any, turn))
                if said is not None and not isinstance(said, str):
                    raise UsageError(f"it returned a {type(said).__name__}; a text or None is needed")
            except (Exception, SystemExit, EpisodeOver) as error:
                if isinstance(error, AgentTimeout):
                    self._account.out_of_time()
                events.append((FAILED, {"error": self._said(error)}))
                return Answer(None, events)
            if said is None:
                events.append((SILENT, {}))
                return Answer(None, events)
            text, breach = self._held_to_the_rules(said, turn.longest)
            if breach is None:
                return Answer(text, events)
            excerpt = clean_text(text, self._redactor, _LONGEST_EXCERPT)
            detail = {"attempt": attempt, "rule": breach.rule, "found": breach.found, "text": excerpt}
            events.append((WITHHELD, detail))
            turn = msgspec.structs.replace(turn, withheld=breach)
        return Answer(None, events)

    def close(self) -> None:
        """Let go of threads and loops, and have the adversary close what it holds."""
        self._host.close()
        close = getattr(self.adversary, "close", None)
        if not callable(close) or self._host.stuck:
            return
        closing = AgentHost(lambda turn: close(), self._timeout_s)
        try:
            closing.ask(cast(Any, None))
        except (Exception, SystemExit, EpisodeOver):
            # The episode is over, and what it was about is safe.
            return
        finally:
            closing.close()

    def _held_to_the_rules(self, said: str, longest: int) -> tuple[str, Breach | None]:
        if len(said) > LARGEST_TEXT:
            return said[:_LONGEST_EXCERPT], Breach(rule="length", found=f"{len(said)} characters of {longest}")
        text = plain_line(said, self._redactor)
        return text, breach_of(text, longest)

    def _said(self, error: BaseException) -> str:
        try:
            said = f"{type(error).__name__}: {error}"
        except Exception:
            said = f"{type(error).__name__} (its message could not be read)"
        return clean_text(said, self._redactor, _LONGEST_ERROR)


def recorded_answer(record: StepRecord, source: str) -> Answer:
    """Return what an adversary answered at a recorded step; empty where it was not asked."""
    said = [one.text for one in record.adversaries if one.reactive and one.source == source]
    events = [
        (event.kind, {key: value for key, value in event.detail.items() if key != "source"})
        for event in record.events
        if event.by == ADVERSARY and event.kind in _ANSWERS and event.detail.get("source") == source
    ]
    return Answer(said[0] if said else None, events)


def gave_up(record: StepRecord) -> bool:
    """Return whether an adversary's faults ended the run at this step."""
    return any(event.by == ADVERSARY and event.kind == GAVE_UP for event in record.events)


def asked_adversaries(
    condition: Condition, seed: int, make: AdversaryMaker | None, redactor: Redactor, account: Account
) -> dict[int, AskedAdversary]:
    """Return the adversaries of a condition by the index of their source.

    Raises
    ------
    UsageError
        If there is nobody to make one, or it cannot be made.
    """
    return {
        index: AskedAdversary(_made(index, setting, seed, make), setting.timeout_s, redactor, account)
        for index, setting in _settings(condition)
    }


def nobody(setting: AdversaryAgent, seed: int) -> Adversary:
    """Make an adversary that says nothing: for driving recorded steps again, whose messages are known."""
    return _Nobody()


class _Nobody:
    runs_inline = True

    def __call__(self, turn: AdversaryTurn) -> None:
        return


def _settings(condition: Condition) -> Iterator[tuple[int, AdversaryAgent]]:
    for index, pressure in enumerate(condition.pressure):
        if pressure.adversary:
            yield index, pressure.adversary


def _made(index: int, setting: AdversaryAgent, seed: int, make: AdversaryMaker | None) -> Adversary:
    if make is None:
        raise UsageError(
            f"pressure[{index}].adversary: this episode has nobody to make {setting.agent!r}; "
            "use runner.Experiment, or pass adversaries="
        )
    try:
        return make(setting, seed)
    except UsageError as error:
        raise UsageError(f"pressure[{index}].adversary: {error}") from error
