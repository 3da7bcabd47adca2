"""refresh: what reaches the keeper."""

from __future__ import annotations

import pytest
from attrs import evolve

from cli_doubles import FakeKeeper, Run, hidden_sign_in, token
from freshkey.model.source import Source


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


@pytest.mark.parametrize(("owned", "said"), [(True, "Read again"), (False, "Obtained again")])
def test_refresh_says_what_it_has_done_with_what_cannot_be_renewed(
    run: Run, keeper: FakeKeeper, owned: bool, said: str
) -> None:
    keeper.sources = (Source(id="key", title="A key", owned=owned),)
    keeper.credential = token(source="key", refresh_token=None)
    assert run("refresh", "me").out.startswith(f"me: {said} for ada@example.com\n")
