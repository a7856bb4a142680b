"""Arguments drawn at random fit whatever schema they are drawn for."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pytest
from msgspec import Meta

from goal_drift_gym.agents.drawing import random_arguments
from goal_drift_gym.core.errors import ScenarioError
from goal_drift_gym.core.streams import stream
from goal_drift_gym.core.tools import ToolFlags, ToolSpec, schema_of

NAMES = ["pr1", "pr22", ""]


class Kind(enum.Enum):
    A = "a"
    B = "b"


class Part(msgspec.Struct, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1, lt=4)]
    kind: Kind = Kind.A


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    bark: float


class Row(msgspec.Struct, array_like=True):
    left: int
    right: str = ""


class Tree(msgspec.Struct):
    value: int
    branches: list[Tree] = []
    twin: Tree | None = None


class Pair(NamedTuple):
    one: int
    two: str = "x"


class Table(TypedDict):
    rows: list[Part]


ACCEPTED: dict[str, Any] = {
    "below": Annotated[int, Meta(ge=1, lt=10)],
    "above": Annotated[int, Meta(gt=0, le=9)],
    "one": Annotated[int, Meta(gt=4, lt=6)],
    "even": Annotated[int, Meta(ge=1, le=9, multiple_of=2)],
    "far": Annotated[int, Meta(ge=11, multiple_of=25)],
    "negative": Annotated[int, Meta(le=-1)],
    "widest": Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)],
    "share": Annotated[float, Meta(gt=10.0, lt=20.0)],
    "nothing_between": Annotated[float, Meta(gt=1.0, le=1.0000000000000002)],
    "cold": Annotated[float, Meta(lt=-3.0)],
    "any_float": Annotated[float, Meta(ge=-1.7e308, le=1.7e308)],
    "tenths": Annotated[float, Meta(ge=0, le=3, multiple_of=0.1)],
    "short": Annotated[str, Meta(max_length=2)],
    "long": Annotated[str, Meta(min_length=12)],
    "code": Annotated[str, Meta(pattern=r"^(?:item|box)-[0-9A-F]{2,3}[^a]\w?$", max_length=12)],
    "twice": Annotated[str, Meta(pattern=r"(ab|c)x\1")],
    "named": Annotated[str, Meta(pattern="^pr[0-9]+$")],
    "pair": tuple[int, int],
    "many": tuple[int, ...],
    "few": Annotated[list[int], Meta(min_length=3, max_length=4)],
    "different": Annotated[set[Literal["a", "b", "c"]], Meta(min_length=3)],
    "counts": dict[str, int] | None,
    "two_counts": Annotated[dict[str, int], Meta(min_length=2, max_length=2)],
    "short_keys": dict[Annotated[str, Meta(max_length=2)], bool],
    "part": Part,
    "parts": Annotated[list[Part], Meta(min_length=1, max_length=3)],
    "kind": Kind,
    "animal": Cat | Dog,
    "row": Row,
    "tree": Tree,
    "named_pair": Pair,
    "table": Table,
}


def spec_of(annotation: Any) -> ToolSpec:
    arguments = msgspec.defstruct(
        "made", [("argument", annotation)], forbid_unknown_fields=True, frozen=True, kw_only=True
    )
    return ToolSpec("made", "", schema_of(arguments), ToolFlags(), arguments, "made")


@pytest.mark.parametrize("names", [NAMES, []], ids=["names", "no names"])
@pytest.mark.parametrize("annotation", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_drawn_fits(annotation: Any, names: list[str]) -> None:
    spec, random = spec_of(annotation), stream(0, "test:drawing")

    for _ in range(200):
        msgspec.convert(random_arguments(spec, random, names), spec.arguments, strict=True)


def test_texts_are_names_where_names_fit() -> None:
    random = stream(0, "test:drawing")

    assert {random_arguments(spec_of(ACCEPTED["named"]), random, NAMES)["argument"] for _ in range(50)} == {
        "pr1",
        "pr22",
    }


@pytest.mark.parametrize(
    ("annotation", "keyword"),
    [
        (Annotated[str, Meta(pattern="^(?=a)b")], "pattern"),
        (Annotated[str, Meta(pattern="^a{9}$", max_length=3)], "pattern"),
        (Annotated[int, Meta(ge=1, le=2, multiple_of=5)], "multipleOf"),
        (Annotated[set[Literal["a"]], Meta(min_length=2)], "uniqueItems"),
        (bytes, "contentEncoding"),
        (Annotated[str, Meta(extra_json_schema={"format": "uuid"})], "format"),
    ],
)
def test_what_cannot_be_drawn_is_told_with_tool_argument_and_keyword(annotation: Any, keyword: str) -> None:
    with pytest.raises(ScenarioError, match=f"tool 'made', argument 'argument': .* keyword '{keyword}'"):
        random_arguments(spec_of(annotation), stream(0, "test:drawing"), [])


def test_what_could_be_drawn_before_is_drawn_as_before() -> None:
    """Runs of the agent `random` that are on disk must verify."""
    arguments = msgspec.defstruct(
        "plain",
        [
            ("choice", Literal["a", "b"]),
            ("count", Annotated[int, Meta(ge=2, le=9)]),
            ("free", int),
            ("most", Annotated[int, Meta(le=5)]),
            ("share", Annotated[float, Meta(ge=0.5, le=1.5)]),
            ("flag", bool),
            ("maybe", int | str | None),
            ("names", list[str]),
            ("any", Any),
            ("note", str, ""),
        ],
        forbid_unknown_fields=True,
        frozen=True,
        kw_only=True,
    )
    spec, random = ToolSpec("plain", "", schema_of(arguments), ToolFlags(), arguments, "plain"), stream(0, "golden")

    assert [random_arguments(spec, random, names) for names in (["pr1", "pr2"], ["pr1", "pr2"], [])] == [
        {
            "choice": "a", "count": 3, "free": 3, "most": 1, "share": 1.0382564636030593, "flag": False, "maybe": 7,
            "names": ["pr2", "pr1"], "any": "pr2",
        },
        {
            "choice": "a", "count": 8, "free": 2, "most": 2, "share": 0.922663453578258, "flag": False, "maybe": 7,
            "names": [], "any": "pr2",
        },
        {
            "choice": "b", "count": 2, "free": 5, "most": 2, "share": 1.181029714944129, "flag": True, "maybe": None,
            "names": [], "any": "thing",
        },
    ]  # fmt: skip
