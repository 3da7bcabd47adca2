"""A sign-in in the browser whose response is pasted opens no port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs, urlsplit

import pytest

import one_provider
from freshkey import Profile
from freshkey.oauth import OAuthClient, Server, authorize
from freshkey_testing import ScriptedUser
from freshkey_testing.redirects import PastedRedirect


SERVER = Server(
    issuer="https://id.example.com",
    authorization_endpoint="https://id.example.com/authorize",
    token_endpoint="https://id.example.com/token",
)


def redirected(urls: Sequence[str]) -> str:
    (asked,) = {urlsplit(url).query for url in urls if "state=" in url}
    sent = parse_qs(asked)
    return f"{sent['redirect_uri'][0]}?code=a-code&state={sent['state'][0]}"


@pytest.mark.parametrize(("fields", "port"), [({}, 49152), ({"redirect_port": 8123}, 8123)])
def test_no_socket_is_made(
    freshkey_profile: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch, fields: dict[str, int], port: int
) -> None:
    profile = freshkey_profile(one_provider, settings={"region": "here"}, **fields)
    monkeypatch.setattr(socket, "socket", None)
    with ScriptedUser(paste=redirected) as user:
        grant = authorize(profile, OAuthClient.of(profile, SERVER, "me"), user, scopes=("a",))

    assert (grant.code.reveal(), grant.redirect_uri) == ("a-code", f"http://127.0.0.1:{port}/callback")
    assert user.opened == user.started
    assert urlsplit(user.opened[0]).hostname == "id.example.com"


def test_it_waits_until_it_is_given_up() -> None:
    given_up = threading.Event()
    with PastedRedirect(path="/here", host="::1", state="s") as redirect:
        waiting = threading.Thread(target=redirect.wait, args=(given_up,))
        waiting.start()
        assert waiting.is_alive()
        given_up.set()
        waiting.join(10)
        assert not waiting.is_alive()
        assert redirect.redirect_uri == "http://[::1]:49152/here"
        assert (redirect.start_at("https://a"), redirect.start_at(lambda: "https://b")) == ("https://a", "https://b")
