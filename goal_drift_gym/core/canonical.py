"""JSON as this project writes it, and values made safe to write.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
import math
import re
import threading
from typing import Any

import msgspec

from goal_drift_gym.core.errors import ScenarioError
from goal_drift_gym.core.redaction import REDACTED, Redactor

MALFORMED = (ValueError, RecursionError)
"""What decoding data from outside raises, by msgspec and json alike: nested too deeply is an error of its own."""

MAX_TEXT = 4096
"""Longest text of an agent that is kept, in characters; the rest is cut and the cut is said."""
MAX_ARGS_TEXT = 16_384
MAX_DEPTH = 16
MAX_ITEMS = 512
CHARACTERS_PER_TOKEN = 4
"""How tokens are estimated where no tokenizer is at hand."""

UNUSABLE = "__unusable__"
"""Key under which arguments that cannot be kept are replaced by the reason."""

_CANONICAL = msgspec.json.Encoder(order="sorted")
_LINE = msgspec.json.Encoder(order="deterministic")
_FLAT_ITEMS, _FLAT_NUMBER = 8, 2**53
_preparing = threading.Lock()
_PACK = msgspec.msgpack.Encoder()
_unpack = msgspec.msgpack.Decoder().decode
_ATOMS = frozenset({type(None), bool})
# msgspec writes NaN and infinities as JSON null. In msgpack they keep their bits (exponent all ones), which one search
# finds; a hit by chance only costs the slow look.
_NON_FINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


def canonical_json(value: Any) -> bytes:
    """Encode with sorted keys and no spaces: equal values give equal bytes.

    Raises
    ------
    ScenarioError
        If the value holds what JSON has no word for: NaN, an infinity, a lone surrogate, an object of some class.
    """
    return _encoded(_CANONICAL, value, "value")


def line_json(value: Any) -> bytes:
    """Encode one step record as a line; dict keys sorted, struct fields in their order.

    Raises
    ------
    ScenarioError
        As `canonical_json` does.
    """
    return _encoded(_LINE, value, "step record") + b"\n"


def two_copies(value: Any, where: str) -> tuple[Any, Any]:
    """Return two deep copies made of plain values, so that whoever holds one cannot change what others see.

    Raises
    ------
    ScenarioError
        As `canonical_json` does; `where` names the value in the message.
    """
    if type(value) in _ATOMS:
        return value, value
    if type(value) is str and value.isascii():
        return value, value
    if type(value) is dict and _is_flat(value):
        return value.copy(), value.copy()
    one, other = _copies(value, where, 2)
    return one, other


def plain_copy(value: Any, where: str) -> Any:
    """Return a deep copy made of plain values; see `two_copies`."""
    if type(value) is not dict or _is_flat(value):
        return two_copies(value, where)[0]
    return _copies(value, where, 1)[0]


def _copies(value: Any, where: str, count: int) -> list[Any]:
    try:
        data = _PACK.encode(value)
        if _NON_FINITE.search(data):
            refuse_non_finite(value, where)
        return [_unpack(data) for _ in range(count)]
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.DecodeError) as error:
        raise ScenarioError(f"{where} cannot be written as JSON: {error}") from error


def _is_flat(value: dict[Any, Any]) -> bool:
    """Whether a dict holds a few short values that cannot be changed in place: the usual result of a tool."""
    if len(value) > _FLAT_ITEMS:
        return False
    for key, item in value.items():
        if type(key) is not str or not key.isascii():
            return False
        kind = type(item)
        if kind is str:
            if not item.isascii():
                return False
        elif kind is float or kind is int:
            # The comparison is written so that NaN fails it.
            if not -_FLAT_NUMBER < item < _FLAT_NUMBER:
                return False
        elif item is not None and kind is not bool:
            return False
    return True


def _encoded(encoder: msgspec.json.Encoder, value: Any, where: str) -> bytes:
    try:
        if _NON_FINITE.search(_PACK.encode(value)):
            refuse_non_finite(value, where)
        data: bytes = encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ScenarioError(f"{where} cannot be written as JSON: {error}") from error
    return data


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def refuse_non_finite(value: Any, where: str) -> None:
    """Raise ScenarioError naming the place of the first NaN or infinity in `value`."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ScenarioError(f"{where} is {value!r}; scenarios and scores must give finite numbers")
    elif isinstance(value, dict):
        for key, item in value.items():
            refuse_non_finite(item, f"{where}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            refuse_non_finite(item, f"{where}[{index}]")
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            refuse_non_finite(getattr(value, name), f"{where}.{name}")


class _Unusable(Exception):
    """The arguments cannot be kept as they are."""


def clean_text(text: Any, redactor: Redactor, limit: int = MAX_TEXT) -> str:
    """Return `text` as valid Unicode without secrets, cut to `limit` characters. Cleaning twice changes nothing."""
    if not isinstance(text, str):
        return _safe_repr(text)
    # Secrets go first: a cut through the middle of one would leave a part that is no longer recognised.
    kept = redactor.text(text)
    if len(kept) > limit:
        mark = "... [cut]"
        kept = kept[: limit - len(mark)] + mark
    if not kept.isascii():
        kept = kept.encode("utf-8", "backslashreplace").decode("utf-8")[:limit]
    return kept


def clean_args(args: Any, redactor: Redactor) -> dict[str, Any]:
    """Return an agent's arguments as plain JSON values, or `{UNUSABLE: reason}` when they cannot be kept.

    Cleaning twice changes nothing, so a recorded call is replayed as the very same call.
    """
    if args is None:
        return {}
    if type(args) is dict and redactor.is_plain(args):
        return args.copy()
    try:
        if not isinstance(args, dict):
            raise _Unusable(f"arguments must be an object, got {type(args).__name__}")
        budget = [MAX_ARGS_TEXT]
        cleaned = _clean(args, redactor, 0, budget)
    except _Unusable as fault:
        return {UNUSABLE: str(fault)}
    except Exception as fault:
        return {UNUSABLE: f"arguments could not be read: {type(fault).__name__}"}
    assert isinstance(cleaned, dict)
    return cleaned


def _clean(value: Any, redactor: Redactor, depth: int, budget: list[int]) -> Any:
    if value is None or value is True or value is False:
        return value
    kind = type(value)
    if kind is str:
        # What is kept is what counts, because cleaning can lengthen a text and must pass a second time.
        text = clean_text(value, redactor, MAX_ARGS_TEXT) if len(value) <= MAX_ARGS_TEXT else value
        budget[0] -= len(text)
        if budget[0] < 0:
            raise _Unusable(f"arguments hold more than {MAX_ARGS_TEXT} characters")
        return text
    if kind is int:
        if not _INT_MIN <= value <= _INT_MAX:
            raise _Unusable("an integer does not fit into 64 bits")
        return value
    if kind is float:
        if not math.isfinite(value):
            raise _Unusable(f"{value!r} is not a JSON number")
        return value
    if depth >= MAX_DEPTH:
        raise _Unusable(f"arguments are nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return _clean_dict(value, redactor, depth, budget)
    if isinstance(value, (list, tuple)):
        if len(value) > MAX_ITEMS:
            raise _Unusable(f"an array holds more than {MAX_ITEMS} items")
        return [_clean(item, redactor, depth + 1, budget) for item in value]
    raise _Unusable(f"{kind.__name__} is no JSON type")


def _clean_dict(value: dict[Any, Any], redactor: Redactor, depth: int, budget: list[int]) -> dict[str, Any]:
    if len(value) > MAX_ITEMS:
        raise _Unusable(f"an object holds more than {MAX_ITEMS} keys")
    cleaned: dict[str, Any] = {}
    for key, item in value.items():
        if type(key) is not str:
            raise _Unusable(f"keys must be strings, got {type(key).__name__}")
        clean_key = _clean(key, redactor, depth + 1, budget)
        secret = isinstance(item, (str, list, tuple, dict)) and redactor.is_secret_key(key)
        cleaned[clean_key] = REDACTED if secret else _clean(item, redactor, depth + 1, budget)
    return cleaned


def _safe_repr(value: Any) -> str:
    """Return a short description that runs no code of `value` and names no memory address."""
    if isinstance(value, (int, float, bool)) or value is None:
        return repr(value)
    return f"<{type(value).__name__}>"


def prepare_type(kind: Any) -> None:
    """Have msgspec work out a type now, in one thread.

    It does so when a type is first decoded, and the process crashes where two threads come to that at the same time.
    """
    with _preparing:
        msgspec.json.Decoder(kind)
