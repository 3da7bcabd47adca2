"""Accounts: any text names one, byte by byte, and what is kept for one never meets what is kept for another."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey._files.private import file_name
from freshkey.errors import ConfigurationError, LoginRequired, subject
from freshkey.model.account import MAX_ACCOUNT, checked_account, command_word, split_account
from freshkey.model.profile import Profile
from promises import proves
from raises_code import raises_code


ALIKE = [
    *("ada", "ADA", "Ada", "ada ", " ada", "ada\0", "ada.", "ada/", "/ada", "ada/ada", "../ada", ".", "..", "CON"),
    *(
        "ädä",
        unicodedata.normalize("NFD", "ädä"),
        "\u0430da",
        "\uff41\uff44\uff41",
        "ß",
        "ss",
        "ẞ",
        "İ",
        "i",
        "\u0131",
        "\u200bada",
        "アダ",
    ),
    *("ada+ada", "ada@ada", "ada\\ada", "a" * 256, "a" * 255, "🔑" * 64, "\ufeffada"),
]
"""Texts that file systems, keychains or people may take for each other."""

TEXTS = st.text(min_size=1, max_size=64) | st.sampled_from(ALIKE)


def profile(account: str | None = None, name: str = "mail", **fields: Any) -> Profile:
    return Profile(name=name, provider="example", settings=None, state_dir=Path("/none"), account=account, **fields)


def as_kept(account: str | None, **fields: Any) -> set[str]:
    """Return the names of what is kept, as the least distinguishing store compares them."""
    key = profile(account, **fields).key
    return {unicodedata.normalize("NFKD", name).casefold() for name in (key, file_name(key))}


@proves("STO-13")
def test_texts_that_look_alike_are_kept_apart() -> None:
    kept = [as_kept(account) for account in (None, *ALIKE)]
    for number, names in enumerate(kept):
        assert not any(names & others for others in kept[:number])
    for account in ALIKE:
        name = file_name(profile(account).key)
        assert name == Path(name).name
        assert name.isascii()
        assert len(name) <= 100


@proves("STO-13")
@given(TEXTS, TEXTS)
def test_two_accounts_never_share_a_name(one: str, other: str) -> None:
    assert one == other or not as_kept(one) & as_kept(other)
    assert not as_kept(one) & as_kept(None)


@given(TEXTS)
def test_accounts_of_two_profiles_and_projects_never_share_a_name(account: str) -> None:
    places = [
        as_kept(account),
        as_kept(account, name="mail2"),
        as_kept(account, project_dir=Path("/one")),
        as_kept(account, project_dir=Path("/two")),
    ]
    assert len(set.union(*places)) == sum(map(len, places))


def test_key_of_a_profile_without_an_account_is_what_it_was() -> None:
    assert profile().key == "mail"
    assert re.fullmatch("mail-[0-9a-f]{12}", file_name("mail"))


def test_store_of_others_gets_a_name_that_is_the_key() -> None:
    own = profile("ada")
    theirs = Profile(name=own.key, provider="example", settings=None, state_dir=Path("/none"), account="ada")
    assert theirs.key == own.key


@pytest.mark.parametrize(
    "wrong", ["", "a" * 257, "ä" * 129, "\ud800", "ada\udfff", 5, b"ada", ["ada"]], ids=lambda each: repr(each)[:12]
)
def test_what_is_no_account_is_an_error_that_says_why(wrong: object) -> None:
    with raises_code(ConfigurationError, "invalid-account") as caught:
        checked_account(wrong)
    assert caught.value.hint
    with raises_code(ConfigurationError, "invalid-account"):
        profile(wrong)  # type: ignore[arg-type]


def test_longest_account_is_256_bytes() -> None:
    assert checked_account("ä" * 128) == "ä" * 128
    assert MAX_ACCOUNT == 256


def test_subclass_of_str_cannot_be_another_account_later() -> None:
    class Changing(str):
        __slots__ = ()

        def encode(self, *_: object) -> bytes:
            return b"grace"

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = str.__hash__

    kept = checked_account(Changing("ada"))
    assert type(kept) is str
    assert kept == "ada"
    assert profile(Changing("ada")).key == profile("ada").key


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("mail", ("mail", None)),
        ("mail/ada", ("mail", "ada")),
        ("mail/ada/b", ("mail", "ada/b")),
        ("mail//ada", ("mail", "/ada")),
        ("", ("", None)),
    ],
)
def test_first_slash_separates(text: str, parts: tuple[str, str | None]) -> None:
    assert split_account(text) == parts


@given(TEXTS)
def test_any_account_can_be_written_after_the_slash(account: str) -> None:
    assert split_account(f"mail/{account}") == ("mail", account)


@pytest.mark.parametrize("text", ["mail/", "/ada", "/"])
def test_slash_without_a_profile_or_an_account_is_an_error(text: str) -> None:
    with raises_code(ConfigurationError, "invalid-account"):
        split_account(text)


def test_messages_show_no_character_that_does_something() -> None:
    assert profile("ada").label == subject("mail", "ada") == "mail/ada"
    assert profile("a\x1b[31m\u202eb\n").label == "mail/a\\x1b[31m\\u202eb\\n"
    error = LoginRequired("no one is signed in", profile="mail")
    error.account = "a\nb"
    assert str(error) == "mail/a\\nb: no one is signed in"


def test_commands_are_quoted_for_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert command_word("mail", None) == "mail"
    assert command_word("mail", "ada") == "mail/ada"
    assert command_word("mail", "ada; rm -rf ~") == "'mail/ada; rm -rf ~'"
