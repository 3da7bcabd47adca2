"""Metadata of an issuer that are wrong or missing for a while cost no sign-in, and no other process waits for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import freshkey_claude_oauth as provider
from freshkey import Keeper
from freshkey._config.configuration import Configuration
from freshkey.errors import LoginRequired, ProviderRefused, TransientError
from freshkey_testing import AuthorizationServer, ScriptedUser
from freshkey_testing.browser import follow
from promises import proves
from raises_code import raises_code


MakeKeeper = Callable[[], Keeper]


@pytest.fixture
def make_keeper(server: AuthorizationServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeKeeper:
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "correct horse battery staple")
    profile = {
        "provider": "claude_oauth",
        "source": "oauth",
        "store": "file",
        "client_id": server.client_id,
        "issuer": server.urls.issuer,
        "allow_insecure_loopback": True,
    }

    def make() -> Keeper:
        return Keeper(
            configuration=Configuration.of({"me": profile}, state_dir=tmp_path / "state"),
            providers={"claude_oauth": provider},
            random=lambda: 0.0,
        )

    with make() as keeper, ScriptedUser(browser=follow) as user:
        keeper.login("me", interaction=user)
    return make


def moved(server: AuthorizationServer) -> str:
    return json.dumps(
        {
            "issuer": server.urls.issuer,
            "authorization_endpoint": server.urls.authorize,
            "token_endpoint": f"{server.urls.issuer}/v2/token",
            "revocation_endpoint": server.urls.revoke,
        }
    )


@proves("ROT-5", "FLO-11")
@pytest.mark.parametrize("first_place", [None, 404])
def test_token_endpoint_that_moves_and_moves_back_costs_no_sign_in(
    server: AuthorizationServer, make_keeper: MakeKeeper, first_place: int | None
) -> None:
    if first_place is not None:
        server.next_response(first_place, "<html>deploying</html>", endpoint="metadata")
    server.next_response(200, moved(server), endpoint="metadata")
    with make_keeper() as keeper:
        with raises_code(LoginRequired, "sign-in-settings-changed") as caught:
            keeper.refresh("me")
        assert str(caught.value.hint).startswith("Restore the profile's previous settings")
    assert server.count("grant.refresh_token") == 0
    with make_keeper() as another:
        another.refresh("me")
    assert server.count("grant.refresh_token") == 1


@proves("FAULT-40", "NET-1")
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "<html>log in</html>"),
        (200, '{"blocked": true}'),
        (403, "<html>blocked</html>"),
        (403, '{"error": "Forbidden", "message": "blocked"}'),
        (404, "<html>"),
        (401, ""),
    ],
)
def test_what_a_network_answers_instead_of_metadata_pauses_no_other_process(
    server: AuthorizationServer, make_keeper: MakeKeeper, status: int, body: str
) -> None:
    for _ in range(8):  # two places, four attempts
        server.next_response(status, body, endpoint="metadata")
    with make_keeper() as keeper:
        with raises_code(TransientError, "metadata-unavailable") as caught:
            keeper.refresh("me")
        assert caught.value.local
        assert "log in" in str(caught.value.hint)
    with make_keeper() as another:
        assert another.status("me").last_error_code is None
        another.refresh("me")


@pytest.mark.parametrize(
    ("changed", "code"),
    [({"issuer": "https://id.example.com"}, "metadata-issuer-mismatch"), ({"token_endpoint": "x"}, "invalid-metadata")],
)
def test_metadata_that_must_not_be_used_is_refused(
    server: AuthorizationServer, make_keeper: MakeKeeper, changed: dict[str, str], code: str
) -> None:
    for _ in range(2):
        server.next_response(200, json.dumps({**json.loads(moved(server)), **changed}), endpoint="metadata")
    with make_keeper() as keeper, raises_code(ProviderRefused, code):
        keeper.refresh("me")


def test_another_token_endpoint_is_not_believed_while_the_first_place_fails(
    server: AuthorizationServer, make_keeper: MakeKeeper
) -> None:
    server.next_response(500, endpoint="metadata")
    server.next_response(200, moved(server), endpoint="metadata")
    with make_keeper() as keeper:
        keeper.refresh("me")
    assert server.count("grant.refresh_token") == 1
