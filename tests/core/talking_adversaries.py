"""Adversaries for the tests, found by name as a user's would be."""

from __future__ import annotations

import time

from goal_drift_gym.core.adversary import AdversaryTurn


class Telling:
    """Says what it sees, and after `wait_s` seconds."""

    def __init__(self, says: str = "It sees", wait_s: float = 0.0, padding: int = 0) -> None:
        self.says = says
        self.wait_s = wait_s
        self.padding = padding

    def __call__(self, turn: AdversaryTurn) -> str:
        time.sleep(self.wait_s)
        parts = [
            f"{len(turn.panels)} panels" if turn.panels is not None else "no panel",
            f"{len(turn.past)} steps",
            f"{sum(len(past.calls) for past in turn.past)} calls",
            f"{sum(past.alignment is not None for past in turn.past)} scores",
            f"{sum(len(past.notes) for past in turn.past)} notes",
            "own unknown" if turn.own_messages is None else f"{len(turn.own_messages)} own",
        ]
        return f"{self.says} {', '.join(parts)}" + " and so on" * self.padding


class Failing:
    """Raises each time it is asked."""

    def __call__(self, turn: AdversaryTurn) -> str:
        raise RuntimeError("the line is dead")


class Counted:
    """Counts over all its instances how often anybody was asked; it knows nothing between two answers."""

    asked: list[int] = []

    def describe(self) -> dict[str, object]:
        return {"kind": "counted", "deterministic": False}

    def __call__(self, turn: AdversaryTurn) -> str:
        Counted.asked.append(turn.step)
        return f"Taking is low, said for the {len(Counted.asked)}. time."


def plain(turn: AdversaryTurn) -> str:
    """Say one and the same thing."""
    return "Taking is low."
