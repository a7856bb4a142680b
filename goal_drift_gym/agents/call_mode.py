"""Call mode: an agent that owns its loop for the whole episode, such as a framework's run or an MCP client.

To the engine it is an agent like any other, called with a `Turn` a step. `live(episode)` runs beside it in a thread of
its own from the first turn on; each call it makes there is one step. What it reads is text in the layout of
chat_prompt.py: an answer holds the tool's result, then what every step since then has shown.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

from goal_drift_gym.agents.chat_prompt import PROMPT_VERSION, Called, ChatPrompt, Part, Template, as_json, end_name
from goal_drift_gym.agents.episode import IS_OVER, Answer, EpisodeTool, LiveEpisode, Request
from goal_drift_gym.core.errors import AgentError, AgentSilent, AgentTimeout, EpisodeOver, UsageError
from goal_drift_gym.core.turn import Turn

Live = Callable[[LiveEpisode], Any]
StepEnd = Literal["each_call", "end_turn"]

EACH_CALL_RULES = (
    "You act by calling tools. Every call is one step: its answer holds the result and what the next step shows."
)
END_TURN_RULES = (
    "You act by calling tools. You may call several in a step and see each result. Call {end} to end the step: its "
    "answer holds what the next step shows."
)
_ENDS_STEP = "End this step without doing anything more."
_LONGEST_S = 1e6
_UNWINDING_S = 0.25


class CallModeAgent:
    """An agent whose own loop lives through the episode.

    Parameters
    ----------
    live
        Called once an episode with a `LiveEpisode`; a function, or an async one. Returning early declines the
        remaining steps; raising ends the run as an error.
    name
        What the agent is called in config.json; by default where `live` comes from.
    description
        What else identifies it there, such as the framework and the model.
    end_step
        `each_call`: every call is one step. `end_turn`: a step lasts until a further tool, `end_turn`, is called, so
        that an agent can look before it acts, as it can in turn mode. That tool is there in the first case too where
        the scenario has none for waiting.
    step_timeout_s
        Seconds to wait for a call in one step, > 0; a step without one is silent. The engine's own limit counts too.
    most_silent_steps
        After this many silent steps in a row the run ends as an error, >= 1.
    grace_s
        Seconds that `live` gets to come back when the episode is over, >= 0. A thread that does not is left behind;
        it ends at its next call.

    Raises
    ------
    UsageError
        If a setting is out of range.
    """

    def __init__(
        self,
        live: Live,
        *,
        name: str | None = None,
        description: Mapping[str, Any] | None = None,
        end_step: StepEnd = "each_call",
        step_timeout_s: float = 300.0,
        most_silent_steps: int = 3,
        grace_s: float = 5.0,
    ) -> None:
        if not callable(live):
            raise UsageError(f"live is a {type(live).__name__}; a function that takes a LiveEpisode is needed")
        if end_step not in ("each_call", "end_turn"):
            raise UsageError(f"end_step = {end_step!r} must be 'each_call' or 'end_turn'")
        for setting, value, least in (("step_timeout_s", step_timeout_s, 1e-3), ("grace_s", grace_s, 0.0)):
            # The comparison is written so that NaN fails it.
            if not least <= value <= _LONGEST_S:
                raise UsageError(f"{setting} = {value!r} must be at least {least:g} and at most {_LONGEST_S:g} seconds")
        if isinstance(most_silent_steps, bool) or not isinstance(most_silent_steps, int) or most_silent_steps < 1:
            raise UsageError(f"most_silent_steps = {most_silent_steps!r} must be a whole number of at least 1")
        self.live = live
        self.name = _name(live) if name is None else name
        self.description = dict(description or {})
        self.end_step: StepEnd = end_step
        self.step_timeout_s = step_timeout_s
        self.most_silent_steps = most_silent_steps
        self.grace_s = grace_s
        self._seed: int | None = None
        self._session: _Session | None = None

    @property
    def model(self) -> str | None:
        """Name of the model where the description has one, for its price."""
        named = self.description.get("model")
        return named if isinstance(named, str) else None

    def describe(self) -> dict[str, Any]:
        """Return what identifies this agent, for config.json."""
        own = {"kind": "call_mode", "end_step": self.end_step, "prompt_version": PROMPT_VERSION}
        return {**own, **self.description}

    def for_episode(self) -> CallModeAgent:
        """Return an agent for one more episode at the same time; it shares `live` and nothing else."""
        return CallModeAgent(
            self.live,
            name=self.name,
            description=self.description,
            end_step=self.end_step,
            step_timeout_s=self.step_timeout_s,
            most_silent_steps=self.most_silent_steps,
            grace_s=self.grace_s,
        )

    def reset(self, *, seed: int) -> None:
        """Get ready for an episode."""
        self.end_episode()
        self._seed = seed

    async def __call__(self, turn: Turn) -> None:
        """Wait until `live` has made the call, or the calls, of this step."""
        session = self._session
        if session is None or turn.step <= session.step:
            self.end_episode()
            session = self._session = _Session(self, turn, self._seed)
        await session.step_through(turn)

    def end_episode(self) -> None:
        """Take back control from `live`: whatever it calls from now on raises `EpisodeOver`."""
        session, self._session = self._session, None
        if session is not None:
            session.end()


class _Session:
    """One episode of a call-mode agent."""

    def __init__(self, agent: CallModeAgent, turn: Turn, seed: int | None) -> None:
        self._agent = agent
        self._end_tool = end_name(turn.tools)
        self._many = agent.end_step == "end_turn"
        rules = END_TURN_RULES.format(end=self._end_tool) if self._many else EACH_CALL_RULES
        self._prompt = ChatPrompt("tools", Template(tools_rules=rules), None)
        tools = [
            EpisodeTool(name=tool.name, description=tool.description, parameters=tool.parameters) for tool in turn.tools
        ]
        if self._many or not any(tool.flags.wait for tool in turn.tools):
            tools.append(_ending(self._end_tool))
        self.episode = LiveEpisode(seed=seed, horizon=turn.horizon, goal=turn.goal, tools=tools)
        self.step = -1
        self._carried: tuple[Request, Answer] | None = None
        """The call that ended the last step; it is answered when the next one is open."""
        self._silent_steps = 0
        self._live = _LiveThread(agent.live, self.episode, f"goal-drift-live-{agent.name}"[:60])
        self.episode.end_tool = self._end_tool
        self.episode.instructions = "\n\n".join(part for part in (turn.goal, rules) if part)
        self.episode.first_prompt = _as_text(self._prompt.parts(turn))

    async def step_through(self, turn: Turn) -> None:
        """Show a step and wait for what ends it."""
        episode, agent = self.episode, self._agent
        self._show(turn)
        self._live.start()
        if self._silent_steps >= agent.most_silent_steps and not (episode.has_request or self._live.ended):
            raise AgentError(f"no call in {self._silent_steps} steps in a row: the agent hangs, or does not act")
        deadline = time.monotonic() + agent.step_timeout_s
        # Taken back where a call comes: so it counts, too, when the engine calls this wait off.
        self._silent_steps += 1
        while True:
            left_s = deadline - time.monotonic()
            arrived = await episode.arrival(max(left_s, 0.0), lambda: self._live.ended)
            request = None if self._live.ended else episode.take()
            if request is not None:
                self._silent_steps = 0
                if self._perform(turn, request):
                    return
            elif self._live.ended:
                self._after_live(turn)
                return
            elif not arrived:
                raise AgentTimeout(f"no call within {agent.step_timeout_s:g} s")

    def end(self) -> None:
        """End the episode for `live`, and wait a little until it has come back."""
        carried, self._carried = self._carried, None
        self.episode.finish(IS_OVER)
        if carried is not None:
            request, answer = carried
            text = f"{answer.text}\n\nThe episode is over." if answer.text else "The episode is over."
            self.episode.resolve(request, dataclasses.replace(answer, text=text, is_over=True))
        self._live.stop(self._agent.grace_s)

    def _show(self, turn: Turn) -> None:
        """Put a step before the agent, with those it has not seen: where it was late, or the engine took the turn."""
        unseen = [
            self._text_of(past.step, turn.horizon, past.observation)
            for past in (turn.history if self.step < turn.step - 1 and self.step >= 0 else [])
            if past.step > self.step
        ]
        episode, carried = self.episode, self._carried
        episode.step = self.step = turn.step
        episode.observation = self._text_of(turn.step, turn.horizon, turn.observation)
        episode.opened(turn.usage, 60.0 + 2.0 * self._agent.step_timeout_s)
        if carried is not None:
            self._carried = None
            request, answer = carried
            parts = [answer.text, *unseen, episode.observation]
            text = "\n\n".join(part for part in parts if part)
            episode.resolve(request, dataclasses.replace(answer, text=text, step=turn.step))

    def _perform(self, turn: Turn, request: Request) -> bool:
        """Carry a call out; return whether it ends the step."""
        for note in self.episode.take_notes():
            turn.note(note)
        if request.tool == self._end_tool:
            self._carried = request, Answer(text="", status="ok", step=turn.step)
            return True
        try:
            result = turn.submit(request.tool, request.args)
        except EpisodeOver:
            self.episode.put_back(request)
            raise
        answer = Answer(text=self._prompt.result(result), status=result.status, step=turn.step)
        if self._many:
            self.episode.resolve(request, answer)
            return False
        self._carried = request, answer
        return True

    def _after_live(self, turn: Turn) -> None:
        """Decline the step, or fail, as `live` did."""
        for note in self.episode.take_notes():
            turn.note(note)
        self._silent_steps = 0
        error = self._live.error
        if error is None:
            return
        if isinstance(error, AgentSilent):
            # Its loop is over, so the silence would be for good.
            raise AgentError(f"live gave up at step {turn.step}: {error}") from error
        raise error

    def _text_of(self, step: int, horizon: int, observation: Any) -> str:
        return self._prompt.observation(step, horizon, observation).text


class _LiveThread:
    """The thread in which `live` runs."""

    def __init__(self, live: Live, episode: LiveEpisode, name: str) -> None:
        self._live = live
        self._episode = episode
        self.ended = False
        self.error: BaseException | None = None
        self._stop_task: Callable[[], None] | None = None
        context = contextvars.copy_context()
        # A daemon: one that does not come back must not keep the interpreter alive.
        self._thread = threading.Thread(target=context.run, args=(self._run,), name=name, daemon=True)

    def start(self) -> None:
        if self._thread.ident is None:
            self._thread.start()

    def stop(self, grace_s: float) -> None:
        if self._thread is threading.current_thread():
            return
        # First `EpisodeOver` has its time to come through; what waits for something else is cancelled.
        self._thread.join(min(grace_s, _UNWINDING_S))
        stop_task = self._stop_task
        if stop_task is not None and self._thread.is_alive():
            stop_task()
        self._thread.join(grace_s)

    def _run(self) -> None:
        try:
            answer = self._live(self._episode)
            if inspect.isawaitable(answer):
                asyncio.run(self._awaited(answer))
        except BaseException as error:
            # What it raises once the episode is over is how its framework lets go of it.
            self.error = None if self._episode.is_over else error
        self.ended = True
        self._episode.nudge()

    async def _awaited(self, answer: Awaitable[Any]) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop() -> None:
            try:
                loop.call_soon_threadsafe(task.cancel)
            except RuntimeError:
                pass  # Its loop is closed: it has come to its end.

        self._stop_task = stop
        if self._episode.is_over:
            task.cancel()
        await answer


def _ending(name: str) -> EpisodeTool:
    nothing = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    return EpisodeTool(name=name, description=_ENDS_STEP, parameters=nothing)


def _as_text(parts: Sequence[Part]) -> str:
    texts: list[str] = []
    for part in parts:
        if isinstance(part, Called):
            texts += [f"Call of {part.tool}: {as_json(part.args)}", f"Result: {part.result}"]
        elif part.text:
            texts.append(part.text)
    return "\n\n".join(texts)


def _name(live: Live) -> str:
    owner = live if hasattr(live, "__qualname__") else type(live)
    return f"{owner.__module__}:{owner.__qualname__}"
