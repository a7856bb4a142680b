"""Every error that a user can cause has a line on the page, and the page quotes no message that is gone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^\| `([^`]+)` \|", PAGE.partition("## Setting up")[2], re.MULTILINE)
CAUSED = {
    "AgentNotFound", "BudgetSpent", "ConditionError", "GoalDriftError", "ReplayError", "ResumeError", "RunRecordError",
    "ScenarioNotFound", "TapeError", "UsageError", "ValueError",
}  # fmt: skip
# Called with wrong values by code alone, which has the message, the value and the docstring before it.
OF_CODE = ("goal_drift_gym/eval/", "goal_drift_gym/core/streams.py", "goal_drift_gym/testing/", "/tape_lines.py")
HOLDS_ITS_REMEDY = re.compile(r"\b(must|give|write)\b")


def raised() -> Iterator[tuple[str, str]]:
    """Yield where each message is raised, and its text with ... for what differs."""
    for package in ("goal_drift_gym", "pytest_goal_drift"):
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                    name = ast.unparse(node.exc.func).rpartition(".")[2]
                    text = template(node.exc.args[0])
                    if name in CAUSED and re.search(r"[a-z]", text):
                        yield f"{file.relative_to(ROOT).as_posix()}:{node.lineno}", text


def template(value: ast.expr) -> str:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    if isinstance(value, ast.JoinedStr):
        return "".join(template(part) if isinstance(part, ast.Constant) else "..." for part in value.values)
    return "..."


def says(quoted: str, text: str) -> bool:
    pieces = [re.escape(piece.strip()) for piece in quoted.split("...")]
    return re.match(".*".join(pieces), text, re.DOTALL) is not None


def all_texts() -> set[str]:
    files = [file for package in ("goal_drift_gym", "pytest_goal_drift") for file in (ROOT / package).rglob("*.py")]
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    return {template(node) for node in nodes if isinstance(node, ast.JoinedStr | ast.Constant)}


def test_every_message_that_is_quoted_exists() -> None:
    known = all_texts()

    assert len(QUOTED) > 150
    assert [quoted for quoted in QUOTED if not any(says(quoted, text) for text in known)] == []


def test_every_message_a_user_can_cause_is_on_the_page() -> None:
    asked = [
        (place, text)
        for place, text in raised()
        if not any(part in place for part in OF_CODE) and not HOLDS_ITS_REMEDY.search(text)
    ]

    assert len(asked) > 150
    assert [one for one in asked if not any(says(quoted, one[1]) for quoted in QUOTED)] == []
