"""Agents of smolagents.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from goal_drift_gym.agents.bridges.faults import translated
from goal_drift_gym.agents.bridges.framework_agent import AnyTool, FrameworkAgent, Opening, Reply, following, text_of
from goal_drift_gym.agents.chat_prompt import Part, Said, Template
from goal_drift_gym.agents.episode import LiveEpisode
from goal_drift_gym.core.errors import AgentSilent
from goal_drift_gym.core.tools import flat_properties
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
        _meter(agent, opening.spend)
        said = agent.run(_task(agent, opening), reset=False, max_steps=opening.max_requests)
        steps = agent.memory.steps
        if type(getattr(steps[-1], "error", None)).__name__ == "AgentMaxStepsError":
            raise AgentSilent(f"no end of the turn within {opening.max_requests} requests")
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
    for name, schema in flat_properties(spec.parameters).items():
        schema = _structured(schema)
        inputs[name] = {"description": name, **schema, "type": schema.get("type", _type_of(schema))}
        if name not in required:
            inputs[name]["nullable"] = True
    return inputs


def _structured(schema: dict[str, Any]) -> dict[str, Any]:
    """Return what stands beside null in a list or object that may be left out: smolagents keeps only its type."""
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    if len(options) != 1 or options[0].get("type") not in ("array", "object"):
        return schema
    return {**{key: value for key, value in schema.items() if key != "anyOf"}, **options[0]}


def _type_of(schema: dict[str, Any]) -> str:
    values = schema.get("enum", ())
    return "string" if values and all(isinstance(value, str) for value in values) else "any"


class _MeteredModel:
    """A model that reports each request as it begins, and its tokens as they are known."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.spend: Callable[..., None]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, *args: Any, **settings: Any) -> Any:
        """Ask the model."""
        self.spend(calls=1)
        try:
            answer = self._model.generate(*args, **settings)
        except Exception:
            self.spend(unmetered_calls=1)
            raise
        self._told(answer.token_usage)
        return answer

    def generate_stream(self, *args: Any, **settings: Any) -> Iterator[Any]:
        """Ask the model, and yield its answer in pieces."""
        self.spend(calls=1)
        used = None
        try:
            for piece in self._model.generate_stream(*args, **settings):
                used = piece.token_usage or used
                yield piece
        finally:
            self._told(used)

    def _told(self, used: Any) -> None:
        if used is None:
            self.spend(unmetered_calls=1)
        else:
            self.spend(input_tokens=used.input_tokens, output_tokens=used.output_tokens)


def _meter(agent: Any, spend: Callable[..., None]) -> None:
    """Have the requests of an agent, and of those it manages, reported; the model itself may belong to others too."""
    if not isinstance(agent.model, _MeteredModel):
        agent.model = _MeteredModel(agent.model)
    agent.model.spend = spend
    for managed in getattr(agent, "managed_agents", {}).values():
        _meter(managed, spend)
