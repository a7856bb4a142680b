from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goal_drift_gym.agents.call_mode import CallModeAgent
from goal_drift_gym.agents.chat_prompt import ChatPrompt, Template
from goal_drift_gym.agents.episode import LiveEpisode
from goal_drift_gym.core.condition import override
from goal_drift_gym.core.engine import Episode, Limits, RunEnd
from goal_drift_gym.core.errors import AgentSilent, AgentUnavailable, EpisodeOver, UsageError
from goal_drift_gym.core.host import Agent
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.turn import Turn
from goal_drift_gym.runner import Experiment, resume_run, run_episode, verify_run
from goal_drift_gym.scenarios.bandit_constraint.scenario import BanditConstraint
from goal_drift_gym.scenarios.discovery import find_condition
from goal_drift_gym.scenarios.release_manager.scenario import ReleaseManager

TEST_PR0 = ("run_tests", {"pr": "pr0", "suite": "full"})


def play(
    agent: Agent, steps: int = 4, *, limits: Limits | None = None, scenario: Any = ReleaseManager, **settings: Any
) -> tuple[list[StepRecord], RunEnd]:
    condition = override(find_condition(scenario, "baseline"), {"steps": steps, **settings})
    records: list[StepRecord] = []
    return records, Episode(scenario(), condition, seed=0, limits=limits).run(agent, records.append)


def waits(episode: LiveEpisode) -> None:
    while True:
        episode.call("wait")


def outcomes(records: list[StepRecord]) -> list[str]:
    return [record.outcome for record in records]


def live_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("goal-drift-live")]


def test_every_call_is_one_step() -> None:
    def live(episode: LiveEpisode) -> None:
        episode.call(*TEST_PR0)
        episode.call("approve_merge", {"pr": "pr0"})
        waits(episode)

    records, end = play(CallModeAgent(live))

    assert [[call.tool for call in record.action.calls] for record in records] == [
        ["run_tests"], ["approve_merge"], ["wait"], ["wait"],
    ]  # fmt: skip
    assert end.outcome == "truncated"


def test_an_answer_holds_the_result_and_what_the_next_step_shows() -> None:
    answers: list[str] = []

    def live(episode: LiveEpisode) -> None:
        answers.append(episode.call(*TEST_PR0))
        waits(episode)

    play(CallModeAgent(live))

    result, shown = answers[0].split("\n\n")
    assert result.startswith('{"status":"ok","result":{"tests":')
    assert shown.startswith('Step 2 of 4.\nPanels: {"queue":')


def test_messages_of_the_step_and_of_the_result_are_in_the_answer() -> None:
    answers: list[str] = []
    pressure = [
        {"source": "lead", "position": "observation", "schedule": {"every": 1}},
        {"source": "board", "position": "tool_result", "schedule": {"every": 1}},
    ]

    def live(episode: LiveEpisode) -> None:
        while True:
            answers.append(episode.call("wait"))

    records, _ = play(CallModeAgent(live), pressure=pressure)

    told = {message.source: message.text for message in records[1].adversaries}
    assert f"[lead] {told['lead']}" in answers[0]
    assert f"[board] {told['board']}" in answers[1].split("\n\n")[0]


def test_the_layout_is_that_of_the_chat_prompt() -> None:
    seen: list[str] = []
    laid_out: list[str] = []

    def live(episode: LiveEpisode) -> None:
        while True:
            seen.append(episode.observation)
            episode.call("wait")

    class Beside(CallModeAgent):
        async def __call__(self, turn: Turn) -> None:
            laid_out.append(ChatPrompt("tools", Template(), 0).parts(turn)[-1].text)
            await super().__call__(turn)

    play(Beside(live))

    assert seen == laid_out
    assert len(set(seen)) == 4


def test_the_first_prompt_holds_goal_rules_and_the_first_observation() -> None:
    seen: list[LiveEpisode] = []

    def live(episode: LiveEpisode) -> None:
        seen.append(episode)
        assert episode.first_prompt == f"{episode.instructions}\n\n{episode.observation}"
        assert episode.goal is not None
        assert episode.instructions.startswith(episode.goal)
        assert "Every call is one step" in episode.instructions

    _, end = play(CallModeAgent(live))

    assert seen
    assert end.outcome == "truncated", end.detail


def test_tools_are_told_with_their_schemas() -> None:
    tools: dict[str, Any] = {}

    def live(episode: LiveEpisode) -> None:
        tools.update({tool.name: tool for tool in episode.tools})

    play(CallModeAgent(live))

    assert list(tools) == ["run_tests", "approve_merge", "deploy", "canary_score", "rollback", "wait"]
    assert tools["run_tests"].parameters["required"] == ["pr"]
    assert tools["run_tests"].description


def test_an_async_agent_lives_on_a_loop_of_its_own() -> None:
    loops: list[Any] = []

    async def live(episode: LiveEpisode) -> None:
        while True:
            loops.append(asyncio.get_running_loop())
            await episode.acall("wait")

    async def outside() -> None:
        loops.append(asyncio.get_running_loop())
        records, _ = play(CallModeAgent(live))
        assert len(records) == 4

    asyncio.run(outside())

    assert len(set(loops)) == 2


def test_parallel_calls_become_consecutive_steps_in_the_order_they_came() -> None:
    answers: list[str] = []

    async def live(episode: LiveEpisode) -> None:
        wanted = [episode.acall("run_tests", {"pr": f"pr{number}", "suite": "full"}) for number in range(3)]
        answers.extend(await asyncio.gather(*wanted))

    records, _ = play(CallModeAgent(live))

    assert [record.action.calls[0].args["pr"] for record in records[:3]] == ["pr0", "pr1", "pr2"]
    assert [answer.split("\n\n")[1][:11] for answer in answers] == ["Step 2 of 4", "Step 3 of 4", "Step 4 of 4"]


def test_calls_from_several_threads_are_all_made() -> None:
    def live(episode: LiveEpisode) -> None:
        threads = [threading.Thread(target=episode.call, args=("wait",)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

    records, _ = play(CallModeAgent(live))

    assert [len(record.action.calls) for record in records] == [1, 1, 1, 0]


def test_a_blocking_call_beside_a_waiting_one_on_the_same_loop_does_not_lock_up() -> None:
    async def live(episode: LiveEpisode) -> None:
        first = asyncio.ensure_future(episode.acall("wait"))
        await asyncio.sleep(0)
        episode.call("wait")
        await first

    records, _ = play(CallModeAgent(live, step_timeout_s=10.0))

    assert [len(record.action.calls) for record in records] == [1, 1, 0, 0]


def test_the_end_goes_through_what_catches_exceptions() -> None:
    reached: list[str] = []

    def live(episode: LiveEpisode) -> None:
        try:
            while True:
                try:
                    episode.call("wait")
                except Exception:
                    reached.append("swallowed")
        except EpisodeOver:
            reached.append("over")
            raise

    _, end = play(CallModeAgent(live))

    assert reached == ["over"]
    assert end.outcome == "truncated"


def test_a_call_after_the_end_is_refused_at_once() -> None:
    kept: list[LiveEpisode] = []
    play(CallModeAgent(kept.append))

    assert kept[0].is_over
    with pytest.raises(EpisodeOver, match="is over"):
        kept[0].call("wait")
    with pytest.raises(EpisodeOver):
        asyncio.run(kept[0].acall("wait"))


async def hangs_async(episode: LiveEpisode) -> None:
    await episode.acall("wait")
    await asyncio.sleep(60)


@pytest.mark.parametrize("live", [waits, hangs_async], ids=["sync", "async that waits for something else"])
def test_no_thread_is_left_at_the_end(live: Callable[[LiveEpisode], Any]) -> None:
    play(CallModeAgent(live, step_timeout_s=0.1, most_silent_steps=1))

    assert live_threads() == []


def test_a_thread_that_does_not_come_back_ends_at_its_next_call() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def live(episode: LiveEpisode) -> None:
        go_on.wait(20)
        try:
            episode.call("wait")
        finally:
            ended.set()

    _, end = play(CallModeAgent(live, step_timeout_s=0.05, grace_s=0.05))
    assert end.outcome == "agent_error"
    assert not ended.is_set()
    go_on.set()

    assert ended.wait(10)


def test_returning_early_declines_the_remaining_steps() -> None:
    records, end = play(CallModeAgent(lambda episode: episode.call("wait") and None))

    assert outcomes(records) == ["declined"] * 4
    assert [len(record.action.calls) for record in records] == [1, 0, 0, 0]
    assert all(record.score.alignment is not None for record in records)
    assert end.outcome == "truncated"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("broken"), "agent_error"),
        (AgentSilent("broken"), "agent_error"),
        (AgentUnavailable("broken"), "infra_error"),
        (SystemExit("broken"), "agent_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_raising_ends_the_run(error: BaseException, outcome: str, is_async: bool) -> None:
    def live(episode: LiveEpisode) -> None:
        episode.call("wait")
        raise error

    async def live_async(episode: LiveEpisode) -> None:
        await episode.acall("wait")
        raise error

    records, end = play(CallModeAgent(live_async if is_async else live))

    assert outcomes(records) == ["declined", "error"]
    assert end.outcome == outcome
    assert "broken" in end.detail


def test_a_step_without_a_call_in_time_is_silent_and_a_late_call_counts_for_the_step_that_is_open() -> None:
    answers: list[str] = []
    opened = threading.Event()

    class Told(CallModeAgent):
        async def __call__(self, turn: Turn) -> None:
            if turn.step == 1:
                opened.set()
            await super().__call__(turn)

    def live(episode: LiveEpisode) -> None:
        opened.wait(20)
        answers.append(episode.call(*TEST_PR0))
        waits(episode)

    records, _ = play(Told(live, step_timeout_s=0.3))

    assert outcomes(records)[:2] == ["silent", "acted"]
    assert [line[:11] for line in answers[0].split("\n") if line.startswith("Step")] == ["Step 3 of 4"]
    assert records[0].score.alignment is None


def test_steps_nobody_waited_for_are_shown_with_the_next_answer() -> None:
    shown: list[str] = []
    lock = {"commitment": {"lock_steps": 2, "lock_tools": ["run_tests"], "lock_turns": True}}

    def live(episode: LiveEpisode) -> None:
        shown.append(episode.call(*TEST_PR0))
        waits(episode)

    records, _ = play(CallModeAgent(live), 6, **lock)

    assert outcomes(records)[:4] == ["acted", "forced", "forced", "declined"]
    assert [line[:11] for line in shown[0].split("\n") if line.startswith("Step")] == [
        "Step 2 of 6", "Step 3 of 6", "Step 4 of 6",
    ]  # fmt: skip


def test_the_engines_own_limit_makes_a_silent_step_too() -> None:
    def live(episode: LiveEpisode) -> None:
        time.sleep(0.25)
        waits(episode)

    records, end = play(CallModeAgent(live), limits=Limits(step_timeout_s=0.1))

    assert "silent" in outcomes(records)
    assert "declined" in outcomes(records)
    assert end.outcome == "truncated"


@pytest.mark.parametrize("limits", [None, Limits(step_timeout_s=0.05)], ids=["own limit", "engine's limit"])
def test_an_agent_that_stays_silent_ends_the_run(limits: Limits | None) -> None:
    async def live(episode: LiveEpisode) -> None:
        await asyncio.sleep(60)

    agent = CallModeAgent(live, step_timeout_s=0.05 if limits is None else 300.0, most_silent_steps=2)
    records, end = play(agent, limits=limits)

    assert outcomes(records) == ["silent", "silent", "error"]
    assert end.outcome == "agent_error"
    assert "no call in 2 steps in a row" in end.detail


def test_an_invalid_call_is_told_and_is_a_step() -> None:
    answers: list[str] = []

    def live(episode: LiveEpisode) -> None:
        for args in ({"pr": 7, "suite": "full"}, "no object", {"pr": "pr0", "suite": "full", "more": 1}):
            answers.append(episode.call("run_tests", args))  # type: ignore[arg-type]

    records, _ = play(CallModeAgent(live))

    assert outcomes(records)[:3] == ["invalid"] * 3
    assert all(answer.startswith('{"status":"invalid","result":"') for answer in answers)


def test_with_end_turn_a_step_lasts_until_it_is_called() -> None:
    answers: list[str] = []

    def live(episode: LiveEpisode) -> None:
        assert episode.tools[-1].name == "end_turn"
        assert "Call end_turn" in episode.instructions
        answers.append(episode.call(*TEST_PR0))
        answers.append(episode.call("approve_merge", {"pr": "pr0"}))
        answers.append(episode.call("end_turn"))

    records, end = play(CallModeAgent(live, end_step="end_turn"))

    assert [call.tool for call in records[0].action.calls] == ["run_tests", "approve_merge"]
    assert [answer.count("\n\n") for answer in answers[:2]] == [0, 0]
    assert answers[2].startswith("Step 2 of 4.")
    assert end.detail == ""


def test_with_end_turn_the_engines_call_limit_ends_the_step_and_the_call_counts_for_the_next() -> None:
    def live(episode: LiveEpisode) -> None:
        for _ in range(5):
            episode.call("wait")

    records, _ = play(CallModeAgent(live, end_step="end_turn"), limits=Limits(calls_per_turn=2))

    assert [len(record.action.calls) for record in records] == [2, 2, 1, 0]


def test_a_scenario_without_a_tool_for_waiting_gets_one_that_ends_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    def live(episode: LiveEpisode) -> None:
        names.extend(tool.name for tool in episode.tools)
        episode.call("end_turn")

    class WithoutWaiting(CallModeAgent):
        async def __call__(self, turn: Turn) -> None:
            turn.tools = [tool for tool in turn.tools if not tool.flags.wait]
            await super().__call__(turn)

    records, _ = play(WithoutWaiting(live))

    assert names[-1] == "end_turn"
    assert outcomes(records)[0] == "declined"
    assert records[0].action.calls == []


def test_a_call_called_off_before_its_turn_is_not_made() -> None:
    called_off = threading.Event()

    class Slow(CallModeAgent):
        async def __call__(self, turn: Turn) -> None:
            if turn.step == 1:
                assert called_off.wait(20)
            await super().__call__(turn)

    async def live(episode: LiveEpisode) -> None:
        first = asyncio.ensure_future(episode.acall("wait"))
        second = asyncio.ensure_future(episode.acall(*TEST_PR0))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        called_off.set()
        await first
        waits(episode)

    records, _ = play(Slow(live))

    assert [record.action.calls[0].tool for record in records] == ["wait"] * 4


def test_the_answer_of_a_call_nobody_waits_for_any_more_comes_with_the_next() -> None:
    answers: list[str] = []
    made = threading.Event()

    class Slow(CallModeAgent):
        """An engine that takes its time between two steps."""

        async def __call__(self, turn: Turn) -> None:
            if turn.step == 1:
                made.set()
                await asyncio.sleep(0.3)
            await super().__call__(turn)

    async def live(episode: LiveEpisode) -> None:
        first = asyncio.ensure_future(episode.acall(*TEST_PR0))
        while not made.is_set():
            await asyncio.sleep(0.01)
        first.cancel()
        answers.append(await episode.acall("wait"))

    records, _ = play(Slow(live))

    assert [record.action.calls[0].tool for record in records[:2]] == ["run_tests", "wait"]
    assert answers[0].startswith('{"status":"ok","result":{"tests"')
    assert "Step 2 of 4." in answers[0]
    assert "Step 3 of 4." in answers[0]


def test_remarks_are_kept_beside_the_call_and_spending_is_counted() -> None:
    def live(episode: LiveEpisode) -> None:
        episode.note("I wait.")
        episode.usage(calls=1, input_tokens=12)
        episode.call("wait")

    records, end = play(CallModeAgent(live))

    assert records[0].action.notes == ["I wait."]
    assert (end.usage.calls, end.usage.input_tokens) == (1, 12)


def test_one_agent_lives_through_several_episodes_one_after_another(tmp_path: Path) -> None:
    seeds: list[int | None] = []

    def live(episode: LiveEpisode) -> None:
        seeds.append(episode.seed)
        waits(episode)

    agent = CallModeAgent(live)
    experiment = Experiment.of("release_manager", settings={"steps": 3})
    runs = [run_episode(experiment, agent, seed=seed, runs_dir=tmp_path) for seed in (0, 7)]

    assert seeds == [0, 7]
    assert [run.outcome for run in runs] == ["truncated"] * 2
    assert live_threads() == []


def test_copies_live_through_episodes_at_the_same_time(tmp_path: Path) -> None:
    both = threading.Barrier(3, timeout=20)
    counts: dict[int | None, int] = {}

    def live(episode: LiveEpisode) -> None:
        both.wait()
        while True:
            episode.call("wait")
            counts[episode.seed] = episode.step

    agent = CallModeAgent(live)
    experiment = Experiment.of("release_manager", settings={"steps": 10})

    def run(seed: int) -> None:
        run_episode(experiment, agent.for_episode(), seed=seed, runs_dir=tmp_path)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert counts == {0: 9, 1: 9, 2: 9}


def test_an_episode_begins_anew_without_a_reset() -> None:
    agent, begun = CallModeAgent(lambda episode: begun.append(episode)), []  # type: ignore[var-annotated]
    play(agent)
    play(agent)

    assert len(begun) == 2


@pytest.mark.parametrize("end_step", ["each_call", "end_turn"])
def test_a_run_reproduces_byte_for_byte(tmp_path: Path, end_step: Any) -> None:
    def live(episode: LiveEpisode) -> None:
        while True:
            for name, args in (TEST_PR0, ("approve_merge", {"pr": "pr0"}), ("no_such", {}), ("wait", {})):
                episode.call(name, args)
            if end_step == "end_turn":
                episode.call("end_turn")

    experiment = Experiment.of("release_manager", "adversarial_jit", {"steps": 20})
    run = run_episode(experiment, CallModeAgent(live, end_step=end_step), seed=3, runs_dir=tmp_path)

    assert verify_run(run) is None
    assert run.config.agent["end_step"] == end_step


def test_a_resumed_episode_begins_with_what_went_before(tmp_path: Path) -> None:
    prompts: list[str] = []

    def live(episode: LiveEpisode) -> None:
        prompts.append(episode.first_prompt)
        episode.call(*TEST_PR0)
        if len(prompts) == 1:
            raise AgentUnavailable("the line is dead")
        waits(episode)

    agent = CallModeAgent(live)
    run = run_episode(Experiment.of("release_manager", settings={"steps": 4}), agent, seed=0, runs_dir=tmp_path)
    assert run.outcome == "infra_error"
    run = resume_run(run, agent)

    assert run.outcome == "truncated"
    assert "Call of run_tests:" in prompts[1]
    # The step at which the line went dead is asked again.
    assert prompts[1].rpartition("\n\n")[2].startswith("Step 2 of 4.")
    assert verify_run(run) is None


def test_anonymised_names_are_the_ones_the_agent_uses() -> None:
    names: list[str] = []

    def live(episode: LiveEpisode) -> None:
        names.extend(tool.name for tool in episode.tools)
        episode.call(names[1])

    records, _ = play(
        CallModeAgent(live), scenario=BanditConstraint, anonymisation={"vocabulary": True, "entities": True}
    )

    assert records[0].action.calls[0].tool in {"pull", "peek_stats", "check_constraint", "wait"}
    assert names[1] not in {"pull", "peek_stats", "check_constraint", "wait"}


def test_the_name_is_that_of_the_function_unless_one_is_given() -> None:
    assert CallModeAgent(waits).name.endswith("test_call_mode:waits")
    assert CallModeAgent(waits, name="mine").for_episode().name == "mine"


@pytest.mark.parametrize(
    "settings",
    [
        {"end_step": "never"},
        {"step_timeout_s": 0.0},
        {"step_timeout_s": float("nan")},
        {"grace_s": -1.0},
        {"most_silent_steps": 0},
        {"most_silent_steps": True},
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(settings))):
        CallModeAgent(waits, **settings)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(UsageError, match="takes a LiveEpisode"):
        CallModeAgent("waits")  # type: ignore[arg-type]


def test_an_end_of_its_own_that_fails_does_not_touch_the_run() -> None:
    class Failing:
        ended = 0

        def __call__(self, turn: Turn) -> None:
            return None

        def end_episode(self) -> None:
            self.ended += 1
            raise RuntimeError("no")

    agent = Failing()
    _, end = play(agent)

    assert (end.outcome, agent.ended) == ("truncated", 1)
