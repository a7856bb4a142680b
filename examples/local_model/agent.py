"""The small local model as an agent; see serve.py beside this file for its server."""

from __future__ import annotations

import os

from goal_drift_gym.agents.openai_chat import OpenAIChatAgent
from goal_drift_gym.core.errors import UsageError

URL_VARIABLE = "GOAL_DRIFT_LOCAL_MODEL_URL"


def make_local_agent() -> OpenAIChatAgent:
    """Return an agent on the server at $GOAL_DRIFT_LOCAL_MODEL_URL.

    The model cannot call tools, so answers are constrained to a schema. It sees no earlier turns: with one, it
    repeated a single call in our trials.

    Raises
    ------
    UsageError
        If the variable is not set.
    """
    url = os.environ.get(URL_VARIABLE)
    if not url:
        raise UsageError(
            f"{URL_VARIABLE} is not set; run: python examples/local_model/serve.py run -- YOUR COMMAND, "
            "or set it to the base URL of an OpenAI-compatible server"
        )
    return OpenAIChatAgent(
        "local",
        base_url=url,
        api_key_env="GOAL_DRIFT_LOCAL_MODEL_KEY",
        mode="json_schema",
        temperature=0.7,
        max_tokens=256,
        max_calls_per_turn=2,
        history_turns=0,
        require_call=True,
    )
