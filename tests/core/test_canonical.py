"""JSON as it is written, and texts and arguments made safe to write."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goal_drift_gym.core.canonical import (
    MAX_ARGS_TEXT,
    canonical_json,
    clean_args,
    clean_text,
    line_json,
    plain_copy,
    refuse_non_finite,
    sha256_hex,
    two_copies,
)
from goal_drift_gym.core.errors import ScenarioError
from goal_drift_gym.core.records import Message, Score
from goal_drift_gym.core.redaction import Redactor

NONE = Redactor([])


def test_equal_values_give_equal_bytes():
    assert (
        canonical_json({"b": 1, "a": [1.0, None]})
        == canonical_json({"a": [1.0, None], "b": 1})
        == b'{"a":[1.0,null],"b":1}'
    )


def test_a_line_keeps_the_order_of_struct_fields_and_sorts_keys():
    assert line_json(Message("r", "t")) == b'{"role":"r","text":"t"}\n'
    assert line_json({"b": 1, "a": {"d": 1, "c": 2}}) == b'{"a":{"c":2,"d":1},"b":1}\n'


@pytest.mark.parametrize("write", [canonical_json, line_json, lambda value: plain_copy(value, "x")])
@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        [math.inf],
        {"a": {"b": -math.inf}},
        ({"a": math.nan},),
        Score(math.nan),
        "\ud800",
        {"\udfff": 1},
        object(),
        2**64,
    ],
)
def test_what_json_has_no_word_for_is_refused(write, value):
    with pytest.raises(ScenarioError):
        write(value)


def test_the_place_of_what_is_not_finite_is_named():
    with pytest.raises(ScenarioError, match=r"record\.alignment is nan"):
        refuse_non_finite(Score(math.nan), "record")
    with pytest.raises(ScenarioError, match=r"x\.a\[1\] is inf"):
        refuse_non_finite({"a": [0, math.inf]}, "x")


def test_bytes_that_only_look_like_nan_are_no_fault():
    assert canonical_json("\xcb\x7f\xf0 Ë\x7f") == '"\xcb\x7f\xf0 Ë\x7f"'.encode()
    assert canonical_json([0xCB7FF0, "null"]) == b'[13336560,"null"]'


@pytest.mark.parametrize("value", [{"a": [1, {"b": None}]}, [], "é", 5, None, True, 1.5, ()])
def test_copies_are_equal_and_apart(value):
    one, two = two_copies(value, "x")
    assert one == two == (list(value) if isinstance(value, tuple) else value)
    if isinstance(value, dict):
        one["a"][1]["b"] = 5
        assert value == two == {"a": [1, {"b": None}]}


def test_the_digest_is_sha256():
    assert sha256_hex(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain", "plain"),
        ("é", "é"),
        ("\ud800", "\\ud800"),
        (5, "5"),
        (None, "None"),
        (object(), "<object>"),
        (True, "True"),
    ],
)
def test_texts_are_made_valid(text, clean):
    assert clean_text(text, NONE) == clean


def test_long_texts_are_cut_and_say_so():
    assert clean_text("x" * 50, NONE, 20) == "x" * 11 + "... [cut]"
    assert len(clean_text("\ud800" * 20, NONE, 20)) == 20


def test_a_cut_never_leaves_a_part_of_a_secret():
    secret = "sk-0123456789abcdef"
    for length in range(40):
        assert "sk-" not in clean_text("x" * length + secret + "y" * 40, Redactor([secret]), 30)


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text('\ud800a"\\', max_size=40)
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9) | st.just("api_key"), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(value=ANY)
def test_cleaning_twice_changes_nothing(value):
    redactor = Redactor(["aaaaaaaa"])
    once = clean_args(value, redactor)
    assert clean_args(once, redactor) == once
    line_json(once)
    text = clean_text(value, redactor)
    assert clean_text(text, redactor) == text


@pytest.mark.parametrize("size", [MAX_ARGS_TEXT // 2 + 1, MAX_ARGS_TEXT // 6 + 1])
def test_what_grows_beyond_the_limit_when_cleaned_is_refused_at_once(size):
    character = "x" if size > MAX_ARGS_TEXT // 3 else "\ud800"
    cleaned = clean_args({"a": character * size, "b": character * size}, NONE)
    assert "more than" in cleaned["__unusable__"]


@pytest.mark.parametrize("args", [{}, {"a": 1, "b": "x", "c": True}, {"a": [1, {"b": None}], "c": 2.5, "d": ("t",)}])
def test_plain_arguments_are_kept_as_copies(args):
    cleaned = clean_args(args, NONE)
    assert cleaned == {key: list(value) if isinstance(value, tuple) else value for key, value in args.items()}
    assert cleaned is not args


def test_secrets_in_keys_are_replaced():
    redactor = Redactor(["planted-secret"])
    for args in ({"planted-secret": 1}, {"x": {"planted-secret": 1}}):
        assert "planted-secret" not in str(clean_args(args, redactor))


@given(args=st.dictionaries(st.text(max_size=70), st.text(max_size=70) | st.integers() | st.booleans(), max_size=10))
def test_the_short_way_for_plain_arguments_gives_what_the_long_way_gives(args: Any):
    class Careful(Redactor):
        __slots__ = ()

        def is_plain(self, args: Any) -> bool:
            return False

    assert clean_args(args, Redactor(["aaaaaaaa"])) == clean_args(args, Careful(["aaaaaaaa"]))


def test_keys_that_are_no_texts_are_refused_in_files():
    with pytest.raises(ScenarioError, match="str keys"):
        line_json({(1, 2): 1})


FIRST_USE = """
import sys
import threading
from typing import Annotated

import msgspec

from goal_drift_gym.core.canonical import prepare_type

sys.setswitchinterval(1e-6)
for number in range(200):
    fields = [(f"f{field}", Annotated[int, msgspec.Meta(ge=0, le=field + 9)], 0) for field in range(12)]
    kind = msgspec.defstruct(f"Kind{number}", [*fields, ("x", dict[str, list[int]], {})])
    prepare_type(kind)
    together = threading.Barrier(8)

    def read() -> None:
        together.wait()
        msgspec.convert({"f11": 3, "x": {"a": [1]}}, kind)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print("whole")
"""


def test_a_prepared_type_may_be_read_first_in_several_threads_at_once():
    done = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True, timeout=120, check=False)

    assert (done.returncode, done.stdout.strip()) == (0, "whole"), done.stderr


@pytest.mark.parametrize("module", ["core.rundir:RunConfig", "core.condition:Condition", "run_end:_Tool"])
def test_types_that_episodes_read_side_by_side_are_prepared_at_import(module):
    name, _, kind = module.partition(":")
    code = f"""
import goal_drift_gym.core.canonical as canonical
prepared = []
canonical.prepare_type = prepared.append
import goal_drift_gym.{name} as module
assert module.{kind} in prepared, prepared
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
