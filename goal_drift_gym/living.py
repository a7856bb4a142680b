"""An agent lives through an episode, and its run directory is written as it goes.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from goal_drift_gym.agents.tape import TapeRecorder
from goal_drift_gym.core.cohort import Cohort, Displaced
from goal_drift_gym.core.engine import Episode, RunEnd
from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.host import Agent, AgentHost
from goal_drift_gym.core.provenance import utc_now
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.rundir import RunWriter
from goal_drift_gym.run_end import HeldRun, metrics_of
from goal_drift_gym.tracing import trace_episode


def live(
    writer: RunWriter,
    episode: Episode,
    agent: Agent,
    *,
    prefix: Sequence[StepRecord] = (),
    recorded: Sequence[StepRecord] = (),
    recorder: TapeRecorder | None = None,
    cohort: Cohort | None = None,
    own_loop: bool = False,
) -> HeldRun:
    """Have an agent live through an episode whose run directory is there, and hold its end open.

    Parameters
    ----------
    prefix, recorded
        As for `Episode.run`.
    recorder
        Records what the agent is shown and answers; closed when the episode is over.
    cohort, own_loop
        As for `hold_episode`.
    """
    records: list[StepRecord] = []
    known = len(recorded)

    def keep(record: StepRecord) -> None:
        if recorder is not None:
            recorder.check()
        if record.step < known:
            _check_same(writer, record, recorded[record.step])
        else:
            writer.write_step(record)
        records.append(record)
        if recorder is not None:
            recorder.end_turn(record, writer.line(record))

    begun = time.monotonic()
    driven_again = getattr(agent, "deterministic", False) is True

    trace = trace_episode(episode, writer.config)

    def held(end: RunEnd) -> HeldRun:
        if trace is not None:
            trace.end(end.outcome, episode.usage)
        further: dict[str, Any] = {"resumed_at": known or None}
        if recorder is not None:
            recorder.close()
            further["tape"] = str(recorder.path.absolute())
        return _held(writer, episode, records, end, begun=begun, further=further)

    asked = agent if recorder is None else recorder.wrap(agent, episode.usage)
    host = AgentHost(asked, episode.limits.step_timeout_s, cohort=cohort, own_loop=own_loop)
    try:
        end = episode.run(host, keep, prefix=prefix, recorded=() if driven_again else recorded, said=recorded)
    except BaseException as error:
        failed = isinstance(error, RunRecordError)
        detail = str(error) if isinstance(error, (RunRecordError, Displaced)) else ""
        end = RunEnd(outcome="infra_error" if failed else "interrupted", detail=detail, steps=0, usage=episode.usage)
        try:
            held(end).keep()
        except RunRecordError:
            # A disk that is full stays full: the error that came first is the one to report.
            if not failed:
                raise
        raise
    return held(end)


def _held(
    writer: RunWriter,
    episode: Episode,
    records: Sequence[StepRecord],
    end: RunEnd,
    *,
    begun: float,
    further: Mapping[str, Any],
) -> HeldRun:
    finished = utc_now()
    meta = {
        "detail": end.detail,
        # Of the episode, however long its run waits to be asked for.
        "finished": finished.isoformat(),
        "duration_s": round((finished - writer.started).total_seconds(), 6),
        "agent_s": round(time.monotonic() - begun, 6),
        "usage": msgspec.to_builtins(episode.usage),
        "redactions": episode.redactor.count,
        "step_timeout_s": episode.limits.step_timeout_s,
        **episode.account.to_meta(),
        **further,
    }
    try:
        metrics = metrics_of(records, end.outcome, writer.config)
    except BaseException:
        writer.close()
        raise
    return HeldRun(writer, metrics, end.outcome, meta)


def _check_same(writer: RunWriter, record: StepRecord, recorded: StepRecord) -> None:
    if writer.line(record) != writer.line(recorded):
        raise RunRecordError(
            f"{writer.path}: driven again, the agent acts differently at step {record.step}; "
            "it says it is deterministic and is not"
        )
