"""A sign-in is bound to every endpoint that sees one of its tokens, the ones of the issuer's metadata included."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

import freshkey_claude_oauth as provider
from catcher import Catcher
from freshkey import Keeper
from freshkey._config.configuration import Configuration
from freshkey.errors import LoginRequired
from freshkey_claude_oauth.settings import ClaudeSettings
from freshkey_testing import AuthorizationServer, ScriptedUser
from freshkey_testing.browser import follow
from promises import proves
from raises_code import raises_code


MakeKeeper = Callable[..., Keeper]

ADDRESSES = ("issuer", "token_url", "revoke_url", "profile_url")


@pytest.fixture
def make_keeper(server: AuthorizationServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeKeeper:
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "correct horse battery staple")

    def make(**settings: Any) -> Keeper:
        table = {"provider": "claude_oauth", "source": "oauth", "store": "file", **settings}
        return Keeper(
            configuration=Configuration.of({"me": table}, state_dir=tmp_path / "state"),
            providers={"claude_oauth": provider},
            random=lambda: 0.0,
        )

    return make


def sign_in(keeper: Keeper) -> None:
    with keeper, ScriptedUser(browser=follow) as user:
        keeper.login("me", interaction=user)


@proves("STO-11")
@pytest.mark.parametrize("setting", ADDRESSES)
def test_endpoint_that_was_changed_gets_no_token(
    server: AuthorizationServer, make_keeper: MakeKeeper, setting: str
) -> None:
    sign_in(make_keeper(**server.settings()))
    with Catcher() as elsewhere, make_keeper(**{**server.settings(), setting: f"{elsewhere.url}/x"}) as changed:
        for ask in (changed.get, changed.refresh, changed.inspect):
            with raises_code(LoginRequired, "sign-in-settings-changed"):
                ask("me")
        ended = changed.logout("me")
    assert (ended.revoked, elsewhere.caught) == (False, [])
    assert "not revoked at the provider" in ended.detail
    assert server.count("grant.refresh_token") == 0


@proves("STO-11")
def test_revocation_endpoint_that_metadata_moved_gets_no_token(
    server: AuthorizationServer, make_keeper: MakeKeeper
) -> None:
    settings = {"client_id": server.client_id, "issuer": server.urls.issuer, "allow_insecure_loopback": True}
    sign_in(make_keeper(**settings))
    with Catcher() as elsewhere, make_keeper(**settings) as keeper:
        keeper.refresh("me")
        moved = {
            "issuer": server.urls.issuer,
            "authorization_endpoint": server.urls.authorize,
            "token_endpoint": server.urls.token,
            "revocation_endpoint": f"{elsewhere.url}/revoke",
        }
        server.next_response(200, json.dumps(moved), endpoint="metadata")
        ended = keeper.logout("me")
    assert (ended.revoked, elsewhere.caught) == (False, [])
    assert "different revocation endpoint" in ended.detail


def test_revocation_endpoint_of_the_metadata_is_used_if_it_is_the_same(
    server: AuthorizationServer, make_keeper: MakeKeeper
) -> None:
    settings = {"client_id": server.client_id, "issuer": server.urls.issuer, "allow_insecure_loopback": True}
    sign_in(make_keeper(**settings))
    with make_keeper(**settings) as keeper:
        keeper.refresh("me")
        assert keeper.logout("me").revoked is True


def test_settings_that_see_no_stored_secret_may_change(server: AuthorizationServer, make_keeper: MakeKeeper) -> None:
    sign_in(make_keeper(**server.settings()))
    harmless = {
        "authorize_url": "https://elsewhere.example/authorize",
        "device_url": None,
        "paste_redirect_url": "https://elsewhere.example/paste",
        "base_url": "https://elsewhere.example",
        "headers": {"x-page": "https://elsewhere.example"},
        "authorize_parameters": {"resource": "https://elsewhere.example"},
    }
    chosen = {**server.settings(), **harmless}
    with make_keeper(**{name: value for name, value in chosen.items() if value is not None}) as keeper:
        keeper.refresh("me")
        assert keeper.logout("me").revoked is True


def test_every_exception_is_one_of_those() -> None:
    unbound = {each.name for each in attrs.fields(ClaudeSettings) if each.metadata.get("bound") is False}
    assert unbound == {
        *("authorize_url", "device_url", "paste_redirect_url", "base_url", "headers", "authorize_parameters")
    }
