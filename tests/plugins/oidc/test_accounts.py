"""Several accounts of one profile: each has its own sign-in, from the sign-in to the sign-out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import freshkey_oidc
from freshkey import Keeper
from freshkey.errors import LoginRequired, ProviderRefused
from freshkey.model.description import Validity
from freshkey.secret import Secret
from freshkey_testing import ManualClock
from raises_code import raises_code
from scripted_issuer import SUBJECT, ScriptedIssuer


PEOPLE = {"ada": "user-1", "bob": "user-2"}


@pytest.fixture
def make(freshkey_keeper: Callable[..., Keeper], issuer: ScriptedIssuer) -> Callable[..., Keeper]:
    """Return keepers with the profile `work`; arguments are its settings."""

    def run(**settings: Any) -> Keeper:
        table = {"provider": "oidc", **issuer.settings, **settings}
        return freshkey_keeper({"oidc": freshkey_oidc}, profiles={"work": table})

    return run


def become(issuer: ScriptedIssuer, name: str) -> None:
    """Have the issuer answer about somebody."""
    issuer.claims = {"sub": PEOPLE[name]}
    issuer.userinfo = {"sub": PEOPLE[name], "name": name.capitalize(), "email": f"{name}@example.test"}


def login(keeper: Keeper, issuer: ScriptedIssuer, account: str | None, name: str = "ada") -> dict[str, str]:
    """Sign an account in as somebody, and return the parameters of the authorization request."""
    become(issuer, name)
    with issuer.user() as user:
        keeper.login("work", account=account, interaction=user, replace=True)
    return {name: values[0] for name, values in parse_qs(urlsplit(user.opened[-1]).query).items()}


def test_each_account_has_its_own_sign_in(make: Callable[..., Keeper], issuer: ScriptedIssuer) -> None:
    keeper = make()
    login(keeper, issuer, "ada")
    login(keeper, issuer, "bob", "bob")
    assert keeper.get("work", account="ada").token == Secret("access-1")
    assert keeper.get("work", account="bob").token == Secret("access-2")
    assert set(keeper.accounts("work")) == {"ada", "bob"}
    for name, subject in PEOPLE.items():
        status = keeper.status("work", account=name)
        assert status.credential is not None
        assert (status.source, status.sign_in_needed) == ("sign-in", None)
        assert (status.credential.identity.account, status.credential.identity.email) == (
            subject,
            f"{name}@example.test",
        )
    with pytest.raises(LoginRequired):
        keeper.get("work")


@pytest.mark.parametrize(
    ("settings", "account", "hint"),
    [
        ({}, "ada@example.test", "ada@example.test"),
        ({}, None, None),
        ({"login_hint": False}, "ada@example.test", None),
        ({"authorization_parameters": {"login_hint": "grace"}}, "ada", "grace"),
    ],
    ids=str,
)
def test_account_is_the_login_hint(
    make: Callable[..., Keeper],
    issuer: ScriptedIssuer,
    settings: dict[str, Any],
    account: str | None,
    hint: str | None,
) -> None:
    assert login(make(**settings), issuer, account).get("login_hint") == hint


def test_each_account_is_renewed_with_its_own_refresh_token(
    make: Callable[..., Keeper], issuer: ScriptedIssuer, freshkey_clock: ManualClock
) -> None:
    keeper = make()
    login(keeper, issuer, "ada")
    login(keeper, issuer, "bob", "bob")
    issuer.id_token = lambda _: None
    freshkey_clock.advance(3601.0)
    for name, spent in (("bob", "refresh-2"), ("ada", "refresh-1")):
        credential = keeper.get("work", account=name)
        assert credential.token is not None
        number = int(credential.token.reveal().removeprefix("access-"))  # of the request that it came from
        assert issuer.asked[number - 1]["refresh_token"] == [spent]
        assert (credential.identity.account, credential.identity.display_name) == (PEOPLE[name], name.capitalize())


def test_tokens_of_the_other_account_are_not_served(
    make: Callable[..., Keeper], issuer: ScriptedIssuer, freshkey_clock: ManualClock
) -> None:
    keeper = make()
    login(keeper, issuer, "ada")
    become(issuer, "bob")
    freshkey_clock.advance(3601.0)
    with raises_code(ProviderRefused, "another-user"):
        keeper.get("work", account="ada")
    become(issuer, "ada")
    keeper.refresh("work", account="ada")
    assert issuer.asked[-1]["refresh_token"] == ["refresh-2"]  # which was kept
    assert keeper.get("work", account="ada").identity.account == SUBJECT


def test_each_account_is_asked_about_with_its_own_token(make: Callable[..., Keeper], issuer: ScriptedIssuer) -> None:
    keeper = make()
    login(keeper, issuer, "ada")
    login(keeper, issuer, "bob", "bob")
    found = keeper.inspect("work", account="bob")
    assert (found.validity, found.identity and found.identity.email) == (Validity.VALID, "bob@example.test")
    assert issuer.http.requests[-1].headers["Authorization"] == "Bearer access-2"


def test_signing_one_account_out_leaves_the_other(make: Callable[..., Keeper], issuer: ScriptedIssuer) -> None:
    keeper = make()
    login(keeper, issuer, "ada")
    login(keeper, issuer, "bob", "bob")
    assert keeper.logout("work", account="ada").revoked
    assert b"refresh-1" in issuer.http.requests[-1].body
    assert keeper.accounts("work") == ("bob",)
    assert keeper.get("work", account="bob").token == Secret("access-2")
    with pytest.raises(LoginRequired) as caught:
        keeper.get("work", account="ada")
    assert "freshkey login work/ada" in (caught.value.hint or "")


@pytest.mark.parametrize(("settings", "revoked"), [({}, True), ({"revoke_replaced": False}, False)], ids=str)
def test_sign_in_that_is_replaced_is_revoked_unless_the_issuer_would_end_both(
    make: Callable[..., Keeper],
    issuer: ScriptedIssuer,
    settings: dict[str, Any],
    revoked: bool,
) -> None:
    keeper = make(**settings)
    login(keeper, issuer, "ada")
    login(keeper, issuer, "ada")
    ended = [request.body for request in issuer.http.requests if request.url.endswith("/revocation")]
    assert [b"refresh-1" in body for body in ended] == ([True] if revoked else [])
    assert keeper.get("work", account="ada").token == Secret("access-2")


@pytest.mark.parametrize(
    ("name", "value"),
    [("scopes", ["openid", "read"]), ("resource", ["https://a.test"]), ("audience", ["a"])],
    ids=str,
)
def test_sign_in_for_other_apis_is_told_apart(
    make: Callable[..., Keeper], issuer: ScriptedIssuer, name: str, value: list[str]
) -> None:
    login(make(), issuer, "ada")
    with raises_code(LoginRequired, "sign-in-settings-changed") as caught:
        make(**{name: value}).get("work", account="ada")
    assert name in caught.value.message
    assert "freshkey login work/ada" in (caught.value.hint or "")
