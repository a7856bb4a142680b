"""A chart as data: what is drawn, not how. Pages and files for papers are drawn from the same one.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import Literal

import msgspec

Role = Literal["agent", "twin", "seed", "drifted", "mean", "before", "after", "commission", "omission"]
"""What a line stands for; `theme.ROLES` says how it looks."""

MarkKind = Literal[
    "pressure",
    "tool_failure",
    "phase_change",
    "truncation",
    "summary",
    "shock",
    "goal_reaffirmed",
    "violation",
    "silent",
]
"""What a mark stands for; `theme.MARKS` says how it looks."""


class Axis(msgspec.Struct, frozen=True, kw_only=True):
    """One axis."""

    label: str
    low: float
    high: float
    """Above `low`."""
    ticks: list[tuple[float, str]] = []
    """Where a grid line goes and what it says; empty for round numbers."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line through points."""

    name: str
    """What the legend calls it; lines of one name and role have one entry."""
    role: Role
    points: list[tuple[float, float | None]]
    """By ascending x; the line is broken where y is None."""
    stairs: bool = False
    """Each value holds until the next x."""


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """An area between two curves, such as an interval."""

    name: str
    role: Role
    points: list[tuple[float, float, float]]
    """x, lower and upper y, by ascending x."""


class Bars(msgspec.Struct, frozen=True, kw_only=True):
    """A bar at each x, from 0; bars of several kinds are stacked in their order."""

    name: str
    role: Role
    points: list[tuple[float, float]]
    """x and signed height."""


class Dot(msgspec.Struct, frozen=True, kw_only=True):
    """One point."""

    x: float
    y: float
    says: str
    """What it is, in words."""
    link: str | None = None
    """Where it leads on a page: a fragment, or a relative address."""


class Dots(msgspec.Struct, frozen=True, kw_only=True):
    """Points that are looked at one by one."""

    name: str
    role: Role
    points: list[Dot]


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened at an x, shown in a lane above the plot."""

    kind: MarkKind
    x: float
    says: str
    link: str | None = None


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """A level that matters, such as a limit, drawn across the plot."""

    y: float
    says: str
    upright: bool = False
    """`y` is an x, and the line goes up."""


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A chart."""

    title: str
    says: str
    """What the chart shows, in a sentence, for those who do not see it."""
    x: Axis
    y: Axis
    bands: list[Band] = []
    bars: list[Bars] = []
    lines: list[Line] = []
    dots: list[Dots] = []
    marks: list[Mark] = []
    levels: list[Level] = []
