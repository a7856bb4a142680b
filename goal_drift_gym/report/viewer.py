"""A run in the terminal, step by step, forward and back.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from goal_drift_gym.core.errors import MissingExtra
from goal_drift_gym.report.page import EXTRA
from goal_drift_gym.report.sparkline import sparkline
from goal_drift_gym.report.step_text import Kind, RunText, step_lines

try:
    from rich.text import Text
    from textual.app import App, ComposeResult
    from textual.binding import BindingType
    from textual.containers import VerticalScroll
    from textual.widgets import Footer, Static
except ImportError as error:
    raise MissingExtra("textual", EXTRA) from error

if TYPE_CHECKING:
    from collections.abc import Iterable

_STYLES: Final[dict[Kind, str]] = {"head": "bold", "part": "bold underline", "pressure": "yellow", "bad": "red"}


class Viewer(App[None]):
    """Shows one step of a run at a time."""

    ENABLE_COMMAND_PALETTE = False
    CSS = "#title, #course { height: auto; padding: 0 1; } #step { padding: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("right,j,l", "move(1)", "next"),
        ("left,k,h", "move(-1)", "back"),
        ("home,g", "end(0)", "first"),
        ("end,G", "end(-1)", "last"),
        ("n", "search(1)", "next pressure or violation"),
        ("N", "search(-1)", "the one before"),
        ("q,escape", "quit", "quit"),
    ]

    def __init__(self, title: str, run: RunText, place: int) -> None:
        super().__init__()
        self.place = place
        """Which of the steps is shown."""
        self._title = title
        self._views = run.views

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield Static(Text(self._title, "bold", no_wrap=True, overflow="ellipsis"), id="title")
        yield Static(id="course")
        with VerticalScroll():
            yield Static(id="step")
        yield Footer()

    def on_mount(self) -> None:
        """Show the first step, and have the arrow keys scroll it."""
        self.query_one(VerticalScroll).focus()
        self._show()

    def on_resize(self) -> None:
        """Fit the course to the new width."""
        self._show()

    def action_move(self, by: int) -> None:
        """Go some steps on or back."""
        self._go(self.place + by)

    def action_end(self, place: int) -> None:
        """Go to the first or the last step."""
        self._go(place % len(self._views))

    def action_search(self, direction: int) -> None:
        """Go to the next step, or the one before, that has a pressure message or a violation."""
        places: Iterable[int] = range(self.place + direction, len(self._views) if direction > 0 else -1, direction)
        found = next((at for at in places if self._views[at].adversaries or self._views[at].violations), None)
        if found is None:
            self.notify("there is no further pressure message or violation")
        else:
            self._go(found)

    def _go(self, place: int) -> None:
        self.place = min(max(place, 0), len(self._views) - 1)
        self._show()
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def _show(self) -> None:
        self.query_one("#course", Static).update(self._course())
        shown = Text()
        # An agent's text is never markup: it goes into `Text` as it is, and every control character was escaped.
        for line in step_lines(self._views[self.place]):
            shown.append(f"{line.text}\n", _STYLES.get(line.kind, ""))
        self.query_one("#step", Static).update(shown)

    def _course(self) -> Text:
        """Return a character a step, and a mark below the one that is shown."""
        room = max(self.size.width - 2, 1)
        start = min(max(0, self.place - room // 2), max(0, len(self._views) - room))
        line = sparkline([view.score for view in self._views[start : start + room]], plain=self._is_plain())
        return Text(f"{line}\n{' ' * (self.place - start)}^", no_wrap=True)

    def _is_plain(self) -> bool:
        return not self.console.encoding.lower().startswith("utf")
