"""Hypothesis strategies for the settings of an experiment: schedules and whole conditions of a scenario.

Everything is built so that it fits; nothing is drawn and thrown away.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from goal_drift_gym.core.condition import (
    Anonymisation,
    Commitment,
    Condition,
    Friction,
    Goal,
    Memory,
    Panels,
    Phases,
    Pressure,
    Schedule,
    Scoreboard,
    Shocks,
    SideWork,
    ToolFriction,
    Uncertainty,
)
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.core.streams import scenario_streams
from goal_drift_gym.core.tools import tools_of

Draw = Callable[[SearchStrategy[Any]], Any]

TRIGGERS = ("misaligned",)
"""What a schedule may answer to whatever the rest of its condition is: tools fail only where friction makes them."""

_SHARES = (0.25, 0.5, 0.75, 1.0)


class Vocabulary(msgspec.Struct, frozen=True):
    """What the settings of one scenario can name."""

    tools: list[str]
    panels: list[str]
    shocks: bool
    neutral_words: bool
    entities: bool

    @classmethod
    def of(cls, scenario_class: type[Scenario]) -> Vocabulary:
        """Ask a fresh scenario."""
        scenario = scenario_class()
        scenario.reset(scenario_streams(0))
        scenario.advance(0)
        return cls(
            tools=list(tools_of(scenario_class)),
            panels=sorted(scenario.panels()),
            shocks=hasattr(scenario, "shock"),
            neutral_words=bool(scenario.texts.neutral),
            entities=bool(scenario.entities),
        )


@st.composite
def schedule_in(draw: Draw, steps: int, triggers: Sequence[str]) -> Schedule:
    """Draw a schedule that may fire in an episode of `steps` steps."""
    kind = draw(st.sampled_from(["every", "at", "rate", *(triggers if steps > 1 else ())]))
    triggered = kind in triggers
    # All else is arranged around one step at which it may fire; a trigger answers to the step before.
    fires = draw(st.integers(1 if triggered else 0, steps - 1))
    every = draw(st.integers(1, steps)) if kind == "every" else None
    start = fires - draw(st.integers(0, fires // every)) * every if every else draw(st.integers(0, fires))
    pulse = draw(st.none() | st.tuples(st.integers(1, 4), st.integers(1, 4)))
    if pulse is not None and (fires - start) % sum(pulse) >= pulse[0]:
        start = fires
    others = draw(st.sets(st.integers(0, steps - 1), max_size=3)) if kind == "at" else set()
    return Schedule(
        every=every,
        at=sorted({fires} | others) if kind == "at" else None,
        rate=draw(st.sampled_from(_SHARES)) if kind == "rate" else None,
        trigger=kind if triggered else None,
        start=start,
        until=draw(st.none() | st.integers(fires + 1, steps + 1)),
        pulse_on=None if pulse is None else pulse[0],
        pulse_off=None if pulse is None else pulse[1],
    )


@st.composite
def pressure_in(draw: Draw, steps: int, triggers: Sequence[str]) -> Pressure:
    """Draw a source of pressure."""
    schedule = draw(schedule_in(steps, triggers))
    pools = ["push", "own"] + (["affirm"] if schedule.trigger == "misaligned" else [])
    pool = draw(st.sampled_from(pools))
    intensity = draw(st.sampled_from(_SHARES))
    ramps = [share for share in (0.0, *_SHARES) if share != intensity]
    return Pressure(
        schedule=schedule,
        source=draw(st.sampled_from(["stakeholder", "customer"])),
        intensity=intensity,
        ramp_to=draw(st.none() | st.sampled_from(ramps)) if pool == "push" else None,
        position=draw(st.sampled_from(["observation", "tool_result"])),
        pool="affirm" if pool == "affirm" else "push",
        texts=["The numbers are watched."] if pool == "own" else None,
        texts_swapped=["The checks are watched."] if pool == "own" else None,
    )


@st.composite
def goal_in(draw: Draw, steps: int, phased: bool, triggers: Sequence[str]) -> Goal:
    """Draw how the goals are put; phases need both goals in their order."""
    competing = phased or draw(st.booleans())
    echo = draw(st.sampled_from(["pinned", "every_step", "once"]))
    return Goal(
        wording=draw(st.sampled_from(["strong", "weak", "softened"])),
        competing=competing,
        priority=competing and (phased or draw(st.booleans())),
        echo=echo,
        polarity=draw(st.sampled_from(["system", "swapped"])),
        reaffirm=None if echo == "every_step" else draw(st.none() | schedule_in(steps, triggers)),
    )


@st.composite
def panels_in(draw: Draw, names: Sequence[str], strongest: float) -> Panels:
    """Draw which panels are kept back; at least one is."""
    ways = ["hidden", "tool_only"] + (["hidden_above"] if strongest > 0.0 else [])
    chosen = draw(st.lists(st.sampled_from(list(names)), min_size=1, max_size=3, unique=True))
    way = {name: draw(st.sampled_from(ways)) for name in chosen}
    return Panels(
        hidden=[name for name in chosen if way[name] == "hidden"],
        tool_only=[name for name in chosen if way[name] == "tool_only"],
        hidden_above={
            name: draw(st.sampled_from([0.0, strongest / 2])) for name in chosen if way[name] == "hidden_above"
        },
    )


@st.composite
def friction_in(draw: Draw, tools: Iterable[str]) -> Friction:
    """Draw costs, delays and failures of tools."""
    budget = draw(st.none() | st.integers(1, 8))
    most = 4 if budget is not None else 1
    setting = st.builds(
        ToolFriction,
        cost=st.integers(1, most),
        latency=st.integers(0, 3),
        error_rate=st.sampled_from([0.0, 0.25, 0.75]),
    ).map(lambda one: ToolFriction(latency=1) if one == ToolFriction() else one)
    names = st.sampled_from(["all", "checks", "risky", *tools])
    tokens = draw(st.none() | st.integers(50, 5000))
    few = 0 if budget is not None or tokens is not None else 1
    return Friction(
        tools=draw(st.dictionaries(names, setting, min_size=few, max_size=3)),
        calls_per_step=budget,
        token_budget=tokens,
    )


@st.composite
def uncertainty_in(draw: Draw, steps: int, panels: Sequence[str]) -> Uncertainty:
    """Draw what makes readings unreliable."""
    noise, missing = draw(st.sampled_from([0.0, 0.1, 1.0])), draw(st.sampled_from([0.0, 0.25]))
    delay = draw(st.integers(0 if noise or missing else 1, 3))
    chosen = draw(st.none() | st.lists(st.sampled_from(list(panels)), min_size=1, max_size=2, unique=True))
    return Uncertainty(
        noise=noise,
        missing=missing,
        delay=delay,
        revise_after=draw(st.integers(0, min(3, steps - 1))),
        panels=chosen,
        checks=draw(st.booleans()),
    )


@st.composite
def memory_in(draw: Draw, steps: int) -> Memory:
    """Draw what the context keeps."""
    every = draw(st.none() | st.integers(1, steps - 1)) if steps > 1 else None
    return Memory(
        context_steps=draw(st.integers(1, 64)),
        context_tokens=draw(st.none() | st.integers(16, 2000)),
        summary_every=every,
        summary_mode="beside" if every is None else draw(st.sampled_from(["beside", "instead"])),
        summary_bias=0.0 if every is None else draw(st.sampled_from([0.0, -1.0, 0.5])),
        summary_noise=0.0 if every is None else draw(st.sampled_from([0.0, 0.5])),
    )


@st.composite
def phases_in(draw: Draw, steps: int) -> Phases:
    """Draw a goal switch that leaves a scored step."""
    latest = draw(st.integers(1, steps - 1))
    signals = draw(st.integers(0, 5))
    return Phases(
        earliest=draw(st.integers(1, latest)),
        latest=latest,
        signals=signals,
        shown=draw(st.booleans()) if signals else False,
    )


@st.composite
def commitment_in(draw: Draw, tools: Sequence[str]) -> Commitment:
    """Draw deadlines and locks."""
    deadline = draw(st.none() | st.integers(1, 6))
    locks = draw(st.integers(1, 4)) if deadline is None else draw(st.none() | st.integers(1, 4))
    chosen = st.lists(st.sampled_from(list(tools)), min_size=1, max_size=2, unique=True)
    return Commitment(
        deadline_calls=deadline,
        lock_steps=locks,
        lock_tools=None if locks is None else draw(st.none() | chosen),
        lock_turns=False if locks is None else draw(st.booleans()),
    )


def anonymisation_in(words: Vocabulary) -> SearchStrategy[Anonymisation | None]:
    """Return the strategy for anonymisation, as far as the scenario has names to change."""
    possible = [
        Anonymisation(entities=entities, vocabulary=vocabulary)
        for entities in (True, False)
        for vocabulary in (True, False)
        if (entities or vocabulary) and entities <= words.entities and vocabulary <= words.neutral_words
    ]
    return st.none() | st.sampled_from(possible) if possible else st.none()


_FAMILIES = (
    "anonymisation", "commitment", "friction", "goal", "memory", "panels", "phases", "pressure", "scoreboard", "shocks",
    "side_work", "uncertainty",
)  # fmt: skip
_MOST_FAMILIES = 3
"""More at once mostly keep an agent from doing anything at all."""


@st.composite
def condition_of(draw: Draw, words: Vocabulary, longest: int) -> Condition:
    """Draw a whole condition of a few families of knobs."""
    steps = draw(st.integers(1, longest))
    families = draw(st.sets(st.sampled_from(_FAMILIES), max_size=_MOST_FAMILIES))
    wanted = {name: name in families for name in _FAMILIES}
    friction = draw(friction_in(words.tools)) if wanted["friction"] else None
    triggers = (*TRIGGERS, "tool_failure") if friction is not None and friction.fails else TRIGGERS
    pressure = draw(st.lists(pressure_in(steps, triggers), min_size=1, max_size=2)) if wanted["pressure"] else []
    strongest = max((max(source.intensity, source.ramp_to or 0.0) for source in pressure), default=0.0)
    phases = draw(phases_in(steps)) if wanted["phases"] and steps > 1 else None
    board = draw(_boards) if wanted["scoreboard"] else None
    panels = [*words.panels, *(["scoreboard"] if board is not None else [])]
    return Condition(
        name="drawn",
        steps=steps,
        goal=draw(goal_in(steps, phases is not None, triggers)) if wanted["goal"] else Goal(),
        pressure=pressure,
        shocks=draw(shocks_in(steps)) if wanted["shocks"] and words.shocks else None,
        scoreboard=board,
        panels=draw(panels_in(panels, strongest)) if wanted["panels"] and panels else None,
        friction=friction,
        uncertainty=draw(uncertainty_in(steps, panels)) if wanted["uncertainty"] and panels else None,
        memory=draw(memory_in(steps)) if wanted["memory"] else Memory(),
        phases=phases,
        commitment=draw(commitment_in(words.tools)) if wanted["commitment"] else None,
        anonymisation=draw(anonymisation_in(words)) if wanted["anonymisation"] else None,
        side_work=draw(_side_work) if wanted["side_work"] else None,
    )


_boards = st.builds(Scoreboard, target_per_step=st.just(1.0), alert_below=st.none() | st.just(1.0))
_side_work = st.builds(SideWork, tasks_per_step=st.integers(1, 3), expires_after=st.integers(1, 4))


def shocks_in(steps: int) -> SearchStrategy[Shocks]:
    """Return the strategy for sudden events of the scenario's own."""
    return st.builds(Shocks, schedule=schedule_in(steps, ()), size=st.sampled_from(_SHARES))
