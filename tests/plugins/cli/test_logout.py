"""logout: how the result is printed."""

from __future__ import annotations

from cli_doubles import FakeKeeper, Run
from freshkey.events import SignedOut


def test_logout_shows_whether_the_credential_was_revoked(run: Run, keeper: FakeKeeper) -> None:
    assert run("logout").out == "me: Revoked and deleted\n"

    keeper.signed_out = SignedOut(profile="me", revoked=False, detail="Deleted here, but not revoked: no answer")
    done = run("logout", "--json")
    assert done.code == 0
    assert done.json == {"profile": "me", "revoked": False, "detail": "Deleted here, but not revoked: no answer"}
