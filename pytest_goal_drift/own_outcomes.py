"""An agent under test does not say what becomes of its test.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import pytest


@contextmanager
def no_way_out(*, exits: bool = False) -> Generator[None]:
    """Make an error of what an agent raises so that pytest would not hold the test against it.

    `pytest.fail`, which is how time limits of a test are kept, and whatever else ends a test, goes on.

    Parameters
    ----------
    exits
        Whether a `pytest.exit` in here is the agent's, too, and not that of a signal which came while it worked.

    Raises
    ------
    AgentError
        Instead of what was raised.
    """
    try:
        yield
    except (pytest.skip.Exception, pytest.xfail.Exception, pytest.exit.Exception) as error:
        if isinstance(error, pytest.exit.Exception) and not exits:
            raise
        from goal_drift_gym.core.errors import AgentError

        names = {pytest.skip.Exception: "skip", pytest.xfail.Exception: "xfail", pytest.exit.Exception: "exit"}
        name = next(name for kind, name in names.items() if isinstance(error, kind))
        raise AgentError(f"the agent called pytest.{name}, which is not for it to say: {error}") from error
