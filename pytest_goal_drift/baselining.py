"""Judging the runs of a test against a stored baseline as well.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_goal_drift.verdict import DriftDecision, DriftGroup

if TYPE_CHECKING:
    from goal_drift_gym.baselines import Baseline
    from goal_drift_gym.comparing import Comparison
    from goal_drift_gym.samples import Sample
    from pytest_goal_drift.services import Services


def read_baseline(services: Services) -> Baseline | None:
    """Return the baseline of `--drift-baseline`, None where nobody named one.

    A name is looked for in `baselines` below the artifacts directory; what ends in `.json` is a path.

    Raises
    ------
    pytest.UsageError
        If there is none, it cannot be read, or seeds are looked at one look after the other.
    """
    from goal_drift_gym.baselines import load_baseline
    from goal_drift_gym.core.errors import GoalDriftError

    settings = services.settings
    if settings.baseline is None:
        return None
    if settings.looks is not None:
        raise pytest.UsageError(
            "--drift-baseline needs a fixed number of seeds: with looks the level decides when to stop, and a "
            "difference to a baseline is judged once"
        )
    path = Path(settings.baseline)
    if path.suffix == ".json":
        name, folder = path.stem, (services.config.invocation_params.dir / path).parent
    else:
        name, folder = settings.baseline, settings.artifacts_dir / "baselines"
    try:
        return load_baseline(name, folder)
    except GoalDriftError as error:
        raise pytest.UsageError(f"--drift-baseline: {error}") from None


def against_baseline(group: DriftGroup, decision: DriftDecision, services: Services) -> DriftDecision:
    """Return the worse of a decision on the level and one on the difference to the baseline.

    A baseline that does not fit (another scenario version, other settings, no runs of this test) makes the verdict
    `invalid` and says what differs.
    """
    baseline = services.baseline()
    if baseline is None or not group.seeds or decision.word in ("not run", "no gate"):
        return decision
    from goal_drift_gym.core.errors import GoalDriftError
    from goal_drift_gym.eval.verdict_words import severity

    try:
        compared = _compare(baseline, group, services)
    except (GoalDriftError, OSError) as error:
        reason = f"it cannot be compared with baseline {baseline.name!r}: {error}"
        found = [DriftDecision(word="invalid", reason=reason)]
    else:
        found = [_decision(one, baseline.name) for one in compared]
    return min([decision, *found], key=lambda one: severity(one.word))


def _compare(baseline: Baseline, group: DriftGroup, services: Services) -> list[Comparison]:
    from goal_drift_gym.comparing import compare
    from goal_drift_gym.core.errors import UsageError
    from goal_drift_gym.core.rundir import load_run
    from goal_drift_gym.samples import samples_of

    now = samples_of(load_run(services.config.rootpath / seed.run) for seed in group.seeds)
    before: list[Sample] = []
    for sample in now:
        key = sample.key
        same = [
            old
            for old in baseline.samples
            if (old.key.scenario, old.key.condition, old.key.agent) == (key.scenario, key.condition, key.agent)
        ]
        if not same:
            have = ", ".join(sorted({old.key.title for old in baseline.samples}))
            raise UsageError(f"it has no runs of {key.title}; it has: {have}")
        before += same
    return compare(before, now, mode="gate" if group.mode == "gate" else "detect")


def _decision(compared: Comparison, name: str) -> DriftDecision:
    from goal_drift_gym.eval.verdict_reasons import unmeasured_reason
    from pytest_goal_drift.rule import WORDS_OF, fail_reason

    verdict = compared.verdict
    word = WORDS_OF[verdict.status]
    told = fail_reason(verdict) if word == "fail" else " ".join(verdict.reasons[-1:])
    if word == "invalid" and verdict.unmeasured:
        told = unmeasured_reason(verdict)
    decision = DriftDecision(word=word, reason=f"against baseline {name!r}: {told}", verdict=verdict)
    return replace(decision, against=name)
