"""An episode as an MCP server, for an agent that is a client: its own loop, its own process, any language.

An episode is known by its path or its process, never by a session: the protocol has none any more.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import threading
import time
from typing import Any, Literal

from goal_drift_gym._version import __version__
from goal_drift_gym.agents.episode import Answer, EpisodeTool, LiveEpisode
from goal_drift_gym.core.errors import AgentError, MissingExtra

Departure = Literal["error", "declined", "interrupted"]

SHOW_TASK = "show_task"
SLOW_S = 10.0
"""After an answer that took this long its client may have stopped waiting for it, and ask again."""

_SHOW_TASK_SAYS = "Show your task and what the present step shows. This takes no step."
_ANSWERED_BEFORE = "(This call was made before; its answer had not been taken. It was not made again.)"
_LOOK_S = 60.0
_IS_ERROR = frozenset({"invalid", "refused", "failed"})


class Visit:
    """The side of an episode that waits for a client; its `live` is that of a call-mode agent."""

    def __init__(self) -> None:
        self.begun: concurrent.futures.Future[LiveEpisode] = concurrent.futures.Future()
        """The episode, once its first step is open."""
        self._gone = threading.Event()
        self._departure: Departure = "error"

    def live(self, episode: LiveEpisode) -> None:
        """Keep the episode open until it is over, or its client has left."""
        self.begun.set_result(episode)
        episode.when_over(self._gone.set)
        while not self._gone.wait(_LOOK_S):
            pass
        if episode.is_over or self._departure == "declined":
            return
        if self._departure == "interrupted":
            raise KeyboardInterrupt
        raise AgentError(f"the client left in step {episode.step} of {episode.horizon}")

    def leave(self, departure: Departure) -> None:
        """Say that the client has left, and what that means for the steps that remain."""
        if not self._gone.is_set():
            self._departure = departure
            self._gone.set()


class _Call:
    """A call under way, or one whose answer its client may have missed."""

    def __init__(self, name: str, args: dict[str, Any], work: asyncio.Task[Answer]) -> None:
        self.name = name
        self.args = args
        self.work = work
        self.is_lost = False
        """Nobody has taken the answer."""


class EpisodeDesk:
    """Answers the calls of an episode's client, on one event loop."""

    def __init__(self, episode: LiveEpisode) -> None:
        self.episode = episode
        self.show_task = _free_name(SHOW_TASK, episode.tools)
        self._has_told = False
        self._suspects: list[_Call] = []

    @property
    def instructions(self) -> str:
        """The task, for clients that show a server's instructions to their model."""
        return f"{self.episode.first_prompt}\n\nCall {self.show_task} to read this again; it takes no step."

    def tools(self) -> list[EpisodeTool]:
        """Return the tools of the episode, always the same, and the one that shows the task."""
        nothing = {"type": "object", "properties": {}, "additionalProperties": False}
        return [
            *self.episode.tools,
            EpisodeTool(name=self.show_task, description=_SHOW_TASK_SAYS, parameters=nothing),
        ]

    async def call(self, name: str, args: dict[str, Any]) -> Answer:
        """Make a call and return its answer.

        A call that has come is carried out whether or not its client goes on waiting, so that a client which timed
        out does not find a world that moved half a step. If it then asks for the same again, it gets the answer that
        it has missed, and the call is not repeated.
        """
        if name == self.show_task:
            return self._task()
        suspects, self._suspects = self._suspects, []
        for call in suspects:
            if (call.name, call.args) == (name, args):
                self._suspects = [other for other in suspects if other is not call and other.is_lost]
                self.episode.note(f"mcp: {name} was asked for again after a wait; it was made once")
                return _before(_ANSWERED_BEFORE, await self._shielded(call))
        work = asyncio.ensure_future(self.episode.answer(name, args))
        answer = await self._shielded(_Call(name, args, work))
        missed = [call.work.result().text for call in suspects if call.is_lost and call.work.done()]
        if not self._has_told:
            self._has_told = True
            missed.insert(0, self.episode.first_prompt)
        return _before("\n\n".join(missed), answer)

    async def _shielded(self, call: _Call) -> Answer:
        begun = time.monotonic()
        call.is_lost = False
        try:
            answer = await asyncio.shield(call.work)
        except asyncio.CancelledError:
            call.is_lost = True
            self._suspects.append(call)
            raise
        if time.monotonic() - begun > SLOW_S:
            self._suspects.append(call)
        return answer

    def _task(self) -> Answer:
        self._has_told = True
        episode = self.episode
        text = episode.first_prompt if episode.step == 0 else f"{episode.instructions}\n\n{episode.observation}"
        if episode.is_over:
            text = f"{text}\n\nThe episode is over."
        return Answer(text=text, status="ok", step=episode.step, is_over=episode.is_over)


def episode_server(episode: LiveEpisode) -> Any:
    """Return the MCP server of an episode.

    Raises
    ------
    MissingExtra
        If the `mcp` package is not installed.
    """
    try:
        import mcp_types as types
        from mcp.server.lowlevel import Server
    except ImportError as error:
        raise MissingExtra("mcp", "mcp") from error
    desk = EpisodeDesk(episode)
    tools = [
        types.Tool(name=tool.name, description=tool.description, input_schema=tool.parameters) for tool in desk.tools()
    ]

    async def list_tools(_context: Any, _params: Any) -> Any:
        return types.ListToolsResult(tools=tools)

    async def call_tool(_context: Any, params: Any) -> Any:
        answer = await desk.call(params.name, params.arguments or {})
        told = {"status": answer.status, "step": answer.step, "horizon": episode.horizon, "done": answer.is_over}
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=answer.text)],
            structured_content=told,
            is_error=answer.status in _IS_ERROR,
        )

    return Server(
        "goal-drift",
        version=__version__,
        instructions=desk.instructions,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _before(text: str, answer: Answer) -> Answer:
    return dataclasses.replace(answer, text=f"{text}\n\n{answer.text}") if text else answer


def _free_name(name: str, tools: list[EpisodeTool]) -> str:
    taken = [tool.name for tool in tools]
    while name in taken:
        name += "_"
    return name
