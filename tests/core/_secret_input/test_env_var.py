"""A secret in an environment variable is returned unchanged, or rejected without being quoted."""

from __future__ import annotations

import pytest

from freshkey._secret_input.env_var import environment_secret
from freshkey.errors import ConfigurationError
from freshkey.secret import MAX_TOKEN, Secret, is_token
from raises_code import raises_code


NAME = "EXAMPLE_KEY"
CANARY = "canary-5f1d0c9a7e"


@pytest.mark.parametrize("environ", [{}, {NAME: ""}, {NAME: "\n"}, {"OTHER": CANARY}])
def test_unset_or_empty_variable_has_no_secret(environ: dict[str, str]) -> None:
    assert environment_secret(NAME, environ) is None


@pytest.mark.parametrize("value", [CANARY, CANARY + "\n", CANARY + "\r\n"])
def test_one_newline_at_the_end_is_removed(value: str) -> None:
    assert environment_secret(NAME, {NAME: value}) == Secret(CANARY)


@pytest.mark.parametrize(
    "value",
    [
        f"{CANARY}\nX-Evil: 1",
        f"{CANARY}\n\n",
        f" {CANARY}",
        f"{CANARY} ",
        f"{CANARY}\t",
        f"{CANARY}\x00",
        f"{CANARY}\x7f",
        f"{CANARY}é",
        f"{CANARY}\udc80",
        CANARY + "x" * MAX_TOKEN,
    ],
    ids=range(10),
)
def test_error_about_an_unusable_value_names_the_variable_but_not_the_value(value: str) -> None:  # TRU-6
    with raises_code(ConfigurationError, "invalid-secret-input") as caught:
        environment_secret(NAME, {NAME: value})
    assert NAME in caught.value.message
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("value", "shape"),
    [(f'"{CANARY}"', "quotation marks"), (f"export KEY={CANARY}", "assignment"), (f"{CANARY}\nmore", "more than one")],
)
def test_error_says_what_the_value_looks_like(value: str, shape: str) -> None:
    with raises_code(ConfigurationError, "invalid-secret-input") as caught:
        environment_secret(NAME, {NAME: value})
    assert shape in caught.value.message
    assert CANARY not in str(caught.value)


def test_longest_secret_is_accepted() -> None:
    assert environment_secret(NAME, {NAME: "x" * MAX_TOKEN}) is not None


@pytest.mark.parametrize("text", ["", " ", "a b", "a\t", "a\n", "\x7f", "é", "\udc80"])
def test_text_that_is_not_a_token(text: str) -> None:
    assert not is_token(text)


def test_token_is_visible_ascii_of_limited_length() -> None:
    assert is_token("!~az09._-+/=")
    assert is_token("xx", longest=2)
    assert not is_token("xxx", longest=2)
