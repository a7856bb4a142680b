"""Tools: one declaration gives the schema agents see and the check arguments go through."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from jsonschema import Draft202012Validator
from toy_scenario import Toy

from goal_drift_gym.core.errors import ScenarioError
from goal_drift_gym.core.tools import ToolFlags, flat_properties, tool, tools_of


class Base:
    @tool(check=True)
    def look(self) -> None:
        """Look around.

        Not shown to agents.
        """

    @tool()
    def old(self) -> None: ...


class Shop(Base):
    @tool(risky=True)
    def buy(
        self, what: Literal["a", "b"], count: Annotated[int, msgspec.Meta(ge=1, le=3)] = 1, note: str | None = None
    ) -> None:
        """Buy
        things.
        """

    @tool(wait=True)
    def old(self) -> None:
        """Do it anew."""


def test_tools_come_in_order_of_declaration_with_their_flags():
    specs = tools_of(Shop)
    assert list(specs) == ["look", "old", "buy"]
    assert [spec.flags for spec in specs.values()] == [
        ToolFlags(check=True),
        ToolFlags(wait=True),
        ToolFlags(risky=True),
    ]


def test_agents_read_the_first_paragraph():
    assert [spec.description for spec in tools_of(Shop).values()] == ["Look around.", "Do it anew.", "Buy things."]
    assert tools_of(Base)["old"].description == "old"


class Item(msgspec.Struct):
    size: int


class Depot(Base):
    @tool()
    def send(self, items: list[Item], last: Item | None = None) -> None:
        """Send."""


def test_types_of_their_own_are_in_the_schema():
    schema = tools_of(Depot)["send"].parameters

    assert schema["properties"]["items"] == {"type": "array", "items": {"$ref": "#/$defs/Item"}}
    assert list(schema["$defs"]) == ["Item"]
    assert "$defs" not in tools_of(Shop)["buy"].parameters


def test_arguments_can_be_shown_without_references():
    properties = flat_properties(tools_of(Depot)["send"].parameters)

    assert properties["items"]["items"]["properties"] == {"size": {"type": "integer"}}
    assert flat_properties(tools_of(Shop)["buy"].parameters) is tools_of(Shop)["buy"].parameters["properties"]


def test_the_schema_says_what_is_checked():
    schema = tools_of(Shop)["buy"].parameters
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["what"]
    assert schema["properties"]["what"] == {"enum": ["a", "b"]}
    assert schema["properties"]["count"] == {"type": "integer", "minimum": 1, "maximum": 3, "default": 1}
    assert "title" not in schema


@pytest.mark.parametrize(
    "args",
    [
        {"what": "a"},
        {"what": "b", "count": 3, "note": None},
        {"what": "c"},
        {"what": "a", "count": 0},
        {},
        {"what": "a", "x": 1},
        {"what": "a", "count": "1"},
        {"what": "a", "count": 1.5},
        {"what": "a", "count": True},
        {"what": 1},
        {"what": "a", "note": 5},
    ],
)
def test_schema_and_check_agree(args):
    spec = tools_of(Shop)["buy"]
    try:
        msgspec.convert(args, spec.arguments, strict=True)
        accepted = True
    except msgspec.ValidationError:
        accepted = False
    assert Draft202012Validator(spec.parameters).is_valid(args) == accepted


def test_a_class_without_tools_is_refused():
    with pytest.raises(ScenarioError, match="declares no tool"):
        tools_of(int)


def bad(method: Any) -> type:
    return type("Bad", (), {"act": tool()(method)})


@pytest.mark.parametrize(
    ("method", "says"),
    [
        (lambda self, x: None, "needs a type annotation"),
        (lambda self, *x: None, "cannot be tool arguments"),
        (lambda self, **x: None, "cannot be tool arguments"),
        (lambda self, x, /: None, "cannot be tool arguments"),
    ],
)
def test_parameters_without_a_schema_are_refused(method, says):
    with pytest.raises(ScenarioError, match=says):
        tools_of(bad(method))


def test_annotations_without_a_schema_are_refused():
    def act(self: Any, x: complex) -> None: ...

    with pytest.raises(ScenarioError, match="no JSON Schema"):
        tools_of(bad(act))


def test_the_toy_has_tools():
    assert set(tools_of(Toy)) == {"look", "take", "mark", "wait"}
