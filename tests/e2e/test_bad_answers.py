"""An invalid token response raises an error and the stored credential stays (NET-6, FAULT-40)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from freshkey import Configuration, Credential, FreshkeyError, Keeper
from freshkey._renewal.reading import stored_credential
from freshkey.errors import ProviderRefused
from freshkey.oauth.lifetimes import MAX_LIFETIME
from freshkey.secret import Secret
from freshkey_testing import AuthorizationServer, ScriptedUser
from freshkey_testing.browser import follow
from promises import proves


GOOD = {"access_token": "canary-new-access", "refresh_token": "canary-new-refresh", "token_type": "Bearer"}


def answer(**changed: object) -> bytes:
    return json.dumps({**GOOD, "expires_in": 3600, **changed}).encode()


def raw_lifetime(literal: str) -> bytes:
    return answer(expires_in="LITERAL").replace(b'"LITERAL"', literal.encode())


BAD = {
    "HTML": b"<!doctype html><title>Sign in to the hotel's network</title>",
    "empty": b"",
    "truncated": answer()[:40],
    "2 MiB": answer(padding="x" * 2 * 1024 * 1024),
    "an array": b'["canary-new-access"]',
    "no tokens": answer(access_token="", refresh_token=""),
    "a refresh token that is no text": answer(refresh_token=["canary"]),
}
GOOD_READINGS = {
    '"3600"': 3600.0,
    "3600": 3600.0,
    "3600.0": 3600.0,
    "3599.5": 3599.5,
    '"3600 "': 3600.0,
    "true": 3600.0,
    "NaN": 3600.0,
    "-1": 3600.0,
    "1e999": MAX_LIFETIME,
    "1" + 40 * "0": MAX_LIFETIME,
}


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with AuthorizationServer() as running:
        yield running


@pytest.fixture
def keeper(server: AuthorizationServer, tmp_path: Path) -> Iterator[Keeper]:
    profile = {**server.settings(), "provider": "claude_oauth", "store": "memory"}
    configuration = Configuration.of({"me": profile}, state_dir=tmp_path / "state", default="me")
    with Keeper(configuration=configuration) as keeper, ScriptedUser(browser=follow) as user:
        keeper.login(interaction=user)
        yield keeper


def stored(keeper: Keeper) -> Credential | None:
    return stored_credential(keeper._open_profile("me").context)


@proves("FAULT-40", "NET-6")
@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_invalid_response_is_refused_and_nothing_is_lost(
    keeper: Keeper, server: AuthorizationServer, body: bytes
) -> None:
    before, held = stored(keeper), keeper.get()
    for _ in range(3):  # the same refresh token is sent at most twice more
        server.next_response(200, body)

    with pytest.raises(FreshkeyError) as caught:
        keeper.refresh()

    assert stored(keeper) == before
    assert keeper.get() == held
    assert caught.value.profile == "me"
    assert "canary" not in str(caught.value)
    server.recover()


@pytest.mark.parametrize(("literal", "seconds"), GOOD_READINGS.items())
def test_unusual_lifetimes_are_accepted(
    keeper: Keeper, server: AuthorizationServer, literal: str, seconds: float
) -> None:
    server.next_response(200, raw_lifetime(literal))
    assert keeper.refresh().lifetime == seconds


@proves("FAULT-42", "NET-6")
@pytest.mark.parametrize("change", [{"access_token": "canary\r\nX-Injected: yes"}, {"token_type": "mac"}], ids=str)
def test_useless_access_token_is_refused_and_its_refresh_token_kept(
    keeper: Keeper, server: AuthorizationServer, change: dict[str, str]
) -> None:
    held = keeper.get()
    server.next_response(200, answer(**change))
    with pytest.raises(ProviderRefused) as caught:
        keeper.refresh()
    assert "canary" not in str(caught.value)
    assert keeper.get() == held
    kept = stored(keeper)
    assert kept is not None
    assert kept.renewal_secret == Secret("canary-new-refresh")


@pytest.mark.parametrize("literal", ["null", None])
def test_missing_lifetime_is_assumed_to_be_short(
    keeper: Keeper, server: AuthorizationServer, literal: str | None
) -> None:
    body = raw_lifetime(literal) if literal else json.dumps(GOOD).encode()
    server.next_response(200, body)
    lifetime = keeper.refresh().lifetime
    assert lifetime is not None
    assert 0 < lifetime <= 3600
