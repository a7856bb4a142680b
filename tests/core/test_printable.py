from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from goal_drift_gym.core.printable import printable

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def test_letters_of_any_language_stay_as_they_are() -> None:
    assert printable("Grüße, 你好, שלום 🙂") == "Grüße, 你好, שלום 🙂"


def test_what_moves_a_cursor_or_turns_text_round_is_escaped() -> None:
    assert printable("\x1b[2J\r\x9b\u202eabc\u2066\ud800") == "\\x1b[2J\\r\\x9b\\u202eabc\\u2066\\ud800"


def test_line_ends_stay_where_they_are_asked_to() -> None:
    assert printable("a\nb\tc\r", keep="\n\t") == "a\nb\tc\\r"


def test_what_is_no_text_is_shown_as_text() -> None:
    assert printable(None) == "None"


@given(ANY_TEXT)
def test_nothing_that_is_not_seen_is_left(text: str) -> None:
    shown = printable(text)

    assert not any(unicodedata.category(character)[0] == "C" for character in shown)
    shown.encode("utf-8")
