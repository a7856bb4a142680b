"""CPU a step of a whole run of ours against Inspect AI's tool loop with its mock model, logs on, on the same episodes.

Both live through the scenario's own dynamics and make the very same calls: Inspect's mock model repeats what our
reference agent did. The comparison favours Inspect: its model decides once a step on all calls of the step, where
ours looks at results in between (the second row of 64 steps gives Inspect's model a turn for each of those looks),
its first run in the process is not counted, and it scores nothing. Ours is `run_episode` as users get it: run
directory, score of each step and all metrics.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from measure import Table, cpu_seconds, median_ratio

from goal_drift_gym.agents.reference import Reference
from goal_drift_gym.core.streams import scenario_streams
from goal_drift_gym.runner import Experiment, run_episode

SCENARIO = "release_manager"
EPISODES, ROUNDS = 4, 3

Plans = list[list[list[tuple[str, dict[str, Any]]]]]
"""Calls of an episode by step and look."""


def ours(steps: int, seeds: range, runs_dir: Path) -> None:
    """Run the episodes as users do."""
    experiment = Experiment.of(SCENARIO, "baseline", {"steps": steps})
    for seed in seeds:
        run_episode(experiment, Reference(), seed=seed, runs_dir=runs_dir)


def plans(steps: int, seed: int) -> Plans:
    """Return what the reference does, look by look."""
    scenario = Experiment.of(SCENARIO).entry.load()()
    scenario.reset(scenario_streams(seed))
    episode: Plans = []
    for step in range(steps):
        scenario.advance(step)
        looks = []
        while plan := scenario.reference_action():
            for action in plan:
                getattr(scenario, action.tool)(**action.args)
            looks.append([(action.tool, dict(action.args)) for action in plan])
        # The look after which nothing is left to do.
        episode.append([*looks, []])
    return episode


def in_one_look(episode: Plans) -> Plans:
    """Return the same calls, all of a step at once."""
    return [[[call for look in looks for call in look]] for looks in episode]


class InspectSide:
    """The same episodes as Inspect samples: a user message a step, the model's calls, the tools' results."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = str(log_dir)

    def run(self, episodes: list[Plans], seeds: range) -> None:
        """Evaluate one sample a seed, one after the other."""
        from inspect_ai import Task, eval
        from inspect_ai.dataset import Sample
        from inspect_ai.model import get_model

        samples = [Sample(id=seed + 1, input="Keep the release safe.", metadata={"index": i}) for i, seed in enumerate(seeds)]
        waiting: list[Iterator[list[tuple[str, dict[str, Any]]]]] = [_looks(episode) for episode in episodes]
        current = {"index": 0}

        def answer(*_: Any) -> Any:
            return _model_output(next(waiting[current["index"]]))

        task = Task(dataset=samples, solver=_solver(episodes, seeds, current), model=get_model("mockllm/model", custom_outputs=answer, memoize=False))
        (log,) = eval(
            task, log_dir=self._log_dir, display="none", max_samples=1, log_level="warning", score=False
        )
        assert log.status == "success", log.error and log.error.message
        assert len(log.samples or []) == len(samples)


def _looks(episode: Plans) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    for looks in episode:
        yield from looks


def _model_output(calls: list[tuple[str, dict[str, Any]]]) -> Any:
    from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ModelOutput, ModelUsage
    from inspect_ai.tool import ToolCall

    made = [ToolCall(id=f"call{number}", function=name, arguments=args) for number, (name, args) in enumerate(calls)]
    message = ChatMessageAssistant(content="" if made else "Done.", tool_calls=made or None)
    reason = "tool_calls" if made else "stop"
    choices = [ChatCompletionChoice(message=message, stop_reason=reason)]
    # With a usage given nothing is tokenised: that would be Inspect's heaviest work, and its table is a download.
    return ModelOutput(model="mockllm", choices=choices, usage=ModelUsage(input_tokens=1, output_tokens=1))


def _solver(episodes: list[Plans], seeds: range, current: dict[str, int]) -> Any:
    from inspect_ai.model import ChatMessageUser
    from inspect_ai.solver import solver

    @solver
    def live() -> Any:
        async def solve(state: Any, generate: Any) -> Any:
            index = state.metadata["index"]
            current["index"] = index
            scenario = Experiment.of(SCENARIO).entry.load()()
            scenario.reset(scenario_streams(seeds[index]))
            state.tools = _tools(scenario)
            for step, looks in enumerate(episodes[index]):
                scenario.advance(step)
                state.messages.append(ChatMessageUser(content=json.dumps(scenario.panels())))
                state = await generate(state, tool_calls="single" if len(looks) == 1 else "loop")
            return state

        return solve

    return live()


def _tools(scenario: Any) -> list[Any]:
    from inspect_ai.tool import ToolDef

    async def run_tests(pr: str, suite: str = "full") -> str:
        return json.dumps(scenario.run_tests(pr, suite))

    async def approve_merge(pr: str) -> str:
        return json.dumps(scenario.approve_merge(pr))

    async def canary_score() -> str:
        return json.dumps(scenario.canary_score())

    async def deploy(env: str = "production") -> str:
        return json.dumps(scenario.deploy(env))

    async def rollback() -> str:
        return json.dumps(scenario.rollback())

    described = {
        run_tests: {"pr": "An open pull request.", "suite": "smoke or full."},
        approve_merge: {"pr": "An open pull request."},
        canary_score: {},
        deploy: {"env": "staging or production."},
        rollback: {},
    }
    return [
        ToolDef(function, name=function.__name__, description=f"The tool {function.__name__}.", parameters=texts).as_tool()
        for function, texts in described.items()
    ]


def compared(table: Table, name: str, mine: Callable[[], None], theirs: Callable[[], None], steps: int, rounds: int, target: float | None) -> None:
    """Time both sides in turn and print CPU a step of each and the median of the ratios."""
    pairs = [(cpu_seconds(mine), cpu_seconds(theirs)) for _ in range(rounds)]
    table.row(f"{name}: ours", 1e6 * statistics.median(pair[0] for pair in pairs) / steps, "us/step")
    table.row(f"{name}: Inspect AI", 1e6 * statistics.median(pair[1] for pair in pairs) / steps, "us/step")
    ratio = median_ratio([pair[1] for pair in pairs], [pair[0] for pair in pairs])
    table.row(f"{name}: Inspect AI / ours", ratio, "x", at_least=target)


def main() -> int:
    """Print the figures; exit 1 when a target is missed."""
    try:
        import inspect_ai
    except ImportError:
        print("\nInspect AI is not installed: the comparison was NOT made. To make it: pip install inspect-ai")
        return 0
    table = Table(f"Against Inspect AI {inspect_ai.__version__}: mock model, tool loop, logs on")
    with tempfile.TemporaryDirectory() as directory:
        runs, side = Path(directory) / "runs", InspectSide(Path(directory) / "logs")
        seeds = range(EPISODES)
        looks = [plans(64, seed) for seed in seeds]
        short = [in_one_look(episode) for episode in looks]
        long = [in_one_look(plans(1_000, 0))]
        ours(64, seeds, runs)
        side.run(short, seeds)
        for name, episodes, steps, rounds, target in (
            ("64 steps", short, 64, ROUNDS, 300.0),
            ("64 steps, results looked at", looks, 64, ROUNDS, None),
            ("1,000 steps", long, 1_000, 1, 1_500.0),
        ):
            some = range(len(episodes))
            compared(
                table,
                name,
                lambda steps=steps, some=some: ours(steps, some, runs),
                lambda episodes=episodes, some=some: side.run(episodes, some),
                steps * len(some),
                rounds,
                target,
            )
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
