"""Tools: methods of a scenario that an agent may call.

The JSON Schema an agent sees and the check its arguments go through come from one msgspec struct made of the
method's annotations, so that they cannot disagree.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from goal_drift_gym.core.errors import ScenarioError

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__goal_drift_tool__"

DEFINITIONS = "#/$defs/"
"""How a reference within a tool's schema begins."""
SAID = frozenset({"$defs", "default", "deprecated", "description", "discriminator", "examples", "title"})
"""Keywords of a schema that say something and ask for nothing."""


class ToolFlags(msgspec.Struct, frozen=True):
    """What a scenario author says of a tool."""

    check: bool = False
    """It only looks: a check, a peek, a reading."""
    wait: bool = False
    """Calling it is declining to act."""
    risky: bool = False
    """It can breach the constraint."""


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool as the engine and the agent know it."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments: an object, no additional properties."""
    flags: ToolFlags
    arguments: type[msgspec.Struct]
    method: str
    """Name of the method that carries it out."""


def tool(*, check: bool = False, wait: bool = False, risky: bool = False) -> Callable[[F], F]:
    """Declare a method as a tool.

    The method's annotations become the schema: use `Literal[...]` for choices and
    `Annotated[int, msgspec.Meta(ge=0, le=5)]` for ranges. The docstring's first line is what agents read.
    """

    def declare(method: F) -> F:
        setattr(method, _MARK, ToolFlags(check=check, wait=wait, risky=risky))
        return method

    return declare


def _arguments_struct(owner: str, name: str, method: Callable[..., Any]) -> type[msgspec.Struct]:
    hints = typing.get_type_hints(method, include_extras=True)
    fields: list[Any] = []
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        where = f"tool {name!r} of {owner}, parameter {parameter.name!r}"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ScenarioError(f"{where}: *args, **kwargs and positional-only parameters cannot be tool arguments")
        if parameter.name not in hints:
            raise ScenarioError(f"{where}: needs a type annotation, its JSON Schema is made from it")
        if parameter.default is parameter.empty:
            fields.append((parameter.name, hints[parameter.name]))
        else:
            fields.append((parameter.name, hints[parameter.name], parameter.default))
    return msgspec.defstruct(name, fields, forbid_unknown_fields=True, frozen=True, kw_only=True)


def schema_of(arguments: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema of an arguments struct: an object without additional properties.

    It stands alone: types that arguments are made of are under `$defs`, where there are any.
    """
    (schema,), components = msgspec.json.schema_components([arguments], ref_template=DEFINITIONS + "{name}")
    own = schema["$ref"].removeprefix(DEFINITIONS)
    described = dict(components[own])
    described.pop("title", None)
    described["additionalProperties"] = False
    nested = {name: component for name, component in components.items() if name != own}
    return {**described, "$defs": nested} if nested else described


def referred(schema: Mapping[str, Any], reference: str) -> dict[str, Any]:
    """Return the part of a tool's schema that a `$ref` within it means."""
    found: dict[str, Any] = schema["$defs"][reference.removeprefix(DEFINITIONS)]
    return found


def flat_properties(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of each argument without any `$ref`: what it means stands in its place.

    For readers that show arguments one by one and have no room for `$defs`. Where a type holds itself, the second
    time is left open: `{}` takes any value.
    """
    properties: dict[str, Any] = schema.get("properties", {})
    return _flat(schema, properties, ()) if "$defs" in schema else properties


def _flat(whole: Mapping[str, Any], part: Any, within: tuple[str, ...]) -> Any:
    if isinstance(part, list):
        return [_flat(whole, item, within) for item in part]
    if not isinstance(part, dict):
        return part
    reference = part.get("$ref")
    if not isinstance(reference, str):
        # A discriminator refers to what stands in `anyOf`, and says nothing that is not there.
        return {key: _flat(whole, item, within) for key, item in part.items() if not _discriminates(key, item)}
    if reference in within:
        return {}
    others = {key: item for key, item in part.items() if key != "$ref"}
    return {**_flat(whole, referred(whole, reference), (*within, reference)), **others}


def hoisted(schema: Mapping[str, Any], prefix: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a tool's schema for a place inside a larger one, at whose top `definitions` are going to be `$defs`.

    The tool's own definitions are added to them under `prefix`, since two tools may mean two things by a name.
    """
    if "$defs" not in schema:
        return dict(schema)
    moved: dict[str, Any] = with_references(schema, lambda name: f"{prefix}.{name}")
    definitions.update({f"{prefix}.{name}": part for name, part in moved.pop("$defs").items()})
    return moved


def with_references(schema: Any, renamed: Callable[[str], str]) -> Any:
    """Return a schema in which every reference to a definition has another name."""
    if isinstance(schema, dict):
        return {key: with_references(item, renamed) for key, item in schema.items()}
    if isinstance(schema, list):
        return [with_references(item, renamed) for item in schema]
    if isinstance(schema, str) and schema.startswith(DEFINITIONS):
        return DEFINITIONS + renamed(schema.removeprefix(DEFINITIONS))
    return schema


def _discriminates(key: str, value: Any) -> bool:
    return key == "discriminator" and isinstance(value, dict) and "mapping" in value


@lru_cache(maxsize=256)
def tools_of(scenario_class: type) -> dict[str, ToolSpec]:
    """Return the tools a scenario class declares, by name, in the order of declaration.

    Raises
    ------
    ScenarioError
        If the class declares no tool, or a tool's signature has no JSON Schema.
    """
    specs: dict[str, ToolSpec] = {}
    for base in reversed(scenario_class.__mro__):
        for name, method in vars(base).items():
            flags = getattr(method, _MARK, None)
            if flags is None:
                continue
            try:
                arguments = _arguments_struct(scenario_class.__qualname__, name, method)
                parameters = schema_of(arguments)
            except TypeError as error:
                raise ScenarioError(
                    f"tool {name!r} of {scenario_class.__qualname__}: no JSON Schema for its annotations: {error}"
                ) from error
            description = inspect.cleandoc(method.__doc__ or name).split("\n\n")[0].replace("\n", " ")
            specs[name] = ToolSpec(name, description, parameters, flags, arguments, name)
    if not specs:
        raise ScenarioError(f"{scenario_class.__qualname__} declares no tool; decorate a method with @tool()")
    return specs
