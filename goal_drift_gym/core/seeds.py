"""Seeds as people write them on a command line.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import re
from itertools import chain

from goal_drift_gym.core.errors import UsageError

MAX_SEEDS = 100_000
"""Most seeds one text may name."""

MAX_LOOK = 1000
"""Most seeds a look may have."""

_FORMS = "write a count (10), a range (0-9), or a list (3,5,8; one seed alone as 7, and negative ones as -1,-2)"
_RANGE = re.compile(r"(\d+)-(\d+)", re.ASCII)
_SEED = re.compile(r"-?\d+", re.ASCII)
_LIMIT = 2**63
_LONGEST_NUMBER = 20


def parse_seeds(text: str) -> list[int]:
    """Return the seeds a text names, in its order.

    A number alone is a count, `10` is the seeds 0 to 9. `0-9` is a range, both ends included. Whatever holds a comma
    is a list, whose parts are seeds or ranges; `7,` is the seed 7 alone.

    Raises
    ------
    UsageError
        If the text names no seed, a seed twice, more than 100,000, or one beyond 64 bits.

    >>> parse_seeds("3"), parse_seeds("3,"), parse_seeds("2-4"), parse_seeds("-1,8-9")
    ([0, 1, 2], [3], [2, 3, 4], [-1, 8, 9])
    """
    plain = text.strip()
    if plain.isascii() and plain.isdecimal():
        spans = [range(_number(plain, text))]
    else:
        parts = plain.split(",")
        if len(parts) > 1 and not parts[-1].strip():
            del parts[-1]
        elif len(parts) == 1 and not _RANGE.fullmatch(plain):
            raise UsageError(f"{text!r} names no seeds; {_FORMS}")
        spans = [_span(part.strip(), text) for part in parts]
    total = sum(span.stop - span.start for span in spans)
    if not 0 < total <= MAX_SEEDS:
        raise UsageError(f"{text!r} names {total} seeds; at least 1 and at most {MAX_SEEDS} are possible")
    seeds = list(chain.from_iterable(spans))
    if len(set(seeds)) != len(seeds):
        twice = next(seed for position, seed in enumerate(seeds) if seed in seeds[:position])
        raise UsageError(f"{text!r} names seed {twice} twice")
    return seeds


def parse_looks(text: str) -> list[int] | None:
    """Return the numbers of seeds at which a text asks to look, or None where it names seeds and no looks.

    `a:b` looks at a, 2a, 3a, ... and at b; `a:b:c` looks at a, a + c, a + 2c, ... and at b.

    Raises
    ------
    UsageError
        If a part is no whole number, the first look has fewer than 2 seeds, or the last one is not the largest.

    >>> parse_looks("5:20"), parse_looks("4:10:3"), parse_looks("5:12"), parse_looks("10")
    ([5, 10, 15, 20], [4, 7, 10], [5, 10, 12], None)
    """
    plain = text.strip()
    if ":" not in plain:
        return None
    parts = [part.strip() for part in plain.split(":")]
    if len(parts) > 3 or not all(part.isascii() and part.isdecimal() for part in parts):
        raise UsageError(f"{text!r} names no looks; write FIRST:LAST (5:20) or FIRST:LAST:STEP (5:20:3)")
    first, last, *rest = (_number(part, text) for part in parts)
    step = rest[0] if rest else first
    if not 2 <= first <= last <= MAX_LOOK or step < 1:
        raise UsageError(
            f"{text!r}: the first look needs at least 2 seeds, the last one as many or more and at most {MAX_LOOK}, "
            f"and the step at least 1"
        )
    return [*range(first, last, step), last]


def _span(part: str, text: str) -> range:
    ends = _RANGE.fullmatch(part)
    if ends is not None:
        low, high = _number(ends[1], text), _number(ends[2], text)
        if high < low:
            raise UsageError(f"{text!r}: the range {part} ends before it begins")
        return range(low, high + 1)
    if not _SEED.fullmatch(part):
        raise UsageError(f"{text!r}: {part!r} is no seed; {_FORMS}")
    seed = _number(part, text)
    return range(seed, seed + 1)


def _number(digits: str, text: str) -> int:
    if len(digits) <= _LONGEST_NUMBER and -_LIMIT <= (number := int(digits)) < _LIMIT:
        return number
    raise UsageError(f"{text!r}: a seed lies between -2**63 and 2**63 - 1")
