"""JSON Schemas (draft 2020-12) of the files of a run directory, format version 1.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from goal_drift_gym.core.errors import UsageError, did_you_mean

SCHEMAS = ("config", "meta", "metrics", "step")
"""`config`, `meta` and `metrics` describe the files of that name, `step` one line of step_log.jsonl."""


def load_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a file of a run directory.

    Parameters
    ----------
    name
        One of `SCHEMAS`.

    Raises
    ------
    UsageError
        If there is no such schema.
    """
    if name not in SCHEMAS:
        raise UsageError(f"there is no schema {name!r}; {did_you_mean(name, SCHEMAS)}")
    text = resources.files(__package__).joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
