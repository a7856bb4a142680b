"""The snippets of docs/frameworks.md make agents, where the frameworks are there."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from goal_drift_gym.agents.bridges.framework_agent import FrameworkAgent

PAGE = Path(__file__).parents[2] / "docs" / "frameworks.md"
SNIPPETS = dict(
    re.findall(r'^```python title="([^"]+)"\n(.*?)^```$', PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
)
NEEDS = {
    "with_pydantic_ai.py": ["pydantic_ai", "openai"],
    "with_openai_agents.py": ["agents"],
    "with_langgraph.py": ["langchain", "langgraph"],
    "with_smolagents.py": ["smolagents", "openai"],
    "in_call_mode.py": ["pydantic_ai"],
}


@pytest.fixture
def run_snippet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(name: str) -> dict[str, Any]:
        for package in NEEDS[name]:
            pytest.importorskip(package, reason=f"{name} of docs/frameworks.md needs {package}")
        for file, text in SNIPPETS.items():
            (tmp_path / file).write_text(text, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        for file in SNIPPETS:
            monkeypatch.delitem(sys.modules, file.removesuffix(".py"), raising=False)
        return runpy.run_path(str(tmp_path / name))

    return run


def test_every_snippet_is_run() -> None:
    assert set(SNIPPETS) == set(NEEDS)


@pytest.mark.parametrize("name", [name for name in NEEDS if name.startswith("with_")])
def test_a_snippet_makes_a_bridge(name: str, run_snippet: Any) -> None:
    agent = run_snippet(name)["agent"]

    assert isinstance(agent, FrameworkAgent)
    assert agent.describe()["model"] == "gpt-5-mini"


@pytest.mark.parametrize("name", ["with_pydantic_ai.py", "with_openai_agents.py", "with_smolagents.py"])
def test_a_snippets_function_makes_an_agent_of_the_framework(
    name: str, run_snippet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")

    made = run_snippet(name)["make"]([])

    assert type(made).__name__ in ("Agent", "ToolCallingAgent")


def test_the_snippet_of_call_mode_makes_an_agent(run_snippet: Any) -> None:
    agent = run_snippet("in_call_mode.py")["agent"]

    assert agent.describe()["kind"] == "call_mode"
    assert agent.describe()["bridge"]["kind"] == "pydantic_ai"
