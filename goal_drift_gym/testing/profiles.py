"""How hard Hypothesis tries: settings that are passed on, never registered or loaded.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase

from goal_drift_gym.core.errors import UsageError, did_you_mean

PROFILES = ("dev", "ci")

_EXAMPLES = {"dev": 50, "ci": 200}
_TURNS = {"dev": 12, "ci": 20}
# Explaining a failure costs more runs than finding it, and says nothing that the saved run does not.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)


def profile(name: str, *, examples: int | None = None, database: ExampleDatabase | None = None) -> settings:
    """Return the settings of a profile.

    Parameters
    ----------
    name
        `dev`: other examples each time, failures kept in `.hypothesis/goal-drift` and tried first the next time;
        `ci`: the same examples each time, more and longer ones, nothing kept. Neither has a deadline.
    examples
        How many examples instead of the profile's own.
    database
        Where `dev` keeps failures instead; each worker of pytest-xdist has its own place by default.

    Raises
    ------
    UsageError
        If there is no such profile, `examples` is below 1, or `ci` is given a database.

    Examples
    --------
    >>> profile("ci").derandomize, profile("ci").database
    (True, None)
    >>> profile("dev", examples=7).max_examples
    7
    """
    if name not in PROFILES:
        raise UsageError(f"profile {name!r}: {did_you_mean(name, PROFILES)}")
    if examples is not None and examples < 1:
        raise UsageError(f"examples = {examples!r} must be at least 1")
    in_ci = name == "ci"
    if in_ci and database is not None:
        raise UsageError("the profile 'ci' keeps nothing; leave the database out, or use 'dev'")
    return settings(
        max_examples=_EXAMPLES[name] if examples is None else examples,
        stateful_step_count=_TURNS[name],
        derandomize=in_ci,
        database=None if in_ci else database or _database(),
        deadline=None,
        phases=_PHASES,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


def _database() -> ExampleDatabase:
    # A worker of its own place: what one finds must not change what another one tries in the same session.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return DirectoryBasedExampleDatabase(Path(".hypothesis") / "goal-drift" / worker)
