"""Settings that change after a sign-in: nobody becomes somebody else, and no secret goes where none should go now."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

import freshkey_oidc
from freshkey import Keeper
from freshkey.errors import LoginRequired
from freshkey_testing import ManualClock
from promises import proves
from raises_code import raises_code
from scripted_issuer import ISSUER, ScriptedIssuer


MakeKeeper = Callable[..., Keeper]
OTHER = "https://tokens.example.net"


@pytest.fixture
def at(freshkey_keeper: MakeKeeper, issuer: ScriptedIssuer, monkeypatch: pytest.MonkeyPatch) -> MakeKeeper:
    """Return keepers of one profile, which share a store; arguments are its settings."""
    monkeypatch.setenv("APP_SECRET", "a-client-secret")
    issuer.http.on("GET", f"{ISSUER}/.well-known/openid-configuration", status=404)
    table = {"provider": "oidc", **issuer.settings, "client_secret_variable": "APP_SECRET", "scopes": ["openid"]}
    return lambda **more: freshkey_keeper({"oidc": freshkey_oidc}, {"work": {**table, **more}})


def login(keeper: Keeper, issuer: ScriptedIssuer) -> None:
    with keeper, issuer.user() as user:  # a keeper that stays open renews as time passes
        keeper.login("work", interaction=user, replace=True)


def test_person_does_not_become_the_application(at: MakeKeeper, issuer: ScriptedIssuer) -> None:
    login(at(), issuer)
    changed = at(flow="client-credentials")
    with raises_code(LoginRequired, "sign-in-settings-changed") as caught:
        changed.get("work")
    assert (caught.value.hint or "").endswith("freshkey logout work")
    assert at().get("work").headers() == {"Authorization": "Bearer access-1"}, "it works again once all is as it was"
    assert changed.logout("work").revoked is True
    assert changed.get("work").source == "client-credentials"


def test_application_does_not_become_a_person(
    at: MakeKeeper, issuer: ScriptedIssuer, freshkey_clock: ManualClock
) -> None:
    with at(flow="client-credentials") as keeper:
        assert keeper.get("work").source == "client-credentials"
    for _ in range(2):
        with raises_code(LoginRequired, "no-credential-found"):
            at().get("work")
        freshkey_clock.advance(3601)
    login(at(), issuer)
    assert at().get("work").source == "sign-in"
    assert [form["grant_type"][0] for form in issuer.asked] == ["client_credentials", "authorization_code"]


@proves("STO-11")
@pytest.mark.parametrize("endpoint", ["token", "revocation", "userinfo"])
def test_host_that_is_no_longer_named_gets_nothing(
    at: MakeKeeper, issuer: ScriptedIssuer, freshkey_clock: ManualClock, endpoint: str
) -> None:
    tokens = {"access_token": "access-7", "refresh_token": "refresh-7", "token_type": "Bearer", "expires_in": 3600}
    answer = {"sub": "user-1"} if endpoint == "userinfo" else tokens
    issuer.http.on("GET" if endpoint == "userinfo" else "POST", f"{OTHER}/{endpoint}", json=answer)
    issuer.metadata[f"{endpoint}_endpoint"] = f"{OTHER}/{endpoint}"
    named = {"hosts": ["tokens.example.net"], "account_claim": "sub"}
    login(at(**named), issuer)
    sent = len(issuer.http.requests)
    freshkey_clock.advance(3601)
    changed = at(account_claim="sub")
    for ask in (changed.get, changed.inspect):
        with raises_code(LoginRequired, "sign-in-settings-changed") as caught:
            ask("work")
        assert "tokens.example.net" in caught.value.message
    assert [f"{each.method} {each.url} {each.body[:60]!r}" for each in issuer.http.requests[sent:]] == []
    with at(**named) as keeper:
        assert keeper.refresh("work").source == "sign-in", "it works again once all is as it was"
    assert changed.logout("work").revoked is False
    assert not [each for each in issuer.http.requests if urlsplit(each.url).path == "/revocation"]
