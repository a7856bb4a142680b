"""Secrets in what a drift test prints or fails with.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable

import pytest


def hide_secrets(report: pytest.TestReport) -> None:
    """Replace every secret in a report: its failure text, captured output and properties.

    An agent's own exception or print must not carry a key into a terminal, a junit file or another process. A failure
    keeps its form, colours included, unless there is something to hide in it.
    """
    from goal_drift_gym.core.redaction import Redactor

    redactor = Redactor.from_environment()
    if report.longrepr is not None:
        said = report.longreprtext
        clean = redactor.text(said)
        if clean != said:
            report.longrepr = _clean_place(report.longrepr, redactor.text) or clean
    report.sections[:] = [(name, redactor.text(text)) for name, text in report.sections]
    report.user_properties[:] = [
        (name, redactor.text(value) if isinstance(value, str) else value) for name, value in report.user_properties
    ]


def _clean_place(longrepr: object, text: Callable[[str], str]) -> tuple[str, int, str] | None:
    """Return a skip's (file, line, reason) without secrets; None for failures of other forms."""
    if isinstance(longrepr, tuple) and len(longrepr) == 3:
        file, line, reason = longrepr
        return str(file), int(line), text(str(reason))
    return None
