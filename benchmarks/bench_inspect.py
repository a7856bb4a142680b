"""CPU a step of a whole run of ours against Inspect AI's tool loop with its mock model, logs on, on the same episodes.

Both live through the same world and make the very same calls: Inspect's mock model repeats what our reference agent
did. The comparison favours Inspect: it scores nothing, counts no tokens, and its model decides once a step on all
calls of the step, where our agent looks at the results and decides again (the last row gives Inspect's model a turn
for each of those looks). Ours is `run_episode` as users get it: run directory, score of each step and all metrics.

The targets stand for the trivial release manager, four tools and one call a step; the real one makes 2.7 calls.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from measure import Table, cpu_seconds, median_ratio

from goal_drift_gym.agents.reference import Reference
from goal_drift_gym.core.condition import Condition
from goal_drift_gym.core.streams import scenario_streams
from goal_drift_gym.core.tools import tools_of
from goal_drift_gym.runner import Experiment, run_episode

TRIVIAL = str(Path(__file__).with_name("trivial_release.py")) + ":TrivialRelease"
REAL = "release_manager"
EPISODES = 4

Looks = list[list[tuple[str, dict[str, Any]]]]
"""The calls of one step, by look; the last look finds nothing left to do."""


class Work:
    """Some episodes of one scenario, ready for both sides."""

    def __init__(self, scenario: str, steps: int, episodes: int, *, looks: bool = False) -> None:
        self.steps = steps
        self.seeds = range(episodes)
        self.experiment = Experiment.of(scenario, Condition(name="baseline", steps=steps))
        self.looks = looks
        whole = [self._lived(seed) for seed in self.seeds]
        self.answers = whole if looks else [[[list(chain(*step))] for step in episode] for episode in whole]

    def world(self, seed: int) -> Any:
        """Return a fresh scenario."""
        scenario = self.experiment.entry.load()()
        scenario.reset(scenario_streams(seed))
        return scenario

    def _lived(self, seed: int) -> list[Looks]:
        scenario = self.world(seed)
        episode: list[Looks] = []
        for step in range(self.steps):
            scenario.advance(step)
            looks: Looks = []
            while plan := scenario.reference_action():
                for action in plan:
                    getattr(scenario, action.tool)(**action.args)
                looks.append([(action.tool, dict(action.args)) for action in plan])
            episode.append([*looks, []])
        return episode


def ours(work: Work, runs_dir: Path) -> None:
    """Run the episodes as users do."""
    for seed in work.seeds:
        run_episode(work.experiment, Reference(), seed=seed, runs_dir=runs_dir)


def theirs(work: Work, log_dir: Path) -> None:
    """Evaluate one Inspect sample a seed, one after the other."""
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.model import get_model

    answers = iter([look for episode in work.answers for step in episode for look in step])
    task = Task(
        dataset=[
            Sample(id=f"seed{seed}", input="Keep the release safe.", metadata={"seed": seed}) for seed in work.seeds
        ],
        solver=_solver(work),
        model=get_model("mockllm/model", custom_outputs=lambda *_: _model_output(next(answers)), memoize=False),
    )
    (log,) = eval(task, log_dir=str(log_dir), display="none", max_samples=1, log_level="warning", score=False)
    assert log.status == "success", log.error and log.error.message
    assert next(answers, None) is None, "Inspect's model was asked less often than planned"


def _model_output(calls: Sequence[tuple[str, dict[str, Any]]]) -> Any:
    from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ModelOutput, ModelUsage
    from inspect_ai.tool import ToolCall

    made = [ToolCall(id=f"call{number}", function=name, arguments=args) for number, (name, args) in enumerate(calls)]
    message = ChatMessageAssistant(content="" if made else "Done.", tool_calls=made or None)
    choices = [ChatCompletionChoice(message=message, stop_reason="tool_calls" if made else "stop")]
    # With a usage given nothing is tokenised: that would be Inspect's heaviest work, and its table is a download.
    return ModelOutput(model="mockllm", choices=choices, usage=ModelUsage(input_tokens=1, output_tokens=1))


def _solver(work: Work) -> Any:
    from inspect_ai.model import ChatMessageUser
    from inspect_ai.solver import solver

    @solver
    def live() -> Any:
        async def solve(state: Any, generate: Any) -> Any:
            scenario = work.world(state.metadata["seed"])
            state.tools = _tools(scenario)
            for step in range(work.steps):
                scenario.advance(step)
                state.messages.append(ChatMessageUser(content=json.dumps(scenario.panels())))
                state = await generate(state, tool_calls="loop" if work.looks else "single")
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

    described: dict[Callable[..., Any], dict[str, str]] = {
        run_tests: {"pr": "An open pull request.", "suite": "smoke or full."},
        approve_merge: {"pr": "An open pull request."},
        canary_score: {},
        deploy: {"env": "staging or production."},
        rollback: {},
    }
    known = tools_of(type(scenario))
    return [
        ToolDef(
            function, name=function.__name__, description=known[function.__name__].description, parameters=texts
        ).as_tool()
        for function, texts in described.items()
        if function.__name__ in known
    ]


def compare(table: Table, name: str, work: Work, home: Path, *, rounds: int, at_least: float | None = None) -> None:
    """Time both sides in turn; print CPU a step of each and the median of the ratios."""
    mine, other = [], []
    for _ in range(rounds):
        # Ours is so short that one pass of it would measure the clock.
        mine.append(statistics.median(cpu_seconds(lambda: ours(work, home / "runs")) for _ in range(3)))
        other.append(cpu_seconds(lambda: theirs(work, home / "logs")))
    steps = work.steps * len(work.seeds)
    table.row(f"{name}: ours", 1e6 * statistics.median(mine) / steps, "us/step")
    table.row(f"{name}: Inspect AI", 1e6 * statistics.median(other) / steps, "us/step")
    table.row(f"{name}: Inspect AI / ours", median_ratio(other, mine), "x", at_least=at_least)


def main() -> int:
    """Print the figures; exit 1 when a target is missed."""
    try:
        import inspect_ai
    except ImportError:
        print(
            "\nInspect AI is not installed, so the comparison with it was NOT made. To make it: pip install inspect-ai"
        )
        return 0
    table = Table(f"Against Inspect AI {inspect_ai.__version__}: mock model, tool loop, logs on")
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        warm_up = Work(TRIVIAL, 4, 1)
        ours(warm_up, home / "runs")
        theirs(warm_up, home / "logs")
        compare(table, "trivial, 64 steps", Work(TRIVIAL, 64, EPISODES), home, rounds=5, at_least=300)
        compare(table, "trivial, 1,000 steps", Work(TRIVIAL, 1_000, 1), home, rounds=1, at_least=1_500)
        compare(table, f"{REAL}, 64 steps", Work(REAL, 64, 2), home, rounds=2)
        compare(table, f"{REAL}, 64 steps, with looks", Work(REAL, 64, 2, looks=True), home, rounds=1)
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
