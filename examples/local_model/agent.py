"""The small local model as an agent, by either API of its server; see serve.py beside this file for that."""

from __future__ import annotations

import os

from goal_drift_gym.agents.anthropic_messages import AnthropicMessagesAgent
from goal_drift_gym.agents.openai_chat import OpenAIChatAgent
from goal_drift_gym.core.errors import UsageError

URL_VARIABLE = "GOAL_DRIFT_LOCAL_MODEL_URL"
KEY_VARIABLE = "GOAL_DRIFT_LOCAL_MODEL_KEY"


def make_local_agent() -> OpenAIChatAgent:
    """Return an agent on the server at $GOAL_DRIFT_LOCAL_MODEL_URL.

    The model cannot call tools, so answers are constrained to a schema. It sees no earlier turns: with one, it
    repeated a single call in our trials.

    Raises
    ------
    UsageError
        If the variable is not set.
    """
    return OpenAIChatAgent(
        "local",
        base_url=_address(),
        api_key_env=KEY_VARIABLE,
        mode="json_schema",
        temperature=0.7,
        max_tokens=256,
        max_calls_per_turn=2,
        history_turns=0,
        require_call=True,
    )


def make_local_messages_agent() -> AnthropicMessagesAgent:
    """Return an agent on the same server, by the Anthropic-compatible API that it also speaks.

    What works there: goal, observations, tool results, tokens, deadlines, errors. What does not: llama-server
    constrains no answer of that API (it passes over `output_config`, `response_format`, `json_schema` and `grammar`),
    and the template of this model shows it no tools. So the model talks and calls nothing: its steps are declined, or
    silent where it talks beyond `max_tokens`. A model whose template knows tools calls them.

    Raises
    ------
    UsageError
        If the variable is not set.
    """
    return AnthropicMessagesAgent(
        "local",
        base_url=_address().removesuffix("/v1"),
        api_key_env=KEY_VARIABLE,
        temperature=0.7,
        max_tokens=96,
        max_calls_per_turn=2,
        history_turns=0,
    )


def _address() -> str:
    url = os.environ.get(URL_VARIABLE)
    if not url:
        raise UsageError(
            f"{URL_VARIABLE} is not set; run: python examples/local_model/serve.py run -- YOUR COMMAND, "
            "or set it to the base URL of an OpenAI-compatible server"
        )
    return url
