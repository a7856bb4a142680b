"""What may travel from a worker to the controller."""

from __future__ import annotations

import dataclasses
import enum
import math
import pathlib

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_goal_drift.wire import format_seeds, parse_seeds, to_wire

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=10,
)


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Thing:
    x: int = 1


@given(PLAIN)
def test_plain_data_is_sent_as_it_is(value):
    assert to_wire("metric", value) == value


@pytest.mark.parametrize(
    ("value", "sent", "kind"),
    [
        (numpy.float64(0.5), 0.5, float),
        (numpy.int64(3), 3, int),
        (numpy.float32(0.5), 0.5, float),
        ((1, 2), [1, 2], list),
    ],
)
def test_numbers_of_other_libraries_become_plain(value, sent, kind):
    result = to_wire("metric", value)
    assert (result, type(result)) == (sent, kind)


def test_nan_is_sent_so_that_the_verdict_can_fail_it():
    assert math.isnan(to_wire("metric", math.nan))


@pytest.mark.parametrize(
    "value",
    [
        pathlib.Path("x"),
        Colour.RED,
        Level.LOW,
        Thing(),
        numpy.zeros(2),
        numpy.bool_(True),
        {1, 2},
        b"x",
        "\ud800",
        {1: 2},
        {"\ud800": 1},
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_refused_by_name(value):
    with pytest.raises(TypeError, match=r"^slope\.deep\[0\] "):
        to_wire("slope", {"deep": [value]})


@given(st.lists(st.integers(0, 10_000), unique=True, min_size=1).map(sorted))
def test_seeds_come_back_from_their_short_form(seeds):
    assert parse_seeds(format_seeds(tuple(seeds))) == tuple(seeds)
