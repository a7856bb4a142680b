"""Agents of smolagents.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from goal_drift_gym.agents.bridges.faults import translated
from goal_drift_gym.agents.bridges.framework_agent import AnyTool, FrameworkAgent, Opening, Reply, following, text_of
from goal_drift_gym.agents.chat_prompt import Part, Said, Template
from goal_drift_gym.agents.episode import LiveEpisode
from goal_drift_gym.core.errors import AgentFormatError
from goal_drift_gym.core.turn import Turn


class SmolagentsAgent(FrameworkAgent):
    """An agent of smolagents: `SmolagentsAgent(lambda tools: ToolCallingAgent(tools, model))`.

    Goal and rules reach the model as `instructions`, at the end of smolagents' own system prompt, which among other
    things tells it not to make the same call twice. A turn ends with its tool `final_answer`. Calls made in parallel
    run one after another, and nothing is printed. What smolagents itself refuses, such as an argument of a wrong
    type, never reaches the scenario: the model is told and tries again.
    """

    kind = "smolagents"
    packages = ("smolagents",)
    extra = "smolagents"
    default_template: ClassVar[Template] = Template(
        tools_rules=(
            "You act by calling tools. You may call several, one after another, and see each result. "
            "Call final_answer to end the step."
        )
    )

    # smolagents has no event loop: an agent that hangs must hang where the engine can leave it behind.
    def __call__(self, turn: Turn) -> None:  # type: ignore[override]
        """Play one turn.

        Raises
        ------
        AgentError
            Of the kind that says what became of the model: silent, late, out of reach, rejecting.
        """
        with self._taking(turn) as present:
            self._finish(present, self._ask(self._agent, present.opening))

    def live(self, episode: LiveEpisode, max_requests: int) -> None:  # type: ignore[override]
        """Live through an episode."""
        with translated():
            agent = self.make(self._tools(episode.tools, episode.call))
        opening = self.first_opening(episode, max_requests)
        while True:
            with translated():
                reply = self._ask(agent, opening)
            if reply.said.strip():
                episode.note(reply.said)
            opening = following(opening, reply, episode.call(episode.end_tool))

    def _call(self, tool: str, args: Any) -> str:  # type: ignore[override]
        return self._act(tool, args)

    def _ask(self, agent: Any, opening: Opening) -> Reply:  # type: ignore[override]
        from smolagents.monitoring import LogLevel

        agent.logger.level = LogLevel.OFF
        # More threads would make the order of parallel calls a matter of luck.
        agent.max_tool_threads = 1
        agent.memory.steps = list(opening.earlier)
        before_in, before_out = _spent(agent)
        try:
            said = agent.run(_task(agent, opening), reset=False, max_steps=opening.max_requests)
        finally:
            # A run that is cut off has its usage here, too.
            now_in, now_out = _spent(agent)
            requests = len(agent.memory.steps) - len(opening.earlier) - 1
            opening.spend(input_tokens=now_in - before_in, output_tokens=now_out - before_out, calls=requests)
        steps = agent.memory.steps
        if any(type(step.error).__name__ == "AgentMaxStepsError" for step in steps[-1:] if hasattr(step, "error")):
            raise AgentFormatError(f"no end of the turn within {opening.max_requests} requests")
        return Reply(said=text_of(said), messages=list(steps))

    def _tools(self, specs: Sequence[AnyTool], call: Any) -> list[Any]:
        from smolagents import Tool

        return [
            type(
                f"Tool_{spec.name}",
                (Tool,),
                {
                    "name": spec.name,
                    "description": spec.description,
                    "inputs": _inputs(spec),
                    "output_type": "string",
                    "skip_forward_signature_validation": True,
                    "forward": _forward(spec.name, call),
                },
            )()
            for spec in specs
        ]

    def _messages(self, parts: Sequence[Part]) -> list[Any]:
        from smolagents.memory import ActionStep, TaskStep, ToolCall
        from smolagents.monitoring import Timing

        steps: list[Any] = []
        for part in parts:
            if isinstance(part, Said) and part.role == "user":
                steps.append(TaskStep(task=part.text))
                continue
            step = ActionStep(step_number=len(steps), timing=Timing(0.0, 0.0))
            if isinstance(part, Said):
                step.model_output = part.text
            else:
                step.tool_calls, step.observations = [ToolCall(part.tool, part.args, part.call_id)], part.result
            steps.append(step)
        return steps


def _forward(tool: str, call: Callable[[str, Any], str]) -> Callable[..., str]:
    def forward(_tool: Any, **args: Any) -> str:
        return call(tool, args)

    return forward


def _task(agent: Any, opening: Opening) -> str:
    """Return the task; goal and rules go into the system prompt, or into the task where its template has no room."""
    rules = opening.rules
    if rules not in (agent.instructions or ""):
        agent.instructions = "\n\n".join(part for part in (agent.instructions, rules) if part)
    return opening.present if rules in agent.system_prompt else f"{rules}\n\n{opening.present}"


def _inputs(spec: AnyTool) -> dict[str, dict[str, Any]]:
    """Return the flat form smolagents wants: every argument with one type, or `any`."""
    required = spec.parameters.get("required", ())
    inputs: dict[str, dict[str, Any]] = {}
    for name, schema in spec.parameters["properties"].items():
        inputs[name] = {"description": name, **schema, "type": schema.get("type", _type_of(schema))}
        if name not in required:
            inputs[name]["nullable"] = True
    return inputs


def _type_of(schema: dict[str, Any]) -> str:
    values = schema.get("enum", ())
    return "string" if values and all(isinstance(value, str) for value in values) else "any"


def _spent(agent: Any) -> tuple[int, int]:
    monitor = agent.monitor
    return monitor.total_input_token_count, monitor.total_output_token_count
