from __future__ import annotations

import json

from goal_drift_gym.report.texts import Texts, laid_out


def test_a_long_text_is_cut_and_says_how_much_is_missing_and_where_it_stands() -> None:
    texts = Texts("line 3 of step_log.jsonl", 10_000, longest=10)

    assert texts.text("0123456789") == "0123456789"
    assert texts.text("0123456789ab") == "0123456789 [... 2 more characters in line 3 of step_log.jsonl]"


def test_texts_share_an_allowance() -> None:
    texts = Texts("here", 8, longest=100)

    assert [texts.text("12345"), texts.text("12345")] == ["12345", "123 [... 2 more characters in here]"]
    assert texts.text("x") == " [... 1 more characters in here]"


def test_escapes_count_as_the_characters_they_take() -> None:
    texts = Texts("here", 1000, longest=100)

    shown = texts.text("\x1b" * 1_000_000)

    assert shown.startswith("\\x1b\\x1b")
    assert len(shown) < 200
    assert shown.endswith(f"[... {1_000_000 - 25} more characters in here]")


def test_what_markup_makes_longer_counts_as_long_as_it_gets() -> None:
    assert Texts("here", 1000, longest=100).text("<" * 50) == f"{'<' * 25} [... 25 more characters in here]"


def test_lists_are_cut_with_a_note() -> None:
    texts = Texts("here", 1000)

    assert texts.some(range(3)) == (range(3), None)
    assert texts.some(range(45)) == (range(40), "5 more in here")


def test_values_are_laid_out_as_the_same_json() -> None:
    value = {"a": [{"b": "x" * 40, "c": 1.5}, {"b": "y" * 40, "c": None}], "d": True}

    assert json.loads(laid_out(value)) == value
    assert laid_out(value).count("\n") == 6


def test_a_value_that_is_nested_too_deeply_is_said_to_be() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]

    assert Texts("here", 1000).value(deep) == "[too deeply nested to show: here]"
