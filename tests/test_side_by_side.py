import gc
import sys

import pytest

from goal_drift_gym.side_by_side import SideBySide


@pytest.fixture
def found():
    """Sets what CPython starts with, and restores what the session has."""
    before = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(0.005)
    gc.set_threshold(700, 10, 10)
    yield
    sys.setswitchinterval(before[0])
    gc.set_threshold(*before[1])


def settings() -> tuple[float, int]:
    return round(sys.getswitchinterval(), 4), gc.get_threshold()[0]


def test_the_interpreter_is_eased_while_episodes_run_and_as_it_was_afterwards(found):
    episodes: SideBySide[int, tuple[float, int]] = SideBySide()
    before = settings()
    episodes.start(0, lambda cohort, own_loop: settings())
    during = episodes.wait(20.0).value
    episodes.close()

    assert (before, during, settings()) == ((0.005, 700), (0.02, 10_000), (0.005, 700))


def test_what_is_rarer_already_stays(found):
    sys.setswitchinterval(0.1)
    gc.set_threshold(0, 10, 10)
    episodes: SideBySide[int, tuple[float, int]] = SideBySide()
    episodes.start(0, lambda cohort, own_loop: settings())
    during = episodes.wait(20.0).value
    episodes.close()

    assert (during, settings()) == ((0.1, 0), (0.1, 0))


def test_nothing_is_changed_where_nothing_runs(found):
    SideBySide[int, None]().close()

    assert settings() == (0.005, 700)
