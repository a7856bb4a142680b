"""Whether the files of a run directory agree with each other, without driving anything again.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import Any

import msgspec

from goal_drift_gym.core.canonical import canonical_json
from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.records import SCORED_OUTCOMES
from goal_drift_gym.core.replay import Difference
from goal_drift_gym.core.rundir import CONFIG, FORMAT_VERSION, META, METRICS, STEP_LOG, Run
from goal_drift_gym.eval.metrics import RunMetrics

_LONGEST = 200


def config_difference(run: Run) -> Difference | None:
    """Return where config.json is not as it was written, or None.

    Its bytes must be canonical JSON of what it means, and its hash the one meta.json holds, where there is one.

    Raises
    ------
    RunRecordError
        If it cannot be read.
    """
    try:
        written = (run.path / CONFIG).read_bytes()
    except OSError as error:
        raise RunRecordError(f"cannot read {run.path / CONFIG}: {error.strerror}") from error
    if written != canonical_json(run.config) + b"\n":
        return _difference(CONFIG, "(bytes)", "not the canonical JSON of a config", "canonical JSON")
    recorded = None if run.meta is None else run.meta.get("config_hash")
    if recorded is not None and recorded != run.config.config_hash:
        return _difference(CONFIG, "(hash)", recorded, run.config.config_hash)
    return None


def require_one_story(run: Run, metrics: RunMetrics | None) -> None:
    """Raise RunRecordError unless meta.json, metrics.json and step log of a finished run tell of the same episode.

    It is what can be told at the cost of reading them; `metrics_difference` computes the metrics again.

    Parameters
    ----------
    run : Run
        A finished run.
    metrics : RunMetrics or None
        What its metrics.json holds; None where it has none.
    """
    if metrics is None:
        raise RunRecordError(f"{run.path} is damaged: {META} says that it is finished, and there is no {METRICS}")
    told = run.metrics_file or {}
    if told.get("outcome") != run.outcome:
        raise RunRecordError(
            f"{run.path} is damaged: it ended as {run.outcome!r} in {META} and as {told.get('outcome')!r} in {METRICS}"
        )
    if metrics.status == "scored" and run.outcome not in SCORED_OUTCOMES:
        raise RunRecordError(f"{run.path} is damaged: it is scored in {METRICS}, and ended as {run.outcome!r}")
    lines, digest = run.step_log_mark
    if metrics.steps != max(0, lines - _prefix_steps(run)) or told.get("step_log_sha256") != digest:
        raise RunRecordError(f"{run.path} is damaged: its step log is not the one that its metrics were made of")


def metrics_difference(run: Run, computed: RunMetrics) -> Difference | None:
    """Return where metrics.json disagrees with metrics computed again and with the step log, or None.

    A run without an end has no metrics yet, and nothing to disagree.

    Raises
    ------
    RunRecordError
        If a file cannot be read.
    """
    written = run.metrics_file
    if written is None:
        return None if run.outcome is None else _difference(METRICS, "(file)", "absent", "metrics")
    if run.outcome is None:
        return _difference(META, "(file)", "absent", "how the run ended")
    _, digest = run.step_log_mark
    # Of a log that was cut or changed every metric may differ, and none of them says what happened.
    if run.torn:
        return _difference(STEP_LOG, "(end)", "a torn last line", "whole lines")
    if isinstance(written.get("step_log_sha256"), str) and written["step_log_sha256"] != digest:
        return _difference(STEP_LOG, "(sha256)", written["step_log_sha256"], digest)
    expected = canonical_json(
        {
            "format_version": FORMAT_VERSION,
            "outcome": run.outcome,
            "metrics": msgspec.to_builtins(computed),
            "step_log_sha256": digest,
        }
    )
    place = _first(written, msgspec.json.decode(expected), "")
    if place is not None:
        return _difference(METRICS, *place)
    if (run.path / METRICS).read_bytes() != expected + b"\n":
        return _difference(METRICS, "(bytes)", "not canonical JSON", "canonical JSON")
    return None


def _prefix_steps(run: Run) -> int:
    """Return how many steps of the log are another run's, which the metrics do not count."""
    prefix = run.config.condition.get("prefix")
    steps = prefix.get("steps") if isinstance(prefix, dict) else None
    return steps if isinstance(steps, int) else 0


def _first(written: Any, expected: Any, path: str) -> tuple[str, Any, Any] | None:
    if isinstance(written, dict) and isinstance(expected, dict):
        for key in sorted(written.keys() | expected.keys()):
            place = _first(written.get(key, "absent"), expected.get(key, "absent"), f"{path}.{key}".lstrip("."))
            if place is not None:
                return place
        return None
    same = type(written) is type(expected) and written == expected
    return None if same else (path.removeprefix("metrics."), written, expected)


def _difference(file: str, field: str, recorded: Any, replayed: Any) -> Difference:
    return Difference(file=file, step=None, field=field, recorded=_short(recorded), replayed=_short(replayed))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
