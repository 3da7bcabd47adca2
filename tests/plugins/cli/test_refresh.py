"""refresh: what reaches the keeper."""

from __future__ import annotations

from attrs import evolve

from cli_doubles import FakeKeeper, Run, hidden_sign_in, token


def test_refresh_renews_now(run: Run, keeper: FakeKeeper) -> None:
    done = run("refresh", "me")

    assert keeper.asked == [("refresh", "me")]
    assert done.out.startswith("me: Renewed for ada@example.com\n")


def test_store_of_a_hidden_sign_in_is_not_that_of_what_was_renewed(run: Run, keeper: FakeKeeper) -> None:
    keeper.hidden = evolve(hidden_sign_in(), store="keyring")
    done = run("refresh", "me")
    assert "stored in: keyring" in done.out
    assert "not the Sign-in of ada@example.com" in done.err

    keeper.credential = token(source="env")
    assert "keyring" not in run("refresh", "me").out
