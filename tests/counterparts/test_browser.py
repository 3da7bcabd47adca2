"""A real browser signs in at a real authorization server, up to the loopback redirect, without freshkey."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from counterparts.browser import browser_script, sign_in
from counterparts.client import PlainClient
from counterparts.django_oauth import DjangoServer
from counterparts.loopback import RedirectListener
from counterparts.oidc import OidcServer


pytestmark = pytest.mark.counterpart

OPEN = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"


@pytest.fixture
def client() -> Iterator[PlainClient]:
    with OidcServer() as server:
        yield PlainClient(server)


def test_chromium_signs_in_and_ends_on_the_page_of_the_listener(client: PlainClient) -> None:
    with RedirectListener() as listener:
        ended_on = sign_in(client.authorization_url(listener.redirect_uri))
        query = listener.wait()
    assert "You can close this page" in ended_on
    assert query["state"] == "a-state"
    assert client.exchange(query["code"], listener.redirect_uri).json()["token_type"] == "Bearer"


def test_chromium_signs_in_on_the_pages_of_django() -> None:
    with DjangoServer() as server, RedirectListener() as listener:
        client = PlainClient(server, scope="openid read")
        ended_on = sign_in(client.authorization_url(listener.redirect_uri))
        query = listener.wait()
        assert "You can close this page" in ended_on
        assert client.exchange(query["code"], listener.redirect_uri).is_success


@pytest.mark.parametrize("command", ["{script}", "{script} %s &"], ids=["waits", "returns at once"])
def test_webbrowser_opens_a_browser_that_signs_in(client: PlainClient, tmp_path: Path, command: str) -> None:
    script = browser_script(tmp_path)
    with RedirectListener() as listener:
        subprocess.run(
            [sys.executable, "-c", OPEN, client.authorization_url(listener.redirect_uri)],
            env={**os.environ, "BROWSER": command.format(script=script)},
            check=True,
            timeout=60,
        )
        assert client.exchange(listener.wait(60)["code"], listener.redirect_uri).is_success
