"""Makes the modules beside this one importable by name, and gives agents on the faulty server."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def server() -> Iterator[Any]:
    """Return a faulty server."""
    from faulty_server import FaultyServer

    made = FaultyServer()
    yield made
    made.close()


@pytest.fixture(params=["anthropic", "openai"])
def connect(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what makes agents of one adapter; see `endpoint_support.Connect`."""
    name = request.param
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"pip install 'pytest-goal-drift[{name}]'")
    from endpoint_support import Connect
    from faulty_server import KEY

    monkeypatch.setenv(f"{name.upper()}_API_KEY", KEY)
    made = Connect(name)
    yield made
    for agent in made.made:
        agent.close()
