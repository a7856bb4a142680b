"""Random numbers that depend on (seed, purpose, step) and on nothing else.

Each `Stream` is a counter-based generator: BLAKE2b over (seed, purpose, step, block). What one stream has
consumed can never shift another, so the world at (seed, step) is the same whatever an agent did, and twins,
replays and prefixes stay valid.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, MutableSequence, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")

_UNPACK = struct.Struct("<8Q").unpack
_PACK = struct.Struct("<qQ").pack
_TO_UNIT = 2.0**-53


@lru_cache(maxsize=512)
def _keyed(seed: int, purpose: str) -> Any:
    """Return a hasher that has taken in `seed` (any int) and `purpose`; callers copy it."""
    # int() because True and 1 share a place in the cache, and must not depend on which came first.
    return blake2b(f"{int(seed)}\x00{purpose}\x00".encode(), digest_size=64, person=b"goal-drift-v1")


class Stream:
    """A generator of random values for one purpose at one step.

    The methods draw in a fixed way that will not change within a format version: they are part of what makes a
    run replayable on another machine and another Python.
    """

    __slots__ = ("_block", "_buffer", "_hasher", "_step")

    def __init__(self, seed: int, purpose: str, step: int) -> None:
        self._hasher = _keyed(seed, purpose)
        self._step = step
        self._block = 0
        self._buffer: list[int] = []

    def bits(self) -> int:
        """Return a uniform integer in [0, 2**64)."""
        buffer = self._buffer
        if not buffer:
            hasher = self._hasher.copy()
            hasher.update(_PACK(self._step, self._block))
            self._block += 1
            buffer.extend(_UNPACK(hasher.digest()))
        return buffer.pop()

    def random(self) -> float:
        """Return a uniform float in [0, 1)."""
        return (self.bits() >> 11) * _TO_UNIT

    def uniform(self, low: float, high: float) -> float:
        """Return a uniform float in [`low`, `high`)."""
        return low + (high - low) * self.random()

    def integer(self, low: int, high: int) -> int:
        """Return a uniform integer in [`low`, `high`), without modulo bias.

        Raises
        ------
        ValueError
            If the range is empty or wider than 2**64.
        """
        width = high - low
        if not 0 < width <= 2**64:
            raise ValueError(f"integer({low}, {high}): the range must hold 1 to 2**64 values")
        limit = 2**64 - (2**64 % width)
        while (value := self.bits()) >= limit:
            pass
        return low + value % width

    def chance(self, probability: float) -> bool:
        """Return True with the given probability; always draws once."""
        return self.random() < probability

    def normal(self, mean: float = 0.0, sd: float = 1.0) -> float:
        """Return a normal float (Box-Muller, one value per two draws)."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.random()))
        return mean + sd * radius * math.cos(2.0 * math.pi * self.random())

    def choice(self, options: Sequence[T]) -> T:
        """Return one of `options`, which must not be empty."""
        return options[self.integer(0, len(options))]

    def shuffle(self, items: MutableSequence[T]) -> None:
        """Put `items` in random order, in place (Fisher-Yates)."""
        for last in range(len(items) - 1, 0, -1):
            other = self.integer(0, last + 1)
            items[last], items[other] = items[other], items[last]

    def numpy(self) -> np.random.Generator:
        """Return a NumPy generator keyed by the next 128 bits of this stream.

        For scenarios that draw large arrays; it costs some microseconds to make and imports NumPy.
        """
        import numpy as np

        return np.random.Generator(np.random.Philox(key=self.bits() | self.bits() << 64))


def stream(seed: int, purpose: str, step: int = 0) -> Stream:
    """Return the generator for `purpose` at (`seed`, `step`).

    >>> stream(0, "world", 3).random() == stream(0, "world", 3).random()
    True
    >>> stream(0, "world", 3).random() == stream(1, "world", 3).random()
    False
    """
    return Stream(seed, purpose, step)


Streams = Callable[[str, int], Stream]
"""What a scenario is given on reset: `streams(purpose, step)` with the seed already bound."""


def scenario_streams(seed: int) -> Streams:
    """Return the `Streams` of one episode; a scenario's purposes cannot collide with the engine's."""

    def scenario_stream(purpose: str, step: int) -> Stream:
        return Stream(seed, "scenario:" + purpose, step)

    return scenario_stream
