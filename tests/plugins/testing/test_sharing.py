"""A provider that keeps an HTTP client for all its users is told that one's cookies go with the next."""

from __future__ import annotations

import pytest

import one_provider
from kit_runs import run


pytest_plugins = ["pytester"]

PROVIDER = """
import httpx
import pytest
from attrs import frozen
from {one_provider} import Description, OAuthToken, Secret, Source, hookimpl
from freshkey_testing import ProviderContract, ScriptedUser
from loopback_server import Exchange, LoopbackServer


@frozen
class Settings:
    url: str = ""


class Kept:
    def __init__(self):
        self.made = httpx.Client()

    def client(self):
        return {client}

    @hookimpl
    def describe(self, profile, credential):
        source = Source(id="sign-in", title="Sign in", owned=True, interactive=True)
        return Description(
            title="Kept", settings=Settings, formats={"token": OAuthToken}, sources=(source,), hosts=("127.0.0.1",)
        )

    @hookimpl
    def acquire(self, profile, source, interaction):
        code = interaction.read_secret("Code: ")
        answer = self.client().post(profile.settings.url, content=code.reveal()).json()
        return OAuthToken(obtained=profile.clock.now(), access_token=Secret(answer["access_token"]))

    @hookimpl
    def refresh(self, profile, credential, reporter):
        pass


class Server(LoopbackServer):
    number = 0

    def serve(self, exchange):
        exchange.body()
        self.number += 1
        exchange.answer(200, b'{"access_token": "kept-token-%d"}' % self.number)


class TestKept(ProviderContract):
    @pytest.fixture
    def provider(self):
        return Kept()

    @pytest.fixture
    def settings(self):
        with Server() as server:
            yield Settings(url=server.url)

    @pytest.fixture
    def users(self):
        return {"sign-in": ScriptedUser(secret="a-made-up-code")}
"""


@pytest.mark.parametrize(("client", "failed"), [("self.made", 1), ("httpx.Client()", 0)])
def test_a_cookie_of_an_earlier_sign_in_is_found(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, client: str, failed: int
) -> None:
    # What it imports must stay loaded from one run to the next.
    source = PROVIDER.replace("{client}", client).replace("{one_provider}", one_provider.__name__)
    result = run(pytester, monkeypatch, source, "-k", "gets_its_own_credential")

    result.assert_outcomes(failed=failed, passed=1 - failed)
    if failed:
        result.stdout.fnmatch_lines(["*sent a cookie that the server set in the first: make an HTTP client for each*"])
