"""Hypothesis strategies for calls, made from the schemas of tools.

PYTEST_DONT_REWRITE
"""

# Not the package hypothesis-jsonschema: it brings jsonschema and its compiled parts, has had no release since
# February 2024, and means the standard, where 1.0 is an integer and all schemas can be written; what an engine accepts
# is narrower, and msgspec writes only the keywords below.

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from goal_drift_gym.core.canonical import MAX_ARGS_TEXT, MAX_DEPTH, MAX_ITEMS
from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.core.records import Action
from goal_drift_gym.core.tools import SAID, ToolSpec, flat_properties, referred, tools_of
from goal_drift_gym.testing.reference import scenario_reference

Tools = str | type[Scenario] | Iterable[ToolSpec]
"""A scenario, whose own tools are meant, or tools such as `turn.tools`."""
Names = Sequence[str] | SearchStrategy[str] | None
"""What free texts are drawn from; `None`: the scenario's entities and any text."""

_KEYWORDS = frozenset(
    {
        "$ref", "additionalProperties", "anyOf", "enum", "exclusiveMaximum", "exclusiveMinimum", "items", "maxItems",
        "maxLength", "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "multipleOf",
        "pattern", "prefixItems", "properties", "propertyNames", "required", "type", "uniqueItems", *SAID,
    }
)  # fmt: skip
_ANY_OF_A_TYPE: Mapping[str, Any] = {
    "null": None, "boolean": True, "integer": 7, "number": 0.5, "string": "a text", "array": [7], "object": {"a": 7},
}  # fmt: skip
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_LONGEST_TEXT = 20

_characters = st.characters(codec="utf-8")
_texts = st.text(_characters, max_size=_LONGEST_TEXT)


def specs_of(tools: Tools) -> list[ToolSpec]:
    """Return the tools that are meant.

    Raises
    ------
    UsageError
        If there is none.
    """
    if isinstance(tools, (str, type)):
        return list(tools_of(scenario_reference(tools).scenario_class).values())
    specs = list(tools)
    if not specs:
        raise UsageError("there are no tools to call; give a scenario, or at least one ToolSpec")
    return specs


def texts_of(tools: Tools, names: Names) -> SearchStrategy[str]:
    """Return the strategy for free texts: names first, any text besides."""
    if isinstance(names, SearchStrategy):
        return names
    if names is not None:
        return st.sampled_from(list(names)) | _texts if names else _texts
    if not isinstance(tools, (str, type)):
        return _texts
    entities = scenario_reference(tools).scenario_class.entities
    patterns = [st.from_regex(pattern, fullmatch=True, alphabet=_characters) for pattern in entities.values()]
    return st.one_of(*patterns, _texts)


class SchemaReader:
    """Makes strategies from the JSON Schema of one tool's arguments."""

    def __init__(self, spec: ToolSpec, texts: SearchStrategy[str]) -> None:
        self._spec = spec
        self._texts = texts

    def arguments(self) -> SearchStrategy[dict[str, Any]]:
        """Return the strategy for arguments that fit."""
        return self._object(self._spec.parameters)

    def values(self, schema: Mapping[str, Any]) -> SearchStrategy[Any]:
        """Return the strategy for values that fit a schema.

        Raises
        ------
        UsageError
            If the schema has a keyword for which there is no strategy.
        """
        for keyword in schema:
            if keyword not in _KEYWORDS:
                raise UsageError(
                    f"tool {self._spec.name!r}: there is no strategy for the schema keyword {keyword!r}; give the "
                    "parameter a plainer type, such as str or int with Meta(ge=..., le=...)"
                )
        if "$ref" in schema:
            return st.deferred(lambda: self.values(referred(self._spec.parameters, schema["$ref"])))
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        if "anyOf" in schema:
            return st.one_of([self.values(option) for option in schema["anyOf"]])
        kinds = {
            "null": lambda _: st.none(),
            "boolean": lambda _: st.booleans(),
            "integer": _integers,
            "number": _numbers,
            "string": self._strings,
            "array": self._array,
            "object": self._object,
        }
        if "type" not in schema:
            return st.none() | st.booleans() | st.integers(0, 9) | self._texts
        return kinds[schema["type"]](schema)

    def _strings(self, schema: Mapping[str, Any]) -> SearchStrategy[str]:
        shortest, longest = schema.get("minLength", 0), schema.get("maxLength")
        if "pattern" in schema:
            texts = st.from_regex(schema["pattern"], alphabet=_characters)
        elif shortest or longest is not None:
            texts = self._texts | st.text(_characters, min_size=shortest, max_size=longest or shortest + _LONGEST_TEXT)
        else:
            return self._texts
        return texts.filter(lambda text: shortest <= len(text) <= (math.inf if longest is None else longest))

    def _array(self, schema: Mapping[str, Any]) -> SearchStrategy[list[Any]]:
        if "prefixItems" in schema:
            return st.tuples(*(self.values(item) for item in schema["prefixItems"])).map(list)
        shortest = schema.get("minItems", 0)
        return st.lists(
            self.values(schema.get("items", {})),
            min_size=shortest,
            max_size=schema.get("maxItems", shortest + 3),
            unique_by=repr if schema.get("uniqueItems") else None,
        )

    def _object(self, schema: Mapping[str, Any]) -> SearchStrategy[dict[str, Any]]:
        required = schema.get("required", ())
        fields = {name: self.values(part) for name, part in schema.get("properties", {}).items()}
        others = schema.get("additionalProperties", False)
        if isinstance(others, dict):
            fewest = schema.get("minProperties", 0)
            keys = self.values({"type": "string", **schema.get("propertyNames", {})})
            most = schema.get("maxProperties", fewest + 3)
            return st.dictionaries(keys, self.values(others), min_size=fewest, max_size=most)
        return st.fixed_dictionaries(
            {name: field for name, field in fields.items() if name in required},
            optional={name: field for name, field in fields.items() if name not in required},
        )


def _integers(schema: Mapping[str, Any]) -> SearchStrategy[int]:
    low = schema.get("minimum", schema.get("exclusiveMinimum", _INT_MIN - 1) + 1)
    high = schema.get("maximum", schema.get("exclusiveMaximum", _INT_MAX + 1) - 1)
    every = schema.get("multipleOf", 1)
    return st.integers(math.ceil(low / every) if every != 1 else low, high // every).map(lambda count: count * every)


def _numbers(schema: Mapping[str, Any]) -> SearchStrategy[float]:
    if "multipleOf" in schema:
        raise UsageError("there is no strategy for a float with multiple_of; use an int, or leave multiple_of out")
    return st.floats(
        min_value=schema.get("minimum", schema.get("exclusiveMinimum")),
        max_value=schema.get("maximum", schema.get("exclusiveMaximum")),
        exclude_min="exclusiveMinimum" in schema,
        exclude_max="exclusiveMaximum" in schema,
        allow_nan=False,
        allow_infinity=False,
    )


def faulty_actions(spec: ToolSpec, known: Sequence[str], reader: SchemaReader) -> SearchStrategy[Action]:
    """Return the strategy for calls of one tool with a single fault each."""
    fitting = reader.arguments()
    properties, required = flat_properties(spec.parameters), spec.parameters.get("required", ())

    def calls(arguments: SearchStrategy[Any]) -> SearchStrategy[Action]:
        return arguments.map(lambda args: Action(spec.name, args))

    def with_value(names: Sequence[str], values: SearchStrategy[Any]) -> SearchStrategy[Action]:
        return calls(
            st.builds(lambda args, name, value: {**args, name: value}, fitting, st.sampled_from(names), values)
        )

    unknown_keys = (st.sampled_from(["extra", "", "\udcff"]) | _texts).filter(lambda key: key not in properties)
    faults = [
        st.builds(Action, _unknown_names(spec.name, known), fitting),
        calls(st.sampled_from(["arguments", 3, [7]])),
        calls(st.builds(lambda args, key: {**args, key: 7}, fitting, unknown_keys)),
        with_value([*properties, "extra"], st.sampled_from(_UNUSABLE)),
    ]
    if required:
        names = st.sampled_from(list(required))
        faults.append(calls(st.builds(_without, fitting, names)))
    for name, schema in properties.items():
        wrong = [*_of_wrong_type(schema), *_out_of_range(schema)]
        if wrong:
            faults.append(with_value([name], st.sampled_from(wrong)))
    return st.one_of(faults)


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


_UNUSABLE: Sequence[Any] = (
    math.nan, math.inf, -math.inf, 2**64, -(2**80), "x" * (MAX_ARGS_TEXT + 1), [0] * (MAX_ITEMS + 1),
    _nested(MAX_DEPTH + 1), {1: 2},
)  # fmt: skip
"""Values that no argument may have: not finite, too large, too deep, no JSON."""


def _without(args: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in args.items() if key != name}


def _unknown_names(name: str, known: Sequence[str]) -> SearchStrategy[str]:
    others = st.sampled_from([name + "x", name.upper(), "", "\ud800", "x" * 5000]) | _texts
    return others.filter(lambda other: other not in known)


def _of_wrong_type(schema: Mapping[str, Any]) -> list[Any]:
    """Return values of JSON types that a schema does not take."""
    taken = _types_taken(schema)
    return [value for kind, value in _ANY_OF_A_TYPE.items() if kind not in taken]


def _types_taken(schema: Mapping[str, Any]) -> set[str]:
    if "anyOf" in schema:
        return set().union(*(_types_taken(option) for option in schema["anyOf"]))
    if "enum" in schema:
        # Any value that is not one of the list is wrong, and the values of the palette are not.
        return {kind for kind, value in _ANY_OF_A_TYPE.items() if value in schema["enum"]}
    if "type" not in schema:
        return set(_ANY_OF_A_TYPE)
    return {"integer", "number"} if schema["type"] == "number" else {schema["type"]}


def _out_of_range(schema: Mapping[str, Any]) -> list[Any]:
    """Return values of the right type just beyond what a schema allows."""
    beyond: dict[str, Callable[[Any], Any]] = {
        "minimum": lambda limit: limit - 1,
        "maximum": lambda limit: limit + 1,
        "exclusiveMinimum": lambda limit: limit,
        "exclusiveMaximum": lambda limit: limit,
        "maxLength": lambda limit: "x" * (limit + 1),
        "minLength": lambda limit: "x" * (limit - 1),
    }
    wrong = [make(schema[keyword]) for keyword, make in beyond.items() if keyword in schema]
    if schema.get("minLength") == 0:
        # No text is shorter than none.
        wrong.remove("")
    if "enum" in schema and all(isinstance(one, str) for one in schema["enum"]):
        wrong += [one + "\ud800" for one in schema["enum"][:1]]
    return wrong
