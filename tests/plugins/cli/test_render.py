"""Rendering of credentials: never a secret, and no control characters."""

from __future__ import annotations

import pytest

from cli_doubles import REFRESH_TOKEN, TOKEN, FakeKeeper, Run, token
from freshkey.model.description import Inspection, Validity
from freshkey.model.identity import Identity


def test_control_characters_in_account_names_are_not_printed(run: Run, keeper: FakeKeeper) -> None:
    keeper.credential = token(identity=Identity(email="\x1b]0;owned\x07\u202eada"))
    keeper.inspection = Inspection(validity=Validity.VALID, identity=keeper.credential.identity, detail="\x1b[2J")

    for command in (["status"], ["whoami"], ["login"]):
        done = run(*command)
        assert not {"\x1b", "\x07", "\u202e"} & set(done.out + done.err)
        assert "ada" in done.out


@pytest.mark.parametrize("command", ["status", "whoami", "explain", "login", "logout", "refresh"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_output_contains_no_secret(run: Run, command: str, form: list[str]) -> None:
    done = run(command, *form)

    assert done.code == 0
    assert TOKEN not in done.out + done.err
    assert REFRESH_TOKEN not in done.out + done.err
