"""A provider that calls a host which it did not describe is refused, in each of its hooks (P7)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, field, frozen

from example_provider import SIGN_IN, description, token
from freshkey import Configuration
from freshkey._http import bound
from freshkey._http import client as http_client
from freshkey._renewal.context import ProfileContext, Runtime, build_context
from freshkey.errors import PluginBroken, ProviderRefused
from freshkey.hooks import hookimpl
from freshkey.model.credential import Credential, OAuthToken
from freshkey.model.description import Description, Inspection, Validity
from freshkey.model.exchange import Request, Response
from freshkey.model.interaction import Interaction, LoggingReporter, NonInteractive, Reporter
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey_testing import ManualClock
from raises_code import raises_code


@frozen(kw_only=True)
class WithUserinfo(OAuthToken):
    """A credential that also has the endpoint which says whose it is."""

    userinfo_endpoint: str = "https://whose.example/me"


class Roaming:
    """Calls a host in each hook."""

    formats: dict[str, type[Credential]] = {"token": OAuthToken, "whose": WithUserinfo}  # noqa: RUF012  never changed

    def __init__(self, host: str) -> None:
        self.host = host

    def call(self, profile: Profile) -> None:
        profile.send(Request(method="GET", url=f"https://{self.host}/"))

    @hookimpl
    def describe(self, profile: Profile | None, credential: Credential | None) -> Description | Inspection:
        if profile is None or credential is None:
            return description(hosts=("api.example",), revoke=lambda at, _: self.call(at), formats=self.formats)
        self.call(profile)
        return Inspection(validity=Validity.VALID)

    @hookimpl
    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
        self.call(profile)
        return token()

    @hookimpl
    def refresh(self, profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
        self.call(profile)
        return evolve(credential)


BOUND = WithUserinfo(
    obtained=token().obtained,
    access_token=token().access_token,
    refresh_token=token().refresh_token,
    token_endpoint="https://tokens.example/token",
    revocation_endpoint="https://end.example/revoke",
)
Act = Callable[[ProfileContext], object]
WITH_CREDENTIAL: dict[str, Act] = {
    "inspect": lambda at: at.hooks.inspect(at.profile, BOUND),
    "refresh": lambda at: at.hooks.refresh(at.profile, BOUND, LoggingReporter()),
    "revoke": lambda at: at.hooks.revoke(at.description, at.profile, BOUND),
}
ACQUIRE: Act = lambda at: at.hooks.acquire(at.profile, SIGN_IN, NonInteractive("me"))  # noqa: E731  as above


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer every request to a host that is allowed."""
    real = http_client.send

    def send(request: Request, *, hosts: frozenset[str], **more: Any) -> Response:
        if request.url.removeprefix("https://").rstrip("/") not in hosts:
            return real(request, hosts=hosts, **more)
        return Response(status=200, headers={})

    monkeypatch.setattr(bound, "send", send)


def opened(provider: object, state_dir: Path) -> ProfileContext:
    configuration = Configuration.of({"me": {"provider": "example"}}, state_dir=state_dir)
    runtime = Runtime(providers={"example": provider}, clock=ManualClock(), random=lambda: 0.0)
    return build_context("me", configuration, runtime)


@pytest.mark.parametrize("act", [ACQUIRE, *WITH_CREDENTIAL.values()], ids=["acquire", *WITH_CREDENTIAL])
def test_another_host_is_not_called(tmp_path: Path, act: Act) -> None:
    with raises_code(ProviderRefused, "host-not-allowed") as caught:
        act(opened(Roaming("elsewhere.example"), tmp_path))
    assert "Description.hosts" in str(caught.value.hint)


@pytest.mark.parametrize("act", [ACQUIRE, *WITH_CREDENTIAL.values()], ids=["acquire", *WITH_CREDENTIAL])
def test_a_described_host_is_called(tmp_path: Path, act: Act) -> None:
    act(opened(Roaming("api.example"), tmp_path))


@pytest.mark.parametrize("act", WITH_CREDENTIAL.values(), ids=WITH_CREDENTIAL)
@pytest.mark.parametrize("host", ["tokens.example", "end.example", "whose.example"])
def test_so_is_an_endpoint_of_the_credential_for_that_credential_alone(tmp_path: Path, act: Act, host: str) -> None:
    at = opened(Roaming(host), tmp_path)
    act(at)
    with raises_code(ProviderRefused, "host-not-allowed"):
        ACQUIRE(at)


@frozen(kw_only=True)
class Odd(OAuthToken):
    """A credential whose author made a mistake."""

    note: str = field(default="")

    @property
    def binding(self) -> dict[str, str]:
        raise KeyError("token_endpoint")


def test_a_mistake_in_the_binding_is_the_providers(tmp_path: Path) -> None:
    provider = Roaming("api.example")
    provider.formats = {"token": OAuthToken, "odd": Odd}
    at = opened(provider, tmp_path)
    odd = Odd(obtained=BOUND.obtained, access_token=BOUND.access_token)
    with raises_code(PluginBroken, "plugin-hook-failed") as caught:
        at.hooks.refresh(at.profile, odd, LoggingReporter())
    assert "observer" not in caught.value.message
