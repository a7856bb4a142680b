"""How far a long session is, from time to time, on a line of its own.

pytest's own dots and percentages go on as they are: a bar that is drawn over and over would fight with them, and a line
a test is what `-v` already gives. So nothing is said in the first half minute, and then so rarely that a session of an
hour has a few dozen lines. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_goal_drift.groups import GroupState

FIRST_S = {True: 30.0, False: 60.0}
"""Seconds before the first line, and between two: on a terminal, and elsewhere."""
_SHARE = 20
"""A line follows another after this part of the time the session has taken, if that is longer."""
_MOST_DECIDED = 20
"""Verdicts that are made for one line; the others wait for the next."""


class Progress:
    """Says from time to time how far a session is; in the process that shows the results."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._began = self._said = time.monotonic()
        self._done: set[str] = set()
        self._words: dict[str, str] = {}

    def take_report(
        self, report: pytest.TestReport, session: pytest.Session | None, states: Mapping[str, GroupState]
    ) -> None:
        """Count a test that has ended, and write a line if it is time."""
        if report.when != "teardown" or self._config.get_verbosity() < 0:
            return
        self._done.add(report.nodeid)
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        now = time.monotonic()
        if reporter is None or not states or session is None or len(self._done) >= session.testscollected:
            return
        pause = FIRST_S[bool(getattr(reporter, "isatty", False))]
        if now - self._said < max(pause, (now - self._began) / _SHARE):
            return
        self._said = now
        self._write(reporter, self._text(now - self._began, session.testscollected, states))

    def _text(self, elapsed: float, planned: int, states: Mapping[str, GroupState]) -> str:
        done = len(self._done)
        seeds = sum(len(state.records) for state in states.values())
        left = elapsed / done * (planned - done)
        self._decide(states)
        from goal_drift_gym.core.printable import counted
        from goal_drift_gym.report.markdown import counts

        parts = [f"goal drift: {done} of {planned} tests, {counted(seeds, 'seed')} run"]
        parts.append(f"{_span(elapsed)} gone, about {_span(left)} left")
        if self._words:
            parts.append(f"verdicts so far: {counts(list(self._words.values()))}")
        return "; ".join(parts)

    def _write(self, reporter: Any, text: str) -> None:
        reporter.ensure_newline()
        # With pytest-xdist dots stand on lines of which the reporter does not know.
        if self._config.get_terminal_writer().width_of_current_line:
            reporter.line("")
        reporter.line(text)

    def _decide(self, states: Mapping[str, GroupState]) -> None:
        """Learn the verdicts of tests whose seeds are all in."""
        from itertools import islice

        for name, state in islice(self._ready(states), _MOST_DECIDED):
            self._words[name] = _word(state, self._config)

    def _ready(self, states: Mapping[str, GroupState]) -> Iterator[tuple[str, GroupState]]:
        from pytest_goal_drift.plan import ALL_SEEDS

        # Somebody else's rule is asked once, at the end: it may do more than decide.
        own = len(self._config.hook.pytest_drift_verdict.get_hookimpls()) == 1
        for name, state in states.items():
            whole = state.head["kind"] == ALL_SEEDS
            if name in self._words or not (own or whole):
                continue
            seen = state.records.keys() | state.without.keys() | state.decided
            if bool(state.whole and state.whole["row"]) if whole else seen >= set(state.head["seeds"]):
                yield name, state


def _word(state: GroupState, config: pytest.Config) -> str:
    from pytest_goal_drift.verdict import decide, make_group

    if state.whole is not None:
        return str(state.whole["row"]["word"])
    group = make_group(state.head, list(state.records.values()), state.missing(False), sorted(state.decided))
    return str(decide(group, config).word)


def _span(seconds: float) -> str:
    """Return a time as people say it.

    >>> _span(42.4), _span(150), _span(5400)
    ('42 s', '2 min', '1 h 30 min')
    """
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
