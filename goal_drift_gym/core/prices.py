"""Prices of models, as the user or an adapter states them.

No list of prices comes with this package: it would be out of date. A model without a price costs an unknown amount.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from goal_drift_gym.core.canonical import MALFORMED
from goal_drift_gym.core.errors import UsageError

_PER = 1_000_000

Amount = Annotated[float, Meta(ge=0.0, le=1e9)]


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a million tokens cost, in the currency of the money limits."""

    input: Amount
    """A million tokens that the model reads. Cheaper cached ones are counted at this price too."""
    output: Amount
    """A million tokens that it writes."""

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """Return what tokens cost."""
        return (input_tokens * self.input + output_tokens * self.output) / _PER


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    models: dict[str, Price]


def read_prices(path: str | Path) -> dict[str, Price]:
    """Read a price table: TOML, or JSON where the name ends in `.json`.

    ::

        [models."some-model"]
        input = 0.5      # a million tokens
        output = 2.0

    Raises
    ------
    UsageError
        If the file cannot be read or is no price table.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the price table {str(file)!r}: {error.strerror or error}") from error
    decode = msgspec.json.decode if file.suffix == ".json" else msgspec.toml.decode
    try:
        return decode(data, type=_Table).models
    except MALFORMED as error:
        raise UsageError(
            f'the price table {str(file)!r} cannot be used: {error}; each model is a table [models."NAME"] with '
            f"input and output, the prices of a million tokens"
        ) from error


def price_of(stated: Any) -> Price | None:
    """Return the price that an adapter states as a `Price` or as `{"input": ..., "output": ...}`; None for None.

    Raises
    ------
    UsageError
        If it states anything else.
    """
    if stated is None or isinstance(stated, Price):
        return stated
    try:
        return msgspec.convert(stated, Price)
    except msgspec.ValidationError as error:
        raise UsageError(f"the agent's price {stated!r} is none: {error}; give input and output prices") from error
