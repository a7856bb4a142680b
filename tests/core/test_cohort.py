"""Episodes that run at the same time: one loop for all of them, one way to stop them, and nobody harmed by another."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from toy_scenario import Toy

from goal_drift_gym.core.cohort import Cohort, Displaced
from goal_drift_gym.core.condition import parse_condition
from goal_drift_gym.core.engine import Episode, Limits, RunEnd
from goal_drift_gym.core.host import AgentHost
from goal_drift_gym.core.records import StepRecord


class Played:
    """One episode on a thread, and what came of it."""

    def __init__(self, agent: Any, cohort: Cohort, *, timeout_s: float | None = 5.0, own_loop: bool = False) -> None:
        self.records: list[StepRecord] = []
        self.end: RunEnd | None = None
        self.error: BaseException | None = None
        condition = parse_condition({"name": "calm", "steps": 4})
        episode = Episode(Toy(), condition, seed=0, limits=Limits(step_timeout_s=timeout_s))
        host = AgentHost(agent, timeout_s, cohort=cohort, own_loop=own_loop)

        def run() -> None:
            try:
                self.end = episode.run(host, self.records.append)
            except BaseException as error:
                self.error = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def done(self, within_s: float = 20.0) -> Played:
        self._thread.join(within_s)
        assert not self._thread.is_alive()
        return self


@pytest.fixture
def cohort():
    cohort = Cohort()
    yield cohort
    cohort.close()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20.0
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_async_agents_of_all_episodes_live_on_one_loop(cohort):
    loops = set()

    async def who(turn):
        loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0.01)
        turn.call("look")

    played = [Played(who, cohort) for _ in range(5)]

    assert [one.done().end.outcome for one in played] == ["truncated"] * 5
    assert len(loops) == 1


def test_an_episode_may_have_a_loop_of_its_own(cohort):
    loops = set()

    async def who(turn):
        loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0.01)

    played = [Played(who, cohort, own_loop=True), Played(who, cohort)]

    assert [one.done().end.outcome for one in played] == ["truncated"] * 2
    assert len(loops) == 2


@pytest.mark.parametrize("timeout_s", [None, 60.0])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_stop_ends_episodes_that_wait_for_their_agents_at_once(cohort, timeout_s, is_async):
    waiting = threading.Barrier(4)

    def waits(turn):
        waiting.wait(20)
        time.sleep(60)

    async def awaits(turn):
        await asyncio.get_running_loop().run_in_executor(None, waiting.wait, 20)
        await asyncio.sleep(60)

    played = [Played(awaits if is_async else waits, cohort, timeout_s=timeout_s) for _ in range(3)]
    waiting.wait(20)
    begun = time.monotonic()
    cohort.stop()

    assert [type(one.done().error) for one in played] == [KeyboardInterrupt] * 3
    assert time.monotonic() - begun < 10.0


def test_an_agent_that_never_waits_is_stopped_before_its_next_turn(cohort):
    def who(turn):
        if turn.step == 1:
            cohort.stop()

    who.runs_inline = True
    played = Played(who, cohort).done()

    assert (len(played.records), type(played.error)) == (2, KeyboardInterrupt)


def test_an_agent_that_is_late_is_silent_and_the_others_go_on(cohort):
    async def late(turn):
        await asyncio.sleep(60 if turn.step == 1 else 0)

    async def quick(turn):
        await asyncio.sleep(0.01)
        turn.call("look")

    slow, fast = Played(late, cohort, timeout_s=0.3), Played(quick, cohort, timeout_s=5.0)

    assert [record.outcome for record in slow.done().records] == ["declined", "silent", "declined", "declined"]
    assert fast.done().end.outcome == "truncated"


def test_an_agent_that_blocks_the_loop_for_good_is_given_up_and_the_others_are_displaced_at_once(cohort):
    blocked, released = threading.Event(), threading.Event()

    async def blocks(turn):
        blocked.set()
        released.wait(30)

    async def awaits(turn):
        await asyncio.sleep(0.02 if turn.step == 0 else 60)

    innocent = Played(awaits, cohort, timeout_s=60.0)
    until(lambda: len(innocent.records) == 1)
    guilty = Played(blocks, cohort, timeout_s=0.5)
    blocked.wait(20)
    try:
        assert guilty.done().end.outcome == "agent_error"
        assert isinstance(innocent.done(10.0).error, Displaced)
        assert Played(quick_async, cohort).done().end.outcome == "truncated"
    finally:
        released.set()


async def quick_async(turn):
    await asyncio.sleep(0)


def test_an_agent_that_others_kept_from_answering_is_displaced_not_silent(cohort):
    async def hogs(turn):
        for _ in range(8):
            time.sleep(0.2)
            await asyncio.sleep(0)

    async def awaits(turn):
        await asyncio.sleep(60)

    hog = Played(hogs, cohort, timeout_s=30.0)
    time.sleep(0.1)
    starved = Played(awaits, cohort, timeout_s=0.7).done()

    assert isinstance(starved.error, Displaced)
    assert hog.done().end.outcome == "truncated"


def test_what_an_agent_sets_in_its_context_is_there_in_its_next_turn(cohort):
    import contextvars

    seen: contextvars.ContextVar[int] = contextvars.ContextVar("seen", default=0)
    found: list[int] = []

    def who(turn):
        found.append(seen.get())
        seen.set(seen.get() + 1)

    Played(who, cohort).done()

    assert found == [0, 1, 2, 3]
