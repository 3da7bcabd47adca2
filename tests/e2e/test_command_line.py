"""The command line with a real browser, a real authorization server and a real keychain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from counterparts.browser import browser_script
from counterparts.client import PlainClient
from counterparts.oidc import OidcServer
from home import Home


pytestmark = pytest.mark.counterpart


def test_sign_in_with_chromium_use_renew_and_sign_out(home: Home, tmp_path: Path) -> None:
    with OidcServer(access_token_seconds=600) as server:
        home.use(server)

        early = home.freshkey("token")
        assert (early.returncode, early.stdout) == (3, "")
        assert "freshkey login me" in early.stderr

        signed_in = home.freshkey("login", BROWSER=str(browser_script(tmp_path)))
        assert signed_in.returncode == 0, signed_in.stderr
        assert server.count("grant.success", grant_type="authorization_code") == 1

        first = home.freshkey("token").stdout.strip()
        assert PlainClient(server).userinfo(first).status_code == 200
        assert home.freshkey("token").stdout.strip() == first

        status = json.loads(home.freshkey("status", "--json").stdout)
        assert home.store in json.dumps(status)
        explained = home.freshkey("explain")
        assert "oauth" in explained.stdout
        assert first[-8:] not in explained.stdout + json.dumps(status)

        assert home.freshkey("refresh").returncode == 0
        second = home.freshkey("token").stdout.strip()
        assert second != first
        assert server.count("refresh_token.consumed") == 1
        assert server.count("grant.revoked") == 0

        signed_out = home.freshkey("logout")
        assert signed_out.returncode == 0, signed_out.stderr
        assert home.freshkey("token").returncode == 3
        assert PlainClient(server).userinfo(second).status_code == 401


def test_login_without_terminal_and_browser_fails_instead_of_hanging(home: Home) -> None:
    with OidcServer() as server:
        home.use(server)
        ran = home.freshkey("login", BROWSER="", DISPLAY="", WAYLAND_DISPLAY="")
        assert ran.returncode == 3
        assert "Traceback" not in ran.stderr
        assert server.events() == []
