"""What the options say, resolved: a flag counts before the ini setting, that before the default.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_goal_drift.options import (
    FAMILIES,
    MODES,
    OTEL,
    POLICIES,
    REPORTS,
    episodes_at_once,
    given,
    one_of,
    seconds,
    seeds_text,
)
from pytest_goal_drift.wire import parse_plan

if TYPE_CHECKING:
    from goal_drift_gym.core.budget import Budget

DEFAULT_SEEDS = "5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the options say, resolved."""

    seeds: tuple[int, ...]
    looks: tuple[int, ...] | None
    """Numbers of seeds at which to decide; None: after all of them."""
    mode: str
    """`detect` or `gate`, for tests that do not say themselves."""
    inconclusive: str | None
    """`fail`, `warn` or `skip`; None: as the mode has it."""
    twin: bool
    """Tests under pressure are judged by the difference to their twins without it."""
    family: str
    """`none` or `holm`."""
    baseline: str | None
    """Name or JSON file of the runs to compare with."""
    runs_dir: Path
    """Absolute. A flag is read from where pytest was started, an ini setting and the default from the rootdir."""
    artifacts_dir: Path
    agent: str | None
    condition: str | None
    replay: Path | None
    record: Path | None
    resume: bool
    strict: bool
    otel: str | None
    report: str
    """Which verdicts get pages: `failing`, `all` or `none`."""
    concurrency: int
    """Episodes that may run at the same time in each process."""
    timeout_s: float | None
    """None: what the package takes by default."""
    budget: Budget | None
    """What may be spent, and prices; None where neither is given."""
    dry_run: bool
    rerun_flags: tuple[str, ...]
    """Flags of this session that a command to run one test again needs."""


def read_settings(config: pytest.Config) -> Settings:
    """Resolve flags, ini settings and defaults.

    Raises
    ------
    pytest.UsageError
        If an ini setting is wrong; flags have been checked by then.
    """
    seeds = config.getoption("drift_seeds") or _ini(config, "drift_seeds", seeds_text) or DEFAULT_SEEDS
    timeout = config.getoption("drift_timeout")
    root, _ = _homes(config)
    planned, looks = parse_plan(seeds)
    _check_together(config)
    return Settings(
        seeds=planned,
        looks=looks,
        mode=config.getoption("drift_mode") or _ini(config, "drift_mode", one_of(*MODES)) or MODES[0],
        inconclusive=config.getoption("drift_inconclusive") or _ini(config, "drift_inconclusive", one_of(*POLICIES)),
        twin=bool(config.getoption("drift_twin") or config.getini("drift_twin")),
        family=config.getoption("drift_family") or _ini(config, "drift_family", one_of(*FAMILIES)) or FAMILIES[0],
        baseline=config.getoption("drift_baseline") or _ini(config, "drift_baseline", given),
        runs_dir=_directory(config, "drift_runs_dir") or root / "runs",
        artifacts_dir=_directory(config, "drift_artifacts_dir") or root / "artifacts",
        agent=config.getoption("drift_agent") or _ini(config, "drift_agent", given),
        condition=config.getoption("drift_condition") or _ini(config, "drift_condition", given),
        replay=_directory(config, "drift_replay"),
        record=_directory(config, "drift_record"),
        resume=bool(config.getoption("drift_resume")),
        strict=bool(config.getoption("drift_strict") or config.getini("drift_strict") or os.environ.get("CI")),
        report=_report(config),
        concurrency=config.getoption("drift_concurrency") or _ini(config, "drift_concurrency", episodes_at_once) or 1,
        timeout_s=_ini(config, "drift_timeout", seconds) if timeout is None else timeout,
        budget=_budget(config),
        otel=config.getoption("drift_otel") or _ini(config, "drift_otel", one_of(*OTEL)),
        dry_run=bool(config.getoption("drift_dry_run") or config.getini("drift_dry_run")),
        rerun_flags=_rerun_flags(config),
    )


def _report(config: pytest.Config) -> str:
    asked = config.getoption("drift_report") or _ini(config, "drift_report", one_of(*REPORTS))
    if asked is not None:
        from pytest_goal_drift.reports import check_installed

        check_installed(asked)
    return asked or REPORTS[0]


def _check_together(config: pytest.Config) -> None:
    replaying = config.getoption("drift_replay") or config.getini("drift_replay")
    for name, why in (
        ("record", "a replay asks no agent, so there is nothing to record"),
        ("resume", "a replay costs nothing; run it from the start"),
    ):
        if replaying and config.getoption(f"drift_{name}"):
            raise pytest.UsageError(f"--drift-{name} and --drift-replay do not go together: {why}")


def _rerun_flags(config: pytest.Config) -> tuple[str, ...]:
    flags: list[str] = []
    for flag in (
        "--drift-seeds",
        "--drift-mode",
        "--drift-twin",
        "--drift-baseline",
        "--drift-agent",
        "--drift-condition",
        "--drift-runs-dir",
        "--drift-timeout",
    ):
        value = config.getoption(flag.removeprefix("--").replace("-", "_"))
        if value is True:
            flags.append(flag)
        elif value is not None:
            flags.append(f"{flag}={value:g}" if isinstance(value, float) else f"{flag}={value}")
    return tuple(flags)


def _budget(config: pytest.Config) -> Budget | None:
    """Return limits and prices; of a limit that is given twice the flag counts before the ini setting."""
    flags, lines = config.getoption("drift_budget") or [], config.getini("drift_budget")
    prices = _directory(config, "drift_prices")
    if not flags and not lines and prices is None:
        return None
    from goal_drift_gym.core.budget import Budget, parse_budget
    from goal_drift_gym.core.errors import UsageError
    from goal_drift_gym.core.prices import read_prices

    try:
        limits = parse_budget(lines) | parse_budget(flags)
        return Budget.of(limits, {} if prices is None else read_prices(prices))
    except UsageError as error:
        raise pytest.UsageError(f"drift_budget or drift_prices: {error}") from None


def _directory(config: pytest.Config, name: str) -> Path | None:
    root, start = _homes(config)
    flag: str | None = config.getoption(name)
    if flag is not None:
        return (start / flag).absolute()
    written: str | None = None if name == "drift_record" else _ini(config, name, given)
    return None if written is None else (root / written).absolute()


def _homes(config: pytest.Config) -> tuple[Path, Path]:
    """Return root directory and starting directory; a worker may have been started elsewhere than the controller."""
    handed = getattr(config, "workerinput", {}).get("goal_drift")
    if handed is None:
        return config.rootpath, config.invocation_params.dir
    return Path(handed["root"]), Path(handed["start"])


def _ini(config: pytest.Config, name: str, read: Callable[[str], Any]) -> Any:
    text = config.getini(name)
    if text == "":
        return None
    try:
        return read(text)
    except ValueError as error:
        raise pytest.UsageError(f"ini setting {name}: {error}") from None
