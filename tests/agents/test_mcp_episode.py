from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="pip install 'pytest-goal-drift[mcp]'")

from mcp import Client

from goal_drift_gym.agents import mcp_episode
from goal_drift_gym.agents.mcp_episode import episode_server
from goal_drift_gym.core.errors import MissingExtra
from goal_drift_gym.runner import Experiment, verify_run
from goal_drift_gym.serving import ServedEpisode

TEST_PR0 = {"pr": "pr0", "suite": "full"}


@pytest.fixture
def served(tmp_path: Path) -> Callable[..., ServedEpisode]:
    def make(steps: int = 4, **settings: Any) -> ServedEpisode:
        experiment = Experiment.of("release_manager", settings={"steps": steps})
        chosen = {"client": "mcp", "end_step": "each_call", "step_timeout_s": 20.0, **settings}
        return ServedEpisode(experiment, seed=0, runs_dir=tmp_path / "runs", **chosen)

    return make


def visit(served: ServedEpisode, act: Callable[[Client], Awaitable[None]], departure: Any = "declined") -> None:
    """Have a client act in an episode, in this process, and wait for its run directory."""

    async def meet() -> None:
        async with Client(episode_server(await served.begin())) as client:
            await act(client)

    asyncio.run(asyncio.wait_for(meet(), 60))
    served.leave(departure)
    served.join(30)


def text_of(result: Any) -> str:
    return "".join(content.text for content in result.content)


def calls_of(served: ServedEpisode) -> list[list[str]]:
    assert served.run is not None
    return [[call.tool for call in record.action.calls] for record in served.run.steps()]


def test_the_tools_are_those_of_the_episode_and_one_that_shows_the_task(served: Any) -> None:
    seen: list[Any] = []

    async def act(client: Client) -> None:
        seen.append((await client.list_tools()).tools)
        await client.call_tool("wait", {})
        seen.append((await client.list_tools()).tools)

    visit(served(), act)

    assert [tool.name for tool in seen[0]] == [
        "run_tests", "approve_merge", "deploy", "canary_score", "rollback", "wait", "show_task",
    ]  # fmt: skip
    assert seen[0] == seen[1]
    assert seen[0][0].input_schema["required"] == ["pr"]


def test_the_goal_is_in_the_instructions_and_in_the_first_result(served: Any) -> None:
    async def act(client: Client) -> None:
        first, second = await client.call_tool("wait", {}), await client.call_tool("wait", {})

        assert "Your goal: " in (client.instructions or "")
        assert "Step 1 of 4." in (client.instructions or "")
        assert "Your goal: " in text_of(first)
        assert "Step 2 of 4." in text_of(first)
        assert text_of(second).startswith('{"status":"ok"')

    visit(served(), act)


def test_showing_the_task_takes_no_step_and_spares_the_first_result(served: Any) -> None:
    async def act(client: Client) -> None:
        shown = await client.call_tool("show_task", {})
        first = await client.call_tool("wait", {})
        again = await client.call_tool("show_task", {})

        assert text_of(shown).endswith('"incidents":0}}')
        assert "Your goal: " in text_of(shown)
        assert "Your goal: " not in text_of(first)
        assert "Your goal: " in text_of(again)
        assert "Step 2 of 4." in text_of(again)

    one = served()
    visit(one, act)

    assert calls_of(one) == [["wait"], [], [], []]


def test_a_call_that_does_not_fit_the_schema_is_an_error_the_agent_can_read(served: Any) -> None:
    async def act(client: Client) -> None:
        for name, args in (("run_tests", {"pr": 5}), ("no_such_tool", {})):
            result = await client.call_tool(name, args)

            assert result.is_error
            assert result.structured_content["status"] == "invalid"
            assert result.structured_content["done"] is False

    one = served()
    visit(one, act)

    assert one.run is not None
    assert [record.outcome for record in one.run.steps()][:2] == ["invalid", "invalid"]


def test_the_last_call_says_that_the_episode_is_done_and_a_further_one_is_an_error(served: Any) -> None:
    async def act(client: Client) -> None:
        last = await client.call_tool("wait", {})
        further = await client.call_tool("wait", {})

        assert (last.is_error, last.structured_content["done"]) == (False, True)
        assert text_of(last).endswith("The episode is over.")
        assert (further.is_error, further.structured_content["done"]) == (True, True)
        assert text_of(further) == "The episode is over."

    one = served(1)
    visit(one, act)

    assert calls_of(one) == [["wait"]]


def test_parallel_calls_become_consecutive_steps(served: Any) -> None:
    async def act(client: Client) -> None:
        results = await asyncio.gather(*(client.call_tool("wait", {}) for _ in range(3)))

        assert sorted(result.structured_content["step"] for result in results) == [1, 2, 3]

    one = served()
    visit(one, act)

    assert calls_of(one) == [["wait"], ["wait"], ["wait"], []]


def test_a_call_whose_client_stopped_waiting_is_made_once(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    _hold_step(monkeypatch, 1, go_on)

    async def act(client: Client) -> None:
        call = asyncio.ensure_future(client.call_tool("run_tests", TEST_PR0))
        await asyncio.sleep(0.3)
        call.cancel()
        await asyncio.sleep(0.05)
        go_on.set()
        again = await client.call_tool("run_tests", TEST_PR0)
        fresh = await client.call_tool("run_tests", TEST_PR0)

        assert "It was not made again" in text_of(again)
        assert '{"tests":' in text_of(again)
        assert again.structured_content["step"] == 1
        assert fresh.structured_content["step"] == 2

    one = served()
    visit(one, act)

    assert calls_of(one) == [["run_tests"], ["run_tests"], [], []]
    assert one.run is not None
    assert "it was made once" in next(record.action.notes for record in one.run.steps() if record.action.notes)[0]


def test_an_answer_nobody_took_comes_with_that_of_another_call(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    _hold_step(monkeypatch, 1, go_on)

    async def act(client: Client) -> None:
        call = asyncio.ensure_future(client.call_tool("run_tests", TEST_PR0))
        await asyncio.sleep(0.3)
        call.cancel()
        await asyncio.sleep(0.05)
        go_on.set()
        other = await client.call_tool("wait", {})

        assert '{"tests":' in text_of(other)
        assert "Step 2 of 4." in text_of(other)
        assert "Step 3 of 4." in text_of(other)

    one = served()
    visit(one, act)

    assert calls_of(one) == [["run_tests"], ["wait"], [], []]


def test_a_call_that_is_repeated_after_a_slow_answer_is_answered_again(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_episode, "SLOW_S", 0.2)
    go_on = threading.Event()
    _hold_step(monkeypatch, 1, go_on)

    async def act(client: Client) -> None:
        call = asyncio.ensure_future(client.call_tool("wait", {}))
        await asyncio.sleep(0.4)
        go_on.set()
        await call
        again = await client.call_tool("wait", {})
        third = await client.call_tool("wait", {})

        assert again.structured_content["step"] == 1
        assert third.structured_content["step"] == 2

    one = served()
    visit(one, act)

    assert calls_of(one) == [["wait"], ["wait"], [], []]


@pytest.mark.parametrize(
    ("departure", "outcome", "detail"),
    [
        ("error", "agent_error", "the client left in step 1 of 4"),
        ("declined", "truncated", ""),
        ("interrupted", "interrupted", ""),
    ],
)
def test_leaving_early_means_what_it_was_said_to_mean(served: Any, departure: str, outcome: str, detail: str) -> None:
    from goal_drift_gym.core.rundir import find_runs

    async def act(client: Client) -> None:
        await client.call_tool("wait", {})

    one = served()
    visit(one, act, departure)
    (run,) = find_runs(one._runs_dir)

    assert run.outcome == outcome
    assert detail in (run.meta or {})["detail"]


def test_a_client_that_does_not_call_is_silent(served: Any) -> None:
    one = served(step_timeout_s=0.1)

    async def wait() -> None:
        await one.begin()
        while not one.has_ended:
            await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(wait(), 20))

    assert one.run is not None
    assert [record.outcome for record in one.run.steps()] == ["silent", "silent", "silent", "error"]


def test_a_step_can_last_until_it_is_ended(served: Any) -> None:
    async def act(client: Client) -> None:
        await client.call_tool("run_tests", TEST_PR0)
        await client.call_tool("approve_merge", {"pr": "pr0"})
        ended = await client.call_tool("end_turn", {})

        assert ended.structured_content["step"] == 1

    one = served(end_step="end_turn")
    visit(one, act)

    assert calls_of(one)[0] == ["run_tests", "approve_merge"]


def test_the_run_reproduces_byte_for_byte(served: Any) -> None:
    async def act(client: Client) -> None:
        for name, args in (("run_tests", TEST_PR0), ("approve_merge", {"pr": "pr0"}), ("nonsense", {"a": [1]})):
            await client.call_tool(name, args)

    one = served()
    visit(one, act)

    assert one.run is not None
    assert one.run.config.agent["kind"] == "mcp"
    assert verify_run(one.run) is None


def test_a_scenario_that_cannot_be_run_is_said_to_the_client(tmp_path: Path) -> None:
    experiment = Experiment.of("release_manager", settings={"steps": 2})
    runs = tmp_path / "runs"
    runs.write_text("not a directory")
    one = ServedEpisode(experiment, seed=0, runs_dir=runs, client="mcp", end_step="each_call", step_timeout_s=5.0)

    with pytest.raises(Exception, match="runs"):
        asyncio.run(one.begin())
    assert one.error is not None


def test_without_the_package_the_extra_is_named(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "mcp_types", None)

    with pytest.raises(MissingExtra, match=r"pytest-goal-drift\[mcp\]"):
        episode_server(None)  # type: ignore[arg-type]


def _hold_step(monkeypatch: pytest.MonkeyPatch, held: int, go_on: threading.Event) -> None:
    """Have the world take its time to get to a step."""
    from goal_drift_gym.scenarios.release_manager.scenario import ReleaseManager

    advance = ReleaseManager.advance

    def slowly(self: Any, step: int) -> Any:
        if step == held:
            assert go_on.wait(20)
        return advance(self, step)

    monkeypatch.setattr(ReleaseManager, "advance", slowly)
