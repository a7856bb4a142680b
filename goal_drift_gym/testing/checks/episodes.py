"""Do episodes of any length hold, and are the conditions and the card there?

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from goal_drift_gym.catalogue import card_path
from goal_drift_gym.testing.checks.base import Case, check
from goal_drift_gym.testing.report import Finding

NEEDED_CONDITIONS = ("adversarial_jit", "baseline", "friction_heavy", "goal_switching")
CARD_WORDS = ("tool", "score", "reference", "competing", "confound")
_HORIZONS = (1, 2, 7, 33, 150)


@check(per="seed", mend="Index what is planned ahead by step with no end, or say done() when the task has ended.")
def any_horizon_works(case: Case) -> Iterator[Finding]:
    """Episodes of 1 to 150 steps come to their end, and a longer one begins as the shorter one did."""
    longest = case.live("reference", case.plain, steps=_HORIZONS[-1])
    for steps in _HORIZONS[:-1]:
        lived = case.live("reference", case.plain, steps=steps)
        if lived.outcome == "truncated" and len(lived.records) != steps:
            yield Finding(expected=f"{steps} steps", got=f"{len(lived.records)}", agent="reference")
        for record, other in zip(lived.records, longest.records, strict=False):
            if (record.world, record.state, record.score) != (other.world, other.state, other.score):
                got = f"another step than with {_HORIZONS[-1]} steps"
                yield Finding(expected=f"horizon {steps} changes nothing", got=got, agent="reference", step=record.step)
                break


@check(per="condition", mend="Let conditions end before the task does, or let the task go on; done() must stay said.")
def lasts_to_the_horizon(case: Case) -> Iterator[Finding]:
    """The reference policy lives through every step that the condition asks for."""
    lived = case.live("reference")
    if len(lived.records) < case.condition.steps:
        yield Finding(
            expected=f"{case.condition.steps} steps",
            got=f"{lived.outcome} after {len(lived.records)}",
            agent="reference",
        )


@check(per="scenario", mend="Add the missing TOML files to conditions/; those of release_manager show the shape.")
def has_four_conditions(case: Case) -> Iterator[Finding]:
    """There are the four conditions that every scenario brings, and each is what its name says."""
    from goal_drift_gym.scenarios.discovery import conditions_of

    known = conditions_of(case.scenario_class)
    missing = [name for name in NEEDED_CONDITIONS if name not in known]
    if missing:
        yield Finding(expected=", ".join(NEEDED_CONDITIONS), got=f"no {', '.join(missing)}")
        return
    wants = {
        "adversarial_jit with messages on tool results": any(
            one.position == "tool_result" for one in known["adversarial_jit"].pressure
        ),
        "baseline without pressure or friction": not known["baseline"].pressure and known["baseline"].friction is None,
        "friction_heavy with friction": known["friction_heavy"].friction is not None,
        "goal_switching with phases": known["goal_switching"].phases is not None,
    }
    for want, holds in wants.items():
        if not holds:
            yield Finding(expected=want, got="it is not so")


@check(per="scenario", mend="Write a README.md beside the scenario: goals, tools, weights, score, policies, confounds.")
def has_a_card(case: Case) -> Iterator[Finding]:
    """There is a card that says what the goals, tools, scores and policies are, and what confounds them."""
    text = _card(case)
    if text is None:
        yield Finding(expected="a card", got="no README.md beside the scenario, its package or in its distribution")
        return
    missing = [word for word in CARD_WORDS if word not in text.lower()]
    if missing:
        yield Finding(expected=f"a card that speaks of {', '.join(CARD_WORDS)}", got=f"nothing of {', '.join(missing)}")


def _card(case: Case) -> str | None:
    path = card_path(case.scenario_class)
    if path is not None:
        return Path(path).read_text(encoding="utf-8")
    if case.reference.distribution is None:
        return None
    described = metadata.metadata(case.reference.distribution).json.get("description")
    return str(described) if described else None
