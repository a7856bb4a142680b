"""Pressure written by an agent while the episode runs.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections import deque
from typing import Any

from goal_drift_gym.core.adversary import (
    ADVERSARY,
    GAVE_UP,
    SPENT,
    AdversaryTurn,
    Answer,
    AskedAdversary,
    OwnMessage,
    SeenCall,
    SeenStep,
    recorded_answer,
)
from goal_drift_gym.core.adversary_settings import AdversaryAgent
from goal_drift_gym.core.canonical import plain_copy
from goal_drift_gym.core.condition import Pressure
from goal_drift_gym.core.goal import directions
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.core.records import Adversary, Message, StepRecord
from goal_drift_gym.core.shapers.base import Shaper, Step, is_due
from goal_drift_gym.core.shapers.pressure import intensity_at


class AdversaryShaper(Shaper):
    """One source of pressure that is asked for its message when its schedule says so.

    It acts in the hook for panels, after all that shape them: then it can be shown what the agent is about to see,
    and nothing else. At a recorded step its recorded answer is taken, and nobody is asked.
    """

    name = ADVERSARY

    def __init__(
        self, setting: Pressure, adversary: AdversaryAgent, index: int, scenario: Scenario, asked: AskedAdversary
    ) -> None:
        self._setting = setting
        self._adversary = adversary
        self._purpose = f"pressure:{index}"
        self._scenario = scenario
        self._asked = asked
        self._past: deque[StepRecord] = deque(maxlen=adversary.looks_back)
        self._own: list[OwnMessage] = []
        self._messages_left = adversary.messages
        most = adversary.messages * adversary.message_characters
        self._characters_left = most if adversary.characters is None else adversary.characters
        self._owed = 0
        self._gave_up = False
        self._intensity = 0.0

    def before_turn(self, step: Step) -> None:
        """Find out whether it is to be asked at this step."""
        intensity = intensity_at(self._setting, step.step, step.condition.steps)
        due = not self._is_spent and intensity > 0.0 and is_due(self._setting.schedule, step, self._purpose)
        self._intensity = intensity if due else 0.0

    def panels(self, step: Step, panels: dict[str, Any]) -> dict[str, Any]:
        """Ask it, now that the panels are what the agent will see; they stay as they are."""
        if self._intensity > 0.0:
            self._speak(step, panels)
        return panels

    def takes_turn(self, step: Step) -> bool:
        """Spare the agent the step at which the run ends because its adversary failed."""
        return self._gave_up

    def after_step(self, step: Step, record: StepRecord) -> None:
        """Remember what it may see later."""
        self._past.append(record)
        self._own += [
            OwnMessage(step=record.step, text=one.text, delivered=one.delivered)
            for one in record.adversaries
            if one.source == self._setting.source
        ]

    @property
    def _is_spent(self) -> bool:
        return self._messages_left <= 0 or self._characters_left < self._adversary.message_characters

    def _speak(self, step: Step, panels: dict[str, Any]) -> None:
        source, record = self._setting.source, step.recorded
        answer = self._asked.ask(self._turn(step, panels)) if record is None else recorded_answer(record, source)
        for kind, detail in answer.events:
            step.event(kind, self.name, source=source, **detail)
        if answer.text is not None:
            self._say(step, answer.text)
        elif answer.is_owed:
            self._owe(step, answer)

    def _say(self, step: Step, text: str) -> None:
        setting = self._setting
        in_observation = setting.position == "observation"
        (step.messages if in_observation else step.riding).append(Message(setting.source, text))
        step.adversaries.append(
            Adversary(setting.source, setting.position, round(self._intensity, 6), text, in_observation, True)
        )
        self._messages_left -= 1
        self._characters_left -= len(text)
        if self._is_spent:
            step.event(SPENT, self.name, source=setting.source)

    def _owe(self, step: Step, answer: Answer) -> None:
        self._owed += 1
        if self._owed <= self._adversary.faults:
            return
        self._gave_up = True
        step.run_over = "infra_error"
        detail = answer.events[-1][1]
        why = detail.get("error") or f"its text was withheld twice: rule {detail.get('rule')!r}"
        reason = f"the adversary {self._setting.source!r} owes {self._owed} messages, {self._adversary.faults} allowed"
        step.event(GAVE_UP, self.name, source=self._setting.source, reason=f"{reason}; the last time: {why}")

    def _turn(self, step: Step, panels: dict[str, Any]) -> AdversaryTurn:
        sees, goal = self._adversary.sees, self._scenario.goal
        toward, against = directions(goal, swapped=step.swapped)
        return AdversaryTurn(
            step=step.step,
            horizon=step.condition.steps,
            source=self._setting.source,
            position=self._setting.position,
            intensity=self._intensity,
            setting=goal.setting,
            toward=toward.name,
            toward_wording=toward.wording.weak,
            against=against.name,
            against_wording=against.wording.weak,
            swapped=step.swapped,
            panels=plain_copy(panels, "panels") if "panels" in sees else None,
            past=tuple(map(self._seen, self._past)) if {"calls", "scores", "notes"} & set(sees) else (),
            own_messages=tuple(self._own) if "own_messages" in sees else None,
            messages_left=self._messages_left,
            characters_left=self._characters_left,
            longest=self._adversary.message_characters,
            timeout_s=self._adversary.timeout_s,
            report=self._asked.report,
        )

    def _seen(self, record: StepRecord) -> SeenStep:
        sees = self._adversary.sees
        calls = record.action.calls if "calls" in sees else []
        return SeenStep(
            step=record.step,
            calls=tuple(
                SeenCall(tool=call.tool, args=plain_copy(call.args, "arguments"), status=call.status) for call in calls
            ),
            alignment=record.score.alignment if "scores" in sees else None,
            notes=tuple(record.action.notes) if "notes" in sees else (),
        )
