"""Episodes that wait for a client: each is run in a thread and leaves a run directory like any other.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from goal_drift_gym.agents.call_mode import CallModeAgent, StepEnd
from goal_drift_gym.agents.episode import LiveEpisode
from goal_drift_gym.agents.mcp_episode import Departure, Visit
from goal_drift_gym.core.engine import Limits
from goal_drift_gym.core.errors import GoalDriftError
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.runner import Experiment, run_episode

_START_S = 60.0
_SLACK_S = 60.0


class ServedEpisode:
    """One episode, played by whoever connects.

    Parameters
    ----------
    experiment
        Scenario and condition.
    seed
        Its seed.
    runs_dir
        Where its run directory goes.
    client
        What the client is called in config.json.
    end_step
        Whether every call is a step, or a step lasts until a tool ends it.
    step_timeout_s
        Seconds to wait for a call in one step; a step without one is silent, and some in a row end the run.
    """

    def __init__(
        self,
        experiment: Experiment,
        *,
        seed: int,
        runs_dir: str | Path,
        client: str,
        end_step: StepEnd,
        step_timeout_s: float,
    ) -> None:
        self.seed = seed
        self.run: Run | None = None
        """The finished run."""
        self.error: str | None = None
        """What kept it from being run."""
        self._experiment = experiment
        self._runs_dir = runs_dir
        self._visit = Visit()
        self._agent = CallModeAgent(
            self._visit.live,
            name=client,
            description={"kind": "mcp"},
            end_step=end_step,
            step_timeout_s=step_timeout_s,
        )
        self._thread = threading.Thread(target=self._play, name=f"goal-drift-served-{seed}", daemon=True)

    @property
    def has_begun(self) -> bool:
        """Whether its client has come."""
        return self._thread.ident is not None

    @property
    def has_ended(self) -> bool:
        """Whether its run directory is complete, or will not be any more."""
        return self.has_begun and not self._thread.is_alive()

    async def begin(self) -> LiveEpisode:
        """Start it, where it was not, and return it once its first step is open.

        Raises
        ------
        GoalDriftError
            If it cannot be run.
        """
        if not self.has_begun:
            self._thread.start()
        begun = asyncio.wrap_future(self._visit.begun)
        try:
            return await asyncio.wait_for(asyncio.shield(begun), _START_S)
        except TimeoutError:
            raise GoalDriftError(f"the episode of seed {self.seed} did not begin within {_START_S:g} s") from None

    def leave(self, departure: Departure) -> None:
        """Say that no client will come back."""
        self._visit.leave(departure)

    def join(self, within_s: float) -> None:
        """Wait until its run directory is complete."""
        if self.has_begun:
            self._thread.join(within_s)

    def _play(self) -> None:
        try:
            # The agent keeps the time itself; the engine's limit is for the case that it does not.
            limits = Limits(step_timeout_s=self._agent.step_timeout_s + _SLACK_S)
            self.run = run_episode(
                self._experiment, self._agent, seed=self.seed, runs_dir=self._runs_dir, limits=limits
            )
        except GoalDriftError as error:
            self._fail(str(error))
        except KeyboardInterrupt:
            self._fail("interrupted")
        except BaseException as error:
            self._fail(f"{type(error).__name__}: {error}")
            raise

    def _fail(self, why: str) -> None:
        self.error = why
        if not self._visit.begun.done():
            self._visit.begun.set_exception(GoalDriftError(why))
