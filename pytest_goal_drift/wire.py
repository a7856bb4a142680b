"""What may travel in a test report, from a worker to the controller.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import numbers
from functools import lru_cache
from typing import Any

_EXACT = (type(None), bool, int, float)


def to_wire(name: str, value: Any) -> Any:
    """Return `value` as plain data that any transport between pytest processes takes.

    Numbers of other libraries become `int` or `float`; tuples become lists.

    Parameters
    ----------
    name
        Name of the metric or field, for the error.
    value
        None, a bool, number, text, or lists and dicts of those.

    Raises
    ------
    TypeError
        If the value, or something inside it, is anything else (a path, an enum, a dataclass, a text with a lone
        surrogate). Sent as it is, it would end the worker and with it the session.
    """
    kind = type(value)
    if kind in _EXACT:
        return value
    if kind is str:
        _require_encodable(name, value)
        return value
    if kind is list or kind is tuple:
        return [to_wire(f"{name}[{index}]", item) for index, item in enumerate(value)]
    if kind is dict:
        return {_key(name, key): to_wire(f"{name}.{key}", item) for key, item in value.items()}
    # Enum members that are numbers too would lose what they are, so they are refused with the rest.
    if isinstance(value, numbers.Real) and not hasattr(kind, "__members__"):
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    raise TypeError(
        f"{name} is {value!r} ({kind.__module__}.{kind.__qualname__}), which cannot be sent in a test report; "
        f"use None, a bool, number, text, list or dict"
    )


def _key(name: str, key: Any) -> str:
    if type(key) is not str:
        raise TypeError(f"{name} has the key {key!r} ({type(key).__name__}); only texts can be keys in a test report")
    _require_encodable(name, key)
    return key


def _require_encodable(name: str, text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TypeError(f"{name} is {text!r}, which is no valid Unicode text: {error.reason}") from None


@lru_cache(maxsize=64)
def format_seeds(seeds: tuple[int, ...]) -> str:
    """Write seeds as `--drift-seeds` takes them, in ranges.

    >>> format_seeds((0, 1, 2, 5)), format_seeds((7,)), format_seeds(())
    ('0-2,5', '7-7', '')
    """
    parts: list[str] = []
    start = 0
    while start < len(seeds):
        end = start
        while end + 1 < len(seeds) and seeds[end + 1] == seeds[end] + 1:
            end += 1
        parts.append(f"{seeds[start]}-{seeds[end]}" if end > start or len(seeds) == 1 else str(seeds[start]))
        start = end + 1
    return ",".join(parts)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read seeds: a count (`10` is 0 to 9), a range (`3-7`), or a list of numbers and ranges (`3,5,8-9`).

    Raises
    ------
    ValueError
        If it is none of these, names a seed twice, or names no seed.

    Examples
    --------
    >>> parse_seeds("3"), parse_seeds("3-5"), parse_seeds("3,"), parse_seeds("8,1-2")
    ((0, 1, 2), (3, 4, 5), (3,), (8, 1, 2))
    """
    written = text.strip()
    if written.isdecimal():
        count = int(written)
        if not 1 <= count <= _MOST_SEEDS:
            raise ValueError(f"{text!r}: the number of seeds must be from 1 to {_MOST_SEEDS}")
        return tuple(range(count))
    seeds: list[int] = []
    for part in written.removesuffix(",").split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"{text!r}: {part!r} is no seed; write a count (10), a range (0-9) or a list (3,5,8)")
        low, high = int(first), int(last or first)
        if high < low or high - low >= _MOST_SEEDS or high >= 2**63:
            raise ValueError(f"{text!r}: {part!r} is no range of at most {_MOST_SEEDS} seeds")
        seeds.extend(range(low, high + 1))
    if len(set(seeds)) != len(seeds):
        raise ValueError(f"{text!r} names a seed twice")
    return tuple(seeds)


_MOST_SEEDS = 100_000


def parse_plan(text: str) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Read seeds as `parse_seeds` does, or looks: `5:20` is the seeds 0 to 19, looked at after 5, 10, 15 and 20.

    Returns
    -------
    seeds, looks
        Looks are None where the text names seeds.

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> parse_plan("3"), parse_plan("2:4")
    (((0, 1, 2), None), ((0, 1, 2, 3), (2, 4)))
    """
    if ":" not in text:
        return parse_seeds(text), None
    from goal_drift_gym.core.errors import UsageError
    from goal_drift_gym.core.seeds import parse_looks

    try:
        looks = parse_looks(text)
    except UsageError as error:
        raise ValueError(str(error)) from None
    assert looks is not None
    return tuple(range(looks[-1])), tuple(looks)
