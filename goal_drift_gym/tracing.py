"""OpenTelemetry: one span an episode, one a tool call, the verdict as an event. Off unless it is switched on.

Attribute names follow the semantic conventions for generative AI, which are still in development: they are written
down here, with the version they were taken from, and not imported. What was said and shown is left out unless content
is asked for. Only the API package is needed here; which SDK, exporter and sampler there are is the caller's business.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from typing import Any

from goal_drift_gym._version import __version__
from goal_drift_gym.core.engine import Episode
from goal_drift_gym.core.errors import MissingExtra
from goal_drift_gym.core.records import SCORED_OUTCOMES, ToolResult
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.rundir import RunConfig
from goal_drift_gym.core.turn import Usage

CONVENTIONS = "semantic-conventions-genai, development, 2026-05"
"""Where the names of the attributes come from."""
MOST_CONTENT = 4096
"""Characters of an argument list or a result that a span holds at most."""

_settings = {"on": False, "content": False}


def switch_on(*, content: bool = False) -> None:
    """Have every episode from now on in this process leave spans with the global tracer provider.

    Parameters
    ----------
    content
        Whether spans also hold arguments, results and the goal, redacted and cut.

    Raises
    ------
    MissingExtra
        If the OpenTelemetry API is not installed.
    """
    if importlib.util.find_spec("opentelemetry") is None:
        raise MissingExtra("opentelemetry-api", "otel")
    _settings.update(on=True, content=content)


def switch_off() -> None:
    """Leave no spans from now on."""
    _settings.update(on=False, content=False)


def is_on() -> bool:
    """Whether episodes leave spans."""
    return _settings["on"]


class EpisodeTrace:
    """The span of one episode; tool calls are its children."""

    def __init__(self, config: RunConfig, redactor: Redactor) -> None:
        from opentelemetry import trace

        self._tracer = trace.get_tracer("goal_drift_gym", __version__)
        self._redactor = redactor
        self._content = _settings["content"]
        described = config.agent
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": str(described.get("kind", "goal_drift_gym")),
            "gen_ai.agent.name": str(described.get("name", "agent")),
            "goal_drift.scenario": config.scenario.id,
            "goal_drift.scenario.version": config.scenario.version,
            "goal_drift.condition": str(config.condition.get("name")),
            "goal_drift.seed": config.seed,
            "goal_drift.config_hash": config.config_hash,
        }
        if isinstance(described.get("model"), str):
            attributes["gen_ai.request.model"] = described["model"]
        if self._content:
            attributes["gen_ai.system_instructions"] = self._said(config.goal.get("prompt"))
        self.span = self._tracer.start_span(f"invoke_agent {attributes['gen_ai.agent.name']}", attributes=attributes)
        # Handed on by hand: tools are called in whatever thread or task the agent likes.
        self._parent = trace.set_span_in_context(self.span)

    def call(self, step: int, tool: Any, args: Any, perform: Callable[[], ToolResult]) -> ToolResult:
        """Make a call inside a span."""
        name = self._redactor.text(str(tool))[:128]
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.type": "function",
            "goal_drift.step": step,
        }
        if self._content:
            attributes["gen_ai.tool.call.arguments"] = self._said(args)
        span = self._tracer.start_span(f"execute_tool {name}", context=self._parent, attributes=attributes)
        try:
            result = perform()
            span.set_attribute("goal_drift.call.status", result.status)
            if result.status != "ok":
                span.set_attribute("error.type", result.status)
            if self._content:
                span.set_attribute("gen_ai.tool.call.result", self._said(result.value))
            return result
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            raise
        finally:
            span.end()

    def end(self, outcome: str, usage: Usage) -> None:
        """End the span with how the episode ended and what the agent reported to have spent."""
        self.span.set_attribute("goal_drift.outcome", outcome)
        self.span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens)
        self.span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)
        if outcome not in SCORED_OUTCOMES:
            self.span.set_attribute("error.type", outcome)
        self.span.end()

    def _said(self, value: Any) -> str:
        text = value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
        return self._redactor.text(text)[:MOST_CONTENT]


def trace_episode(episode: Episode, config: RunConfig) -> EpisodeTrace | None:
    """Have an episode that is about to run leave spans; None where tracing is off."""
    if not is_on():
        return None
    trace = EpisodeTrace(config, episode.redactor)
    episode.surround_calls(trace.call)
    return trace


def trace_verdict(test: str, word: str, *, explanation: str, estimate: float | None, seeds: int) -> None:
    """Leave the verdict of a test as an event on a span of its own; nothing where tracing is off."""
    if not is_on():
        return
    from opentelemetry import trace

    redactor = Redactor.from_environment()
    tracer = trace.get_tracer("goal_drift_gym", __version__)
    attributes: dict[str, Any] = {
        "gen_ai.evaluation.name": "goal_drift",
        "gen_ai.evaluation.score.label": word,
        "gen_ai.evaluation.explanation": redactor.text(explanation)[:MOST_CONTENT],
        "goal_drift.seeds": seeds,
    }
    if estimate is not None:
        attributes["gen_ai.evaluation.score.value"] = estimate
    span = tracer.start_span(
        f"goal_drift verdict {redactor.text(test)}", attributes={"goal_drift.test": redactor.text(test)}
    )
    span.add_event("gen_ai.evaluation.result", attributes=attributes)
    span.end()
