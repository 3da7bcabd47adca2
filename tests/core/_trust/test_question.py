"""The trust question fits a screen, shows every character, and ends with the program's name."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path

import pytest
from attrs import evolve

from freshkey._commands.command import Command
from freshkey._text.visible import spelled_out
from freshkey._trust.entries import Entry
from freshkey._trust.question import COLUMNS, ROWS, UNCHECKED, demands, question, rows, shown, width
from freshkey.errors import TrustNeeded
from raises_code import raises_code


PROJECT = Path("/home/ada/project")
QUOTE = '"' if sys.platform == "win32" else "'"


def entry(*argv: str, **more: Command) -> Entry:
    helper = Command(argv=argv or ("/usr/bin/get-key",), directory=PROJECT)
    return Entry(file=PROJECT / ".freshkey.toml", profile="ci", digest="", commands={"helper": helper, **more})


UNSEEN = {
    "braille blank": "\u2800",
    "Hangul filler": "\u3164",
    "Hangul choseong filler": "\u115f",
    "halfwidth Hangul filler": "\uffa0",
    "ideographic space": "\u3000",
    "no-break space": "\xa0",
    "soft hyphen": "\xad",
    "zero width space": "\u200b",
    "zero width joiner": "\u200d",
    "word joiner": "\u2060",
    "byte order mark": "\ufeff",
    "right-to-left override": "\u202e",
    "right-to-left isolate": "\u2067",
    "Hebrew letter": "\u05d0",
    "Arabic digit": "\u0661",
    "variation selector": "\ufe0f",
    "variation selector supplement": "\U000e0100",
    "tag": "\U000e0041",
    "combining acute": "\u0301",
    "combining grapheme joiner": "\u034f",
    "escape": "\x1b",
    "C1 control": "\x9b",
    "tab": "\t",
    "newline": "\n",
    "carriage return": "\r",
    "delete": "\x7f",
    "line separator": "\u2028",
    "private use": "\ue000",
    "unassigned": "\u0378",
    "object replacement": "\ufffc",
    "musical null": "\U0001d159",
    "Khmer inherent vowel": "\u17b4",
    "Mongolian vowel separator": "\u180e",
    "division slash": "\u2215",
    "fraction slash": "\u2044",
    "fullwidth slash": "\uff0f",
    "Cyrillic a": "\u0430",
    "Greek omicron": "\u03bf",
    "fullwidth letter": "\uff41",
    "mathematical letter": "\U0001d41a",
    "dotless i": "\u0131",
    "click letter": "\u01c3",
    "Latin alpha": "\u0251",
    "emoji": "\U0001f600",
    "surrogate": "\udc80",
}


@pytest.mark.parametrize("character", UNSEEN.values(), ids=UNSEEN)
def test_character_that_is_not_plainly_visible_is_shown_as_its_code(character: str) -> None:  # TRU-12
    assert spelled_out(f"a{character}b") == f"a\\u{{{ord(character):x}}}b"
    asked = question(entry("/usr/bin/get-key", f"--for={character}"))
    assert character not in asked
    assert f"\\u{{{ord(character):x}}}" in asked


@pytest.mark.parametrize("text", ["", "--for 'all of us' > $HOME/x; ~`%\\", "/home/müller/Łódź", "日本語かなカナ한글"])
def test_plainly_visible_text_is_shown_as_it_is(text: str) -> None:
    assert spelled_out(text) == text


def test_no_character_is_dropped_or_moves_another() -> None:
    for code in (*range(0x10000), *range(0x10000, 0x110000, 97)):
        told = spelled_out(chr(code))
        assert told == chr(code) or told == f"\\u{{{code:x}}}"
        assert all(unicodedata.bidirectional(one) not in {"R", "AL", "AN", "RLO", "LRO"} for one in told)
        assert not any(unicodedata.combining(one) for one in told)


FLOODS = {
    "blank": ("/bin/sh", "-c", "rm -rf ~; " + "\u2800" * 3200 + "harmless"),
    "letters": ("/bin/sh", "-c", "a" * 3200),
    "wide": ("/bin/sh", "-c", "界" * 900),
    "many arguments": ("/bin/sh", *["x"] * 1000),
    "megabyte": ("/bin/sh", "-c", "x" * 1_000_000),
    "spaces": ("/bin/sh", "-c", " " * 3200),
    "long program": ("/" + "x" * 3200,),
}


@pytest.mark.parametrize("argv", FLOODS.values(), ids=FLOODS)
def test_what_does_not_fit_a_screen_is_not_asked(argv: tuple[str, ...]) -> None:  # TRU-12
    with raises_code(TrustNeeded, "trust-question-too-long") as caught:
        question(entry(*argv))
    assert caught.value.profile == "ci"
    assert "freshkey trust --yes" in str(caught.value.hint)
    assert rows(str(caught.value).splitlines()) <= ROWS


def test_long_path_many_commands_and_many_files_do_not_fit_either() -> None:
    helper = Command(argv=("/bin/true", "x" * 60), directory=PROJECT)
    many = {f"helper{number}": helper for number in range(40)}
    files = {PROJECT / f"file{number}": "" for number in range(150)}
    for one in (
        evolve(entry(), file=Path("/" + "x/" * 2000 + ".freshkey.toml")),
        entry(**many),
        entry(one=Command(argv=("/bin/true",), directory=PROJECT, pins=files)),
    ):
        with raises_code(TrustNeeded, "trust-question-too-long"):
            question(one)


def test_question_fits_a_screen_and_ends_with_the_names_of_the_programs() -> None:  # TRU-12
    short = question(entry("/usr/bin/get-key", "--for", "all of us"))
    assert short.endswith("run get-key?")
    assert f"/usr/bin/get-key --for {QUOTE}all of us{QUOTE}" in short
    other = Command(argv=("/opt/bin/sign-in",), directory=PROJECT)
    assert question(entry(login=other)).endswith("run get-key, sign-in?")
    assert question(entry("/bin/sh", "-c", "x" * 1300)).endswith("run sh?")
    assert len(short.splitlines()) == 1


def test_question_about_commands_says_what_is_not_checked() -> None:
    """TRU-12: what a program loads or runs by itself cannot be compared; without a command, nothing runs."""
    assert UNCHECKED == "Anything that programs load or run is not checked."
    assert f" {UNCHECKED} " in question(entry())
    assert UNCHECKED not in question(evolve(entry(), commands={}, choices={"aws_profile": "work"}))


def test_choices_are_shown_with_their_values() -> None:
    chosen = Entry(file=PROJECT, profile="ci", digest="", choices={"aws_profile": "prod\u200b root"}, selected=True)
    assert list(demands(chosen)) == [
        ("selected", "when you name no profile"),
        ("aws_profile", rf"{QUOTE}prod\u{{200b}} root{QUOTE}"),
    ]
    asked = question(chosen, "it changed\x1b")
    assert r"Note: it changed\u{1b}." in asked
    assert asked.endswith(r"use prod\u{200b} root, ci?")


def test_files_that_are_compared_are_shown() -> None:
    pins = {PROJECT / "a\u202eb": ""}
    assert shown(Command(argv=("x",), directory=PROJECT, pins=pins)) == rf"x (files: {PROJECT}{os.sep}a\u{{202e}}b)"


def test_rows_count_wide_characters_twice() -> None:
    assert (width("ab"), width("界a"), width("é")) == (2, 3, 1)
    assert [rows([one]) for one in ("", "x" * COLUMNS, "x" * (COLUMNS + 1), "界" * 41)] == [1, 1, 2, 2]
