"""An episode from the side of an agent that owns its loop: tools to call, and text that comes back.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from goal_drift_gym.core.errors import EpisodeOver
from goal_drift_gym.core.records import CallStatus

IS_OVER = "the episode is over"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeTool:
    """A tool as a framework wants it."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments: an object."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a call returned."""

    text: str
    """Result of the tool, and what the next step shows."""
    status: CallStatus
    step: int | None = None
    """Index of the step that was open when it was given; None where the episode had ended before the call."""
    is_over: bool = False
    """The episode ended before, or with, this call; nothing more can be done in it."""


class Request:
    """A call somebody waits for."""

    __slots__ = ("args", "future", "is_lost", "is_taken", "tool")

    def __init__(self, tool: Any, args: Any) -> None:
        self.tool = tool
        self.args = args
        self.future: concurrent.futures.Future[Answer] = concurrent.futures.Future()
        self.is_taken = False
        """It can no longer be called off."""
        self.is_lost = False
        """Whoever made it no longer waits; its answer is kept for the next one."""


class LiveEpisode:
    """What `live` of a call-mode agent is given: one episode, from its first step to its last.

    `call` and `acall` may be used from any thread and any event loop, also at the same time: calls are carried out one
    after another, in the order in which they came. When the episode is over they raise `EpisodeOver`, which is no
    `Exception`: let it pass.
    """

    def __init__(self, *, seed: int | None, horizon: int, goal: str | None, tools: list[EpisodeTool]) -> None:
        self.seed = seed
        """The seed of the episode, where the engine told it."""
        self.horizon = horizon
        """Number of steps."""
        self.goal = goal
        """The goal prompt; `None` where the condition tells it in the messages of the first step instead."""
        self.tools = tools
        self.end_tool = ""
        """Name of a tool that ends the step without doing anything; it may be called even where `tools` has it not."""
        self.step = 0
        """Index of the present step, from 0."""
        self.observation = ""
        """What the present step shows, as text."""
        self.instructions = ""
        """Goal and rules: what belongs in a system prompt."""
        self.first_prompt = ""
        """The instructions, earlier steps where there were any, and the first observation, as one text."""
        # Guards everything below: the agent's threads put calls in, the engine's takes them out.
        self._lock = threading.Lock()
        self._requests: deque[Request] = deque()
        self._undelivered: list[str] = []
        self._notes: list[str] = []
        self._spend: Callable[..., None] | None = None
        self._wake: Callable[[], None] | None = None
        self._over: str | None = None
        self._when_over: list[Callable[[], None]] = []
        self._moved = time.monotonic()
        self._patience_s = 600.0

    # --- for the agent

    @property
    def is_over(self) -> bool:
        """Whether the episode has ended."""
        return self._over is not None

    def call(self, name: str, args: dict[str, Any] | None = None) -> str:
        """Call a tool; return its result and what the next step shows.

        Raises
        ------
        EpisodeOver
            When the episode is over.
        """
        return _text(self.wait(name, args))

    async def acall(self, name: str, args: dict[str, Any] | None = None) -> str:
        """Call a tool, as `call` does, without blocking the event loop.

        A call that is cancelled after it was carried out still counts; its answer comes with that of the next call.

        Raises
        ------
        EpisodeOver
            When the episode is over.
        """
        return _text(await self.answer(name, args))

    def wait(self, name: Any, args: Any = None) -> Answer:
        """Call a tool and return its answer with its status; at the end the answer says so instead of raising."""
        request = self._put(name, args)
        while True:
            try:
                return request.future.result(self._patience_s)
            except concurrent.futures.TimeoutError:
                self._check_moving()

    async def answer(self, name: Any, args: Any = None) -> Answer:
        """Call a tool, as `wait` does, without blocking the event loop."""
        request = self._put(name, args)
        waited = asyncio.wrap_future(request.future)
        try:
            while True:
                try:
                    return await asyncio.wait_for(asyncio.shield(waited), self._patience_s)
                except TimeoutError:
                    self._check_moving()
        except asyncio.CancelledError:
            self._lose(request)
            raise

    def when_over(self, tell: Callable[[], None]) -> None:
        """Have `tell` called once the episode has ended; at once where it has."""
        with self._lock:
            if self._over is None:
                self._when_over.append(tell)
                return
        tell()

    def note(self, text: str) -> None:
        """Keep a remark, such as the model's own words, beside the calls of the step. Never scored."""
        with self._lock:
            self._notes.append(text)

    def usage(self, **spent: Any) -> None:
        """Report what was spent: `input_tokens`, `output_tokens`, `calls`, `retries`, `cost`."""
        spend = self._spend
        if spend is not None:
            spend(**spent)

    # --- for the engine's side

    def opened(self, spend: Callable[..., None], patience_s: float) -> None:
        """Say that a step is open, and where spending is reported."""
        with self._lock:
            self._spend = spend
            self._moved = time.monotonic()
            self._patience_s = patience_s

    @property
    def has_request(self) -> bool:
        """Whether a call waits to be taken."""
        return bool(self._requests)

    def take(self) -> Request | None:
        """Return the next call that somebody still waits for."""
        with self._lock:
            while self._requests:
                request = self._requests.popleft()
                if request.is_taken or request.future.set_running_or_notify_cancel():
                    request.is_taken = True
                    return request
        return None

    def put_back(self, request: Request) -> None:
        """Have a call that came too late for this step be the first of the next."""
        with self._lock:
            if self._over is None:
                self._requests.appendleft(request)
                return
        request.future.set_result(_over(self._over))

    def take_notes(self) -> list[str]:
        """Return the remarks since the last time."""
        with self._lock:
            notes, self._notes = self._notes, []
        return notes

    def resolve(self, request: Request, answer: Answer) -> None:
        """Give an answer to whoever waits for it, after answers that did not reach anybody."""
        with self._lock:
            if request.is_lost:
                self._undelivered.append(answer.text)
            elif self._undelivered:
                answer = dataclasses.replace(answer, text="\n\n".join([*self._undelivered, answer.text]))
                self._undelivered.clear()
        request.future.set_result(answer)

    async def arrival(self, within_s: float, arrived: Callable[[], bool]) -> bool:
        """Wait until `arrived()`, or a call is there; return whether that came to pass in time."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:
                pass  # The loop is closed: nobody waits on it any more.

        with self._lock:
            if self._requests or arrived():
                return True
            self._wake = wake
        try:
            await asyncio.wait_for(event.wait(), within_s)
        except TimeoutError:
            return False
        finally:
            with self._lock:
                self._wake = None
        return True

    def nudge(self) -> None:
        """Have the engine's side look whether something has changed."""
        with self._lock:
            wake = self._wake
        if wake is not None:
            wake()

    def finish(self, reason: str) -> None:
        """End the episode: whoever waits, or calls from now on, is told."""
        with self._lock:
            self._over = self._over or reason
            waiting, told = list(self._requests), self._when_over
            self._requests.clear()
            self._when_over = []
        for request in waiting:
            if request.is_taken or request.future.set_running_or_notify_cancel():
                request.future.set_result(_over(reason))
        for tell in told:
            tell()
        self.nudge()

    def _put(self, tool: Any, args: Any) -> Request:
        request = Request(tool, {} if args is None else args)
        with self._lock:
            over = self._over
            if over is None:
                self._requests.append(request)
        if over is not None:
            request.future.set_result(_over(over))
        self.nudge()
        return request

    def _lose(self, request: Request) -> None:
        with self._lock:
            if request.future.cancel():
                return
            request.is_lost = True
            if request.future.done():
                self._undelivered.append(request.future.result().text)

    def _check_moving(self) -> None:
        if self.is_over or time.monotonic() - self._moved > self._patience_s:
            self.finish("the engine no longer goes on with the episode")
            raise EpisodeOver(self._over)


def _text(answer: Answer) -> str:
    if answer.is_over:
        raise EpisodeOver(answer.text)
    return answer.text


def _over(reason: str) -> Answer:
    return Answer(text=reason[0].upper() + reason[1:] + ".", status="refused", is_over=True)
