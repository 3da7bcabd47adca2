"""Text for other programs: names and values that could be misread are refused (TRU-6)."""

from __future__ import annotations

import pytest

from cli_doubles import REFRESH_TOKEN, FakeKeeper, Run, token
from freshkey.secret import Secret


@pytest.mark.parametrize("nasty", ["a\nexport PATH=/x", "a\rb", "a\0b"])
def test_values_with_line_breaks_are_never_printed(run: Run, keeper: FakeKeeper, nasty: str) -> None:
    keeper.credential = token(variables=(("APP_TOKEN", nasty),), access_token=Secret(nasty))

    for command in (["token"], ["export"], ["export", "--format", "headers"]):
        done = run(*command)
        assert (done.code, done.out, done.error_code) == (5, "", "unprintable-credential")


@pytest.mark.parametrize("name", ["A B", "A;touch x", "", "A=B"])
def test_invalid_variable_names_are_refused(run: Run, keeper: FakeKeeper, name: str) -> None:
    keeper.credential = token(variables=((name, "x"),))
    done = run("export")

    assert (done.code, done.out, done.error_code) == (5, "", "unprintable-credential")


@pytest.mark.parametrize("command", [["token"], ["token", "--json"], ["export"], ["export", "--format", "json"]])
def test_refresh_token_is_never_printed(run: Run, command: list[str]) -> None:
    done = run(*command)

    assert done.code == 0
    assert REFRESH_TOKEN not in done.out + done.err
