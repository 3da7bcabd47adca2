"""Text of others has only visible characters, on one line, and is limited in length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey._text.visible import MAX_NAME, escaped, is_invisible, visible
from promises import proves


HIDDEN = {
    "control": "\x00\x07\r\n\t\x7f",
    "C1": "\x9b\x85",
    "ANSI": "\x1b[2J",
    "bidirectional": "\u202e\u2066\u2069\u200f\u061c",
    "zero width": "\u200b\u200c\u200d\ufeff\u2060",
    "soft hyphen": "\u00ad",
    "Braille blank": "\u2800",
    "Hangul fillers": "\u3164\uffa0\u115f\u1160",
    "variation selectors": "\ufe0f\U000e0100\u180b",
    "tags": "\U000e0061\U000e007f",
    "joiner": "\u034f",
    "private use": "\ue000\U000f0000",
    "unassigned": "\u0378\U000e0fff",
    "surrogates": "\ud800\udfff",
    "separators": "\u2028\u2029",
}


@proves("LEK-9")
@pytest.mark.parametrize("kind", HIDDEN)
def test_what_cannot_be_seen_is_replaced_or_escaped(kind: str) -> None:
    hidden = HIDDEN[kind]
    shown = visible(f"a{hidden}b")
    assert shown[0] == "a"
    assert shown[-1] == "b"
    assert not any(map(is_invisible, shown))
    assert "\ufffd" in shown
    assert all(f"{ord(each):x}" in escaped(f"a{hidden}b") for each in hidden if is_invisible(each))
    assert not any(map(is_invisible, escaped(hidden)))


@proves("LEK-9")
def test_a_pile_of_combining_characters_is_cut_off() -> None:
    assert visible("Z" + "\u0301" * 200 + "oe") == "Z" + "\u0301" * 3 + "\ufffdoe"
    assert visible("Vie\u0302\u0323t, שָׁלוֹם") == "Vie\u0302\u0323t, שָׁלוֹם"


@proves("LEK-9")
def test_length_is_limited() -> None:
    assert visible("x" * 3200, 100) == "x" * 99 + "…"
    assert visible("\u2800" * 3200) == "\ufffd"
    assert len(escaped("\u200b" * 3200, MAX_NAME)) == MAX_NAME


def test_two_texts_that_differ_in_what_cannot_be_seen_differ_when_escaped() -> None:
    assert escaped("ada@example.com") == "ada@example.com"
    assert len({escaped(text) for text in ("ada", "ada\u200b", "ada\u200c", "ad\u00ada", "ada\u00a0")}) == 5


@given(st.text(max_size=300))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    for clean in (visible, escaped):
        assert clean(clean(text, MAX_NAME), MAX_NAME) == clean(text, MAX_NAME)


def test_methods_of_a_plugin_s_string_are_not_called() -> None:
    class Odd(str):
        __slots__ = ()

        def isprintable(self) -> bool:
            return True

        def isascii(self) -> bool:
            return True

    assert visible(Odd("a\x1b[2J")) == "a\ufffd[2J"
