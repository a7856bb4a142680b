"""The page of one run: what happened, when, after what, and each step as the agent lived it.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import msgspec

from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.rundir import CONFIG, Run
from goal_drift_gym.eval.metrics import RunMetrics
from goal_drift_gym.grouping import agent_name, condition_name, is_imported
from goal_drift_gym.report.figures.episode import counted_steps, steps_chart
from goal_drift_gym.report.metric_rows import metric_tables
from goal_drift_gym.report.page import number, page
from goal_drift_gym.report.step_views import step_views
from goal_drift_gym.report.story import last_pressure, story, turning_step
from goal_drift_gym.report.texts import Texts
from goal_drift_gym.tables import written_metrics

PAGE: Final = "report.html"

_LONGEST_SETTING = 20_000
_LONGEST_NAME = 200


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, in a sentence."""

    text: str
    step: int | None = None
    """Where to look."""


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    """What could be read of a run."""

    steps: list[StepRecord]
    outcome: str | None
    metrics: RunMetrics | None
    meta: dict[str, Any]
    notices: list[str]


def run_page(run: Run, *, twin: Run | None = None) -> str:
    """Return the page of a run.

    It is a pure function of the run directories, whose places do not show in it. A run that is unfinished, dead, torn
    or damaged has a page that says so.

    Parameters
    ----------
    run
        The run.
    twin
        The run of the same seed without the pressure, or without another part of the condition.

    Raises
    ------
    RunRecordError
        If its config is missing or damaged.
    MissingExtra
        If Jinja2 is not installed.
    """
    read = _read(run)
    other = None if twin is None else _read(twin)
    turning = turning_step(read.steps)
    opened = turning.step if turning is not None else (read.steps[0].step if read.steps else None)
    # Of an unfinished run those that would count.
    is_scored = read.metrics is None or read.metrics.status == "scored"
    counted: Collection[int] = counted_steps(read.steps) if is_scored else ()
    twin_scores = {} if other is None else {step.step: step.score.alignment for step in other.steps}
    views = step_views(read.steps, counted=counted, twin=twin_scores, turning=opened)
    metrics = read.metrics
    return page(
        "run.html",
        script="inspector.js",
        sheet="run.css",
        title=_title(run),
        shown=run.place,
        outcome=read.outcome or "unfinished",
        status=None if metrics is None else metrics.status,
        steps_count=len(read.steps),
        notices=_notices(run, read, len(views)),
        facts=_facts(read, twin, other),
        episode=steps_chart(
            read.steps,
            twin=None if other is None else other.steps,
            threshold=0.0 if metrics is None else metrics.threshold,
            linked={view.number for view in views},
        ),
        views=views,
        opened=opened,
        twin=None if twin is None else twin.place,
        metrics=None if metrics is None else metric_tables(metrics),
        commands=_commands(run, read, opened),
        origin=_origin(run, read),
        settings=_settings(run),
    )


def write_run_report(run: Run, artifacts_dir: Path, *, twin: Run | None = None) -> Path:
    """Write the page of a run to `<artifacts_dir>/<scenario>/<name of the run directory>/report.html`.

    Parameters
    ----------
    run, twin
        As for `run_page`.
    artifacts_dir
        Where derived files go.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    RunRecordError
        If the run cannot be read or the page cannot be written.
    MissingExtra
        If Jinja2 is not installed.
    """
    from goal_drift_gym.report.writing import write_whole

    return write_whole(report_path(run, artifacts_dir), run_page(run, twin=twin))


def report_path(run: Run, artifacts_dir: Path) -> Path:
    """Return where the page of a run goes."""
    return artifacts_dir / run.place / PAGE


def _read(run: Run) -> _Read:
    run.config  # noqa: B018 - without it there is nothing to show
    steps: list[StepRecord] = []
    notices: list[str] = []

    def told(error: RunRecordError) -> None:
        # The page must not say where on this machine the run lies.
        notices.append(str(error).replace(str(run.path), run.place))

    try:
        for step in run.steps():
            steps.append(step)
    except RunRecordError as error:
        told(error)
        notices.append(f"What follows is what could be read before it: {len(steps)} steps.")
    outcome, metrics, meta = None, None, {}
    try:
        outcome, meta = run.outcome, run.meta or {}
        metrics = written_metrics(run)
    except RunRecordError as error:
        told(error)
    return _Read(steps=steps, outcome=outcome, metrics=metrics, meta=meta, notices=notices)


def _notices(run: Run, read: _Read, shown_steps: int) -> list[str]:
    said = list(read.notices)
    if read.outcome is None and not said:
        said.append(
            f"This run is unfinished: it is still being written, or was cut off after {len(read.steps)} steps. It has "
            "no metrics, and it is neither a pass nor drift."
        )
    if run.torn:
        said.append("The last line of the step log is torn and left out.")
    if read.metrics is not None and read.metrics.status != "scored":
        detail = str(read.meta.get("detail") or "")
        parts = [part for part in (read.metrics.reason, detail) if part]
        said.append(
            f"This run is not scored ({read.metrics.status}): {': '.join(parts)}. It is neither a pass nor drift."
        )
    if is_imported(run):
        said.append("This run was imported from a log of another tool: there is no scenario to run it again.")
    if not read.steps:
        said.append("The step log holds no step.")
    if shown_steps < len(read.steps):
        said.append(
            f"{shown_steps} of {len(read.steps)} steps are shown in full below, those where something happened before "
            "others; the last command of this page shows any."
        )
    texts = Texts("the run directory", 20_000, longest=4000)
    return [texts.text(notice) for notice in said]


def _facts(read: _Read, twin: Run | None, other: _Read | None) -> list[Fact]:
    metrics = read.metrics
    turning = turning_step(read.steps)
    facts: list[Fact] = []
    if metrics is not None and metrics.status == "scored":
        facts.append(_limits_fact(metrics))
        if metrics.non_adoption:
            facts.append(
                Fact(text="The initial level is below the threshold: the goal was never adopted, which is not drift.")
            )
    if turning is not None:
        first, *rest = [line[0].upper() + line[1:] for line in story(read.steps)]
        facts.append(Fact(text=first, step=turning.step))
        facts += [Fact(text=line) for line in rest[:-1]]
        pressure = last_pressure(read.steps, turning.step)
        facts += [Fact(text=line, step=None if pressure is None else pressure[0]) for line in rest[-1:]]
    if metrics is not None and metrics.status == "scored":
        sustained = metrics.first_sustained_pass
        text = (
            f"It never stayed below {metrics.threshold:g} for three scored steps in a row"
            if sustained is None
            else f"From step {sustained} on it stayed below {metrics.threshold:g} for three scored steps or more"
        )
        facts.append(Fact(text=text, step=sustained))
    if twin is not None and other is not None:
        facts.append(_twin_fact(metrics, condition_name(twin), other.metrics))
    return facts


def _limits_fact(metrics: RunMetrics) -> Fact:
    from goal_drift_gym.eval.limits import DEFAULT_LIMITS, check_limits

    crossings = check_limits(metrics, DEFAULT_LIMITS)
    told = [
        f"{one.limit.name} is {number(one.value) if one.kind == 'crossed' else 'undefined'} (limit: {one.limit.rule})"
        for one in crossings
    ]
    if not told:
        return Fact(text="Within all default limits: this seed shows no drift. A verdict is decided over seeds.")
    return Fact(text=f"Beyond default limits: {', '.join(told)}. A verdict is decided over seeds.")


def _twin_fact(metrics: RunMetrics | None, condition: str, other: RunMetrics | None) -> Fact:
    said = f"The twin, the same seed under {Texts(CONFIG, _LONGEST_NAME).text(condition)},"
    ours = None if metrics is None else metrics.final_level
    theirs = None if other is None else other.final_level
    if ours is None or theirs is None:
        return Fact(text=f"{said} cannot be compared: one of the two has no final level")
    return Fact(
        text=f"{said} has a final level of {number(theirs)}; this run {number(ours)}, a difference of "
        f"{number(ours - theirs)}"
    )


def _title(run: Run) -> dict[str, str]:
    texts = Texts(CONFIG, 4 * _LONGEST_NAME, longest=_LONGEST_NAME)
    return {
        "scenario": texts.text(run.config.scenario.id),
        "condition": texts.text(condition_name(run)),
        "agent": texts.text(agent_name(run)),
        "seed": str(run.seed),
    }


def _commands(run: Run, read: _Read, opened: int | None) -> list[tuple[str, str]]:
    place = shlex.quote(f"runs/{run.place}")
    commands = []
    if read.outcome is None:
        commands.append(("go on with it", f"goal-drift resume {place}"))
    elif not is_imported(run):
        commands.append(("run it again with its recorded answers and compare every byte", f"goal-drift verify {place}"))
    commands.append(("compute its metrics again", f"goal-drift metrics {place}"))
    step = f" --step {opened}" if opened is not None else ""
    commands.append(("show a step with everything in it", f"goal-drift show {place}{step}"))
    return commands


def _origin(run: Run, read: _Read) -> list[tuple[str, str]]:
    texts = Texts("the run directory", 8000, longest=400)
    info = run.config.scenario
    meta = read.meta
    git, machine, packages = (_object(meta.get(name)) for name in ("git", "machine", "packages"))
    changed = ", with changes that were not committed" if git.get("dirty") else ""
    rows: list[tuple[str, Any]] = [
        ("run", run.place),
        ("scenario", f"{info.id} {info.version}, from {info.distribution or 'no distribution'}"),
        ("config hash", run.config.config_hash),
        ("git", f"{git['sha']}{changed}" if git.get("sha") else None),
        ("engine", run.config.engine_version),
        ("Python", machine.get("python")),
        ("packages", ", ".join(f"{name} {version}" for name, version in packages.items()) or None),
        ("started", meta.get("started")),
        ("finished", meta.get("finished")),
        ("model calls", _usage(meta)),
    ]
    return [(name, "-" if value is None else texts.text(value)) for name, value in rows]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _usage(meta: dict[str, Any]) -> str | None:
    usage = _object(meta.get("usage"))
    if not usage.get("calls"):
        return None
    cost = usage.get("cost")
    spent = "unknown cost" if cost is None else f"cost {cost}"
    return f"{usage.get('calls')}, {usage.get('input_tokens')} tokens in, {usage.get('output_tokens')} out, {spent}"


def _settings(run: Run) -> list[tuple[str, str]]:
    texts = Texts(CONFIG, 5 * _LONGEST_SETTING, longest=_LONGEST_SETTING)
    config = run.config
    return [
        ("Goal as the agent was told it", texts.text(config.goal.get("prompt", ""))),
        ("Condition", texts.value(config.condition)),
        ("Agent", texts.value(config.agent)),
        ("Tools", texts.text("\n".join(f"{tool.get('name')}: {tool.get('description')}" for tool in config.tools))),
        ("Limits of the engine", texts.value(config.limits)),
    ]
