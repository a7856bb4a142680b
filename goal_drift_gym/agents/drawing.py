"""Arguments drawn at random that fit a tool's schema.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from goal_drift_gym.core.errors import ScenarioError
from goal_drift_gym.core.streams import Stream
from goal_drift_gym.core.tools import SAID, ToolSpec, referred

_READ: Mapping[str, frozenset[str]] = {
    "null": frozenset(),
    "boolean": frozenset(),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "string": frozenset({"minLength", "maxLength", "pattern"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}),
    "object": frozenset(
        {"properties", "required", "additionalProperties", "propertyNames", "minProperties", "maxProperties"}
    ),
}
"""Type -> keywords that are drawn for."""
_CLASSES = {"CATEGORY_DIGIT": "0123456789", "CATEGORY_WORD": "abcxyz019_", "CATEGORY_SPACE": " "}
_ANY_CHARACTER = "abcdefghijklmnopqrstuvwxyz0123456789"
_TRIES = 64
_DEEP = 4
"""Nested types from which on as little is drawn as fits, so that a type that holds itself comes to an end."""
_DEEPEST = 32
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


class _Unfit(Exception):
    """Nothing can be drawn because of a keyword."""

    def __init__(self, keyword: str) -> None:
        super().__init__(keyword)
        self.keyword = keyword


def random_arguments(spec: ToolSpec, random: Stream, names: Sequence[str]) -> dict[str, Any]:
    """Return arguments that fit a tool's schema; strings are taken from `names`, the things an agent can see.

    Raises
    ------
    ScenarioError
        If the schema of an argument has a keyword for which nothing can be drawn.
    """
    drawer = _Drawer(spec.parameters, random, names)
    arguments: dict[str, Any] = {}
    required = spec.parameters.get("required", ())
    for name, schema in spec.parameters["properties"].items():
        if name in required or random.chance(0.5):
            try:
                arguments[name] = drawer.value(schema)
            except _Unfit as unfit:
                raise ScenarioError(
                    f"tool {spec.name!r}, argument {name!r}: nothing can be drawn that fits the schema keyword "
                    f"{unfit.keyword!r}; give it a plainer type, such as Literal[...] or int with Meta(ge=..., le=...)"
                ) from None
    return arguments


class _Drawer:
    """Draws values that fit parts of one schema."""

    def __init__(self, whole: Mapping[str, Any], random: Stream, names: Sequence[str]) -> None:
        self._whole = whole
        self._random = random
        self._names = names
        self._depth = 0

    def value(self, schema: Mapping[str, Any]) -> Any:
        """Return a value that fits."""
        if "$ref" in schema:
            return self._nested(referred(self._whole, schema["$ref"]))
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        if "anyOf" in schema:
            return self._one_of(schema["anyOf"])
        kind = schema.get("type")
        if kind is None:
            _known(schema, frozenset())
            return self._name()
        if kind not in _READ:
            raise _Unfit("type")
        _known(schema, _READ[kind])
        draw: Callable[[Mapping[str, Any]], Any] = getattr(self, f"_{kind}")
        return draw(schema)

    def _nested(self, schema: Mapping[str, Any]) -> Any:
        if self._depth >= _DEEPEST:
            raise _Unfit("$ref")
        self._depth += 1
        try:
            return self.value(schema)
        finally:
            self._depth -= 1

    def _one_of(self, options: Sequence[Mapping[str, Any]]) -> Any:
        if self._depth >= _DEEP:
            options = [one for one in options if "$ref" not in one and one.get("type") != "array"] or options
        return self.value(self._random.choice(options))

    def _null(self, schema: Mapping[str, Any]) -> None:
        return None

    def _boolean(self, schema: Mapping[str, Any]) -> bool:
        return self._random.chance(0.5)

    def _integer(self, schema: Mapping[str, Any]) -> int:
        every = schema.get("multipleOf", 1)
        low, high = _bounds(schema, 1, 10 * every, 0)
        first, last = -(-max(low, _INT_MIN) // every), min(high, _INT_MAX) // every
        if first > last:
            raise _Unfit("multipleOf" if every != 1 else "maximum")
        return int(self._random.integer(first, last + 1) * every)

    def _number(self, schema: Mapping[str, Any]) -> float:
        low, high = _bounds(schema, 0.0, 1.0, 0.0)
        every = schema.get("multipleOf")
        if every is not None:
            return self._multiple(schema, every)
        value = self._random.uniform(low, high)
        if not math.isfinite(value):
            # The range is wider than a float.
            value = self._random.uniform(low / 2, high / 2)
        if value <= low and "exclusiveMinimum" in schema:
            value = math.nextafter(low, math.inf)
        if value >= high and "exclusiveMaximum" in schema:
            value = math.nextafter(high, -math.inf)
        if not low <= value <= high:
            raise _Unfit("maximum")
        return value

    def _multiple(self, schema: Mapping[str, Any], every: float) -> float:
        low, high = _bounds(schema, 0.0, 10 * every, 0.0)
        first, last = math.ceil(low / every), math.floor(high / every)
        for _ in range(_TRIES if first <= last else 0):
            value = self._random.integer(first, last + 1) * every
            # Of a multiple such as 0.1, not every multiple is one in floats.
            if math.fmod(value, every) == 0 and _within(schema, value):
                return float(value)
        raise _Unfit("multipleOf")

    def _string(self, schema: Mapping[str, Any]) -> str:
        if not schema.keys() & _READ["string"]:
            return self._name()
        shortest, longest = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        pattern = schema.get("pattern")
        fitting = [
            name
            for name in self._names
            if shortest <= len(name) <= longest and (pattern is None or re.search(pattern, name))
        ]
        if fitting:
            return self._random.choice(fitting)
        if pattern is None:
            length = int(max(shortest, min(longest, len("thing"))))
            return ("thing" * (length // len("thing") + 1))[:length]
        parsed = _parsed(pattern)
        for _ in range(_TRIES):
            text = _of_pattern(parsed, self._random, {})
            if re.search(pattern, text) and shortest <= len(text) <= longest:
                return text
        raise _Unfit("pattern")

    def _array(self, schema: Mapping[str, Any]) -> list[Any]:
        first = schema.get("prefixItems", [])
        fewest = schema.get("minItems", 0)
        rest = schema.get("items", {})
        if first:
            return [self.value(item) for item in (first if self._depth < _DEEP else first[:fewest])]
        most = min(schema.get("maxItems", math.inf), fewest + 2)
        if self._depth >= _DEEP:
            most = fewest
        wanted = self._random.integer(fewest, int(most) + 1)
        if not schema.get("uniqueItems"):
            return [self.value(rest) for _ in range(wanted)]
        different: list[Any] = []
        for _ in range(_TRIES + wanted):
            if len(different) < wanted:
                item = self.value(rest)
                different += [item] if item not in different else []
        if len(different) < fewest:
            raise _Unfit("uniqueItems")
        return different

    def _object(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        required = schema.get("required", ())
        drawn: dict[str, Any] = {}
        for name, part in schema.get("properties", {}).items():
            if name in required or (self._random.chance(0.5) and self._depth < _DEEP):
                drawn[name] = self.value(part)
        others = schema.get("additionalProperties")
        fewest = schema.get("minProperties", 0)
        if isinstance(others, dict) and "properties" not in schema:
            most = min(schema.get("maxProperties", math.inf), fewest + 2) if self._depth < _DEEP else fewest
            wanted = self._random.integer(fewest, int(most) + 1)
            keys = {"type": "string", **schema.get("propertyNames", {})}
            for _ in range(_TRIES + wanted):
                if len(drawn) < wanted:
                    key = self.value(keys)
                    # There may be fewer names than entries.
                    drawn[self.value({"pattern": "^[a-z]{1,3}$", **keys}) if key in drawn else key] = self.value(others)
        if len(drawn) < fewest:
            raise _Unfit("minProperties")
        return drawn

    def _name(self) -> str:
        return self._random.choice(self._names) if self._names else "thing"


def _known(schema: Mapping[str, Any], read: frozenset[str]) -> None:
    for keyword in schema:
        if keyword != "type" and keyword not in read and keyword not in SAID:
            raise _Unfit(keyword)


def _bounds(schema: Mapping[str, Any], step: Any, span: Any, zero: Any) -> tuple[Any, Any]:
    """Return the lowest and the highest number; where a bound is missing, it is `span` from the other or from zero."""
    lows = [schema[key] + add for key, add in (("minimum", 0), ("exclusiveMinimum", step)) if key in schema]
    highs = [schema[key] - add for key, add in (("maximum", 0), ("exclusiveMaximum", step)) if key in schema]
    if lows:
        low = max(lows)
        return low, min(highs) if highs else low + span
    if highs:
        return (zero, min(highs)) if min(highs) >= zero else (min(highs) - span, min(highs))
    return zero, zero + span


def _within(schema: Mapping[str, Any], value: float) -> bool:
    inside: bool = schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)
    between: bool = schema.get("exclusiveMinimum", -math.inf) < value < schema.get("exclusiveMaximum", math.inf)
    return inside and between


def _parsed(pattern: str) -> Any:
    try:
        # Python offers no other way to read a pattern, and promises nothing of this one.
        from re import _parser  # type: ignore[attr-defined]

        return _parser.parse(pattern)
    except (ImportError, AttributeError):
        raise _Unfit("pattern") from None


def _of_pattern(parsed: Any, random: Stream, groups: dict[int, str]) -> str:
    """Return a text that the parts of a pattern are likely to match; whoever asks looks whether the whole does."""
    text = ""
    for operation, value in parsed:
        name = str(operation)
        if name == "LITERAL":
            text += chr(value)
        elif name == "NOT_LITERAL":
            text += random.choice([one for one in _ANY_CHARACTER if one != chr(value)])
        elif name == "ANY":
            text += random.choice(_ANY_CHARACTER)
        elif name == "IN":
            text += random.choice(_characters(value))
        elif name == "BRANCH":
            text += _of_pattern(random.choice(value[1]), random, groups)
        elif name == "SUBPATTERN":
            groups[value[0]] = _of_pattern(value[-1], random, groups)
            text += groups[value[0]]
        elif name == "GROUPREF":
            text += groups.get(value, "")
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            fewest, most, part = value
            for _ in range(random.integer(fewest, min(most, fewest + 3) + 1)):
                text += _of_pattern(part, random, groups)
        elif name != "AT":
            raise _Unfit("pattern")
    return text


def _characters(parts: Sequence[Any]) -> str:
    """Return characters that a class of a pattern holds."""
    negated, held = False, ""
    for operation, value in parts:
        name = str(operation)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            held += chr(value)
        elif name == "RANGE":
            held += "".join(map(chr, range(value[0], min(value[1], value[0] + 127) + 1)))
        elif name == "CATEGORY" and str(value) in _CLASSES:
            held += _CLASSES[str(value)]
        else:
            raise _Unfit("pattern")
    if negated:
        held = "".join(one for one in _ANY_CHARACTER if one not in held)
    if not held:
        raise _Unfit("pattern")
    return held
