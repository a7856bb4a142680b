"""How what a chart shows looks, on paper and on a dark screen.

The colours are those of Okabe and Ito, told apart by people who see fewer colours, with lighter ones of the same hue
for dark screens. Lines differ by dashes and marks by shape as well, so that a print without colour says the same.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from goal_drift_gym.report.chart import MarkKind, Role


class Look(NamedTuple):
    """How a line, area or point looks."""

    light: str
    """Colour on white."""
    dark: str
    """Colour on black."""
    width: float = 2.0
    """Width of a line, in points."""
    dashes: tuple[int, ...] = ()
    """Lengths of dashes and gaps, in points; empty for a whole line."""
    opacity: float = 1.0
    """Of a line, in (0, 1]."""


class Glyph(NamedTuple):
    """How a mark looks."""

    name: str
    """What the legend calls it."""
    path: str
    """SVG path about the origin, 8 wide and high."""
    marker: str
    """The same as a marker of the plotting library."""
    light: str
    dark: str


class Ground(NamedTuple):
    """What everything else is drawn on and with."""

    paper: str
    ink: str
    quiet: str
    """Text of less weight."""
    grid: str


LIGHT: Final = Ground(paper="#ffffff", ink="#1b1f24", quiet="#57606a", grid="#d8dee4")
DARK: Final = Ground(paper="#12161c", ink="#e6edf3", quiet="#9aa5b1", grid="#333c47")

ROLES: Final[Mapping[Role, Look]] = MappingProxyType(
    {
        "agent": Look("#0072b2", "#58b2ec"),
        "twin": Look("#57606a", "#aab4bf", 1.6, (6, 3)),
        "seed": Look("#0072b2", "#58b2ec", 1.0, (), 0.4),
        "drifted": Look("#b34700", "#ff9a52", 1.2, (5, 2), 0.8),
        "mean": Look("#1b1f24", "#ffffff", 2.6),
        "before": Look("#57606a", "#aab4bf", 2.2, (6, 3)),
        "after": Look("#0072b2", "#58b2ec", 2.2),
        "commission": Look("#b34700", "#ff9a52"),
        "omission": Look("#8a6d00", "#e6c229"),
    }
)

MARKS: Final[Mapping[MarkKind, Glyph]] = MappingProxyType(
    {
        "pressure": Glyph("pressure message", "M-4-3.5H4L0 4Z", "v", "#b34700", "#ff9a52"),
        "violation": Glyph("violation", "M-4 3.5H4L0-4Z", "^", "#a3003f", "#ff7aa8"),
        "tool_failure": Glyph("tool failure", "M-3.5-3.5 3.5 3.5M-3.5 3.5 3.5-3.5", "x", "#57606a", "#aab4bf"),
        "phase_change": Glyph("phase change", "M0-4 4 0 0 4-4 0Z", "D", "#00694c", "#3ddba8"),
        "goal_reaffirmed": Glyph("goal said again", "M-4 0H4M0-4V4", "+", "#00694c", "#3ddba8"),
        "shock": Glyph("shock", "M-3.5-3.5H3.5V3.5H-3.5Z", "s", "#7b3f9d", "#d3a4ee"),
        "truncation": Glyph("context truncated", "M-3-4V4M-3 0H4", "|", "#57606a", "#aab4bf"),
        "summary": Glyph("summary", "M-3.5-2.5H3.5M-3.5 2.5H3.5", "_", "#57606a", "#aab4bf"),
        "silent": Glyph("no answer", "M0-3.5A3.5 3.5 0 1 0 .01-3.5Z", "o", "#57606a", "#aab4bf"),
    }
)
