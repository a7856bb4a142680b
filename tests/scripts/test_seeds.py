import pytest
from hypothesis import given
from hypothesis import strategies as st

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.seeds import parse_looks, parse_seeds


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("1", [0]),
        ("4", [0, 1, 2, 3]),
        ("0-3", [0, 1, 2, 3]),
        ("5-5", [5]),
        ("3,5,8", [3, 5, 8]),
        ("7,", [7]),
        ("0,", [0]),
        ("-1,", [-1]),
        (" 8 , -2 ,4-6", [8, -2, 4, 5, 6]),
        ("9223372036854775807,-9223372036854775808", [2**63 - 1, -(2**63)]),
    ],
)
def test_forms(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text",
    ["", "0", ",", "x", "-5", "1.5", "3-1", "1,1", "0-4,2", "1,,2", "1-", "9223372036854775808,", "9" * 5000, "100001",
     "0-99999999999", "1e3", "²", "1_000"],
)  # fmt: skip
def test_what_names_no_seeds_is_refused(text):
    with pytest.raises(UsageError):
        parse_seeds(text)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20, unique=True))
def test_any_list_of_seeds_can_be_written_down(seeds):
    assert parse_seeds(",".join(map(str, seeds)) + ",") == seeds


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        ("5:20", [5, 10, 15, 20]),
        ("5:12", [5, 10, 12]),
        ("4:10:3", [4, 7, 10]),
        ("3:20:1", list(range(3, 21))),
        ("7:7", [7]),
        (" 5 : 10 ", [5, 10]),
        ("10", None),
        ("3,5", None),
        ("0-9", None),
    ],
)
def test_looks(text, looks):
    assert parse_looks(text) == looks


@pytest.mark.parametrize("text", ["1:5", "5:4", "5:20:0", "a:b", "5:", ":20", "5:20:5:1", "5:1001", "-5:20", "5:2e1"])
def test_what_names_no_looks_is_refused(text):
    with pytest.raises(UsageError, match="look"):
        parse_looks(text)
