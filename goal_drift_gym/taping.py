"""Episodes from tapes: driven with recorded answers, without the agent.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from goal_drift_gym.agents.loading import check_agent
from goal_drift_gym.agents.tape_again import TapePlayer, said_again
from goal_drift_gym.agents.tape_file import TapeSlot
from goal_drift_gym.agents.tape_lines import Tape
from goal_drift_gym.agents.tape_shelf import TapeShelf
from goal_drift_gym.core.adversary import nobody
from goal_drift_gym.core.canonical import canonical_json, line_json, sha256_hex
from goal_drift_gym.core.engine import Episode, Limits, RunEnd
from goal_drift_gym.core.errors import TapeError
from goal_drift_gym.core.host import Agent
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.rundir import Run, RunWriter
from goal_drift_gym.prefixes import prefix_records
from goal_drift_gym.run_end import metrics_of, write_finish
from goal_drift_gym.runner import Experiment


def replay_tape(
    shelf: TapeShelf, experiment: Experiment, agent: Agent, *, seed: int, slot: TapeSlot, runs_dir: str | Path = "runs"
) -> Run:
    """Drive an episode with the answers of its tape, and return its finished run directory.

    The agent is asked how it is described and nothing else. No run directory is made where the tape does not fit.

    Parameters
    ----------
    shelf
        Where the tape is looked for.
    slot
        Whom the episode is for, and which of its repeats it is; its directory does not matter.

    Raises
    ------
    TapeError
        If there is no such tape, naming the nearest; if it is incomplete; at the first difference between what its
        agent was shown and what would be shown now, or between what came of it then and comes of it now.
    """
    redactor = Redactor.from_environment()
    prefix = prefix_records(experiment, seed)
    config = experiment.config(experiment.episode(seed, limits=Limits(), redactor=redactor), check_agent(agent))
    tape = shelf.find(slot.header(config, redactor))
    # Adversaries say what they said; one that would be asked where the tape holds nothing is asked in vain.
    episode = Episode(
        experiment.entry.load()(),
        experiment.condition,
        seed=seed,
        limits=Limits(),
        redactor=redactor,
        adversaries=nobody,
    )
    same_engine = tape.header.engine_version == config.engine_version
    player = TapePlayer(tape, redactor, same_engine=same_engine)
    records: list[StepRecord] = []
    lines: list[bytes] = []

    def keep(record: StepRecord) -> None:
        line = redactor.line(line_json(record))
        player.check_step(record, line)
        records.append(record)
        lines.append(line)

    end = episode.run(player, keep, prefix=prefix, said=said_again(tape, experiment.condition.steps))
    player.check()
    metrics = msgspec.to_builtins(metrics_of(records, end.outcome, config))
    _check_end(tape, end, lines, metrics, same_engine=same_engine)
    writer = RunWriter.create(Path(runs_dir), config, redactor)
    try:
        for record in records:
            writer.write_step(record)
        meta = {
            "detail": end.detail,
            "usage": msgspec.to_builtins(episode.usage),
            "redactions": redactor.count,
            "replayed_from": str(tape.path.absolute()),
            "recorded_usage": recorded_usage(tape),
        }
        write_finish(writer, metrics_of(records, end.outcome, writer.config), end.outcome, meta)
    finally:
        writer.close()
    return writer.run()


def recorded_usage(tape: Tape) -> dict[str, Any]:
    """Return what the recorded episode spent; nothing of it is spent by a replay."""
    spent: dict[str, Any] = {}
    for turn in tape.turns.values():
        for name, value in ({} if turn.end is None else turn.end.usage).items():
            spent[name] = spent.get(name, 0) + value
    return spent


def _check_end(tape: Tape, end: RunEnd, lines: Sequence[bytes], metrics: dict[str, Any], *, same_engine: bool) -> None:
    recorded = tape.end
    assert recorded is not None
    pairs: list[tuple[str, Any, Any]] = [
        ("outcome of the run", recorded.outcome, f"{end.outcome}: {end.detail}" if end.detail else end.outcome),
        ("steps", recorded.steps, len(lines)),
    ]
    if recorded.outcome == end.outcome:
        del pairs[0]
    if same_engine:
        pairs += [
            ("step log (SHA-256)", recorded.step_log_sha256, sha256_hex(b"".join(lines))),
            ("metrics (SHA-256)", recorded.metrics_sha256, sha256_hex(canonical_json(metrics))),
        ]
    for name, then, now in pairs:
        if then != now:
            raise TapeError(
                f"{tape.path} does not fit any more; record it again. {name}: recorded {then!r}, now {now!r}"
            )
