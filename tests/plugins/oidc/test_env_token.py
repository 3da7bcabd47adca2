"""A token that the parent process hands in: read when it is needed, and never shown."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest

import freshkey_oidc
from freshkey._secret_input import file_descriptor
from freshkey.errors import ConfigurationError, LoginRequired
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey.secret import Secret
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.sources import DESCRIPTOR, VARIABLE
from raises_code import raises_code
from scripted_issuer import ISSUER


MakeProfile = Callable[..., Profile]
Acquire = Callable[[Profile, Source], OidcToken]

CANARY = "canary-token-5f1d0c9a7e"


@pytest.fixture
def descriptor(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return a descriptor as inherited from a parent process, with a token to read."""
    monkeypatch.setattr(file_descriptor, "_handed_over", {})
    reading, writing = os.pipe()
    os.write(writing, CANARY.encode())
    os.close(writing)
    os.set_inheritable(reading, True)
    return reading


def test_variable_is_found_without_its_value(make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = make_profile(token_variable="APP_TOKEN")
    monkeypatch.delenv("APP_TOKEN", raising=False)
    assert VARIABLE.detect(profile) is None
    monkeypatch.setenv("APP_TOKEN", CANARY)
    found = VARIABLE.detect(profile)
    assert found is not None
    assert (found.kind, found.origin, found.last_four) == ("token", "environment variable APP_TOKEN", "9a7e")
    assert CANARY not in repr(found)
    assert VARIABLE.detect(make_profile()) is None


def test_token_in_the_variable_is_used_unchanged(
    make_profile: MakeProfile, acquire: Acquire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_TOKEN", f"{CANARY}\n")
    token = acquire(make_profile(token_variable="APP_TOKEN", environment_variable="API_TOKEN"), VARIABLE)
    assert (token.access_token, token.refresh_token) == (Secret(CANARY), None)
    assert (token.lifetime, token.renewable, token.userinfo_endpoint) == (None, False, None)
    assert token.environment() == {"API_TOKEN": CANARY}
    assert CANARY not in repr(token)


def test_endpoint_in_the_settings_says_whose_it_is(
    make_profile: MakeProfile, acquire: Acquire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_TOKEN", CANARY)
    profile = make_profile(token_variable="APP_TOKEN", userinfo_endpoint=f"{ISSUER}/userinfo")
    assert acquire(profile, VARIABLE).userinfo_endpoint == f"{ISSUER}/userinfo"


@pytest.mark.parametrize("settings", [{}, {"token_variable": "APP_TOKEN"}], ids=str)
@pytest.mark.parametrize("value", [None, ""])
def test_variable_without_a_token_is_an_error(
    make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], value: str | None
) -> None:
    monkeypatch.delenv("APP_TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("APP_TOKEN", value)
    with raises_code(LoginRequired, "no-credential-found") as caught:
        freshkey_oidc.acquire(make_profile(**settings), VARIABLE, NonInteractive("test"))
    assert (caught.value.hint or "").startswith(f"Set {settings.get('token_variable', 'token_variable')}")


TOO_LONG = [] if sys.platform == "win32" else ["a" * 70_000]  # no variable of Windows is longer than 32,767 characters


@pytest.mark.parametrize(
    "value", ["two words", f'"{CANARY}"', f"{CANARY}\u00e4", *TOO_LONG], ids=lambda value: value[:4]
)
def test_value_that_is_no_token_is_an_error_that_does_not_quote_it(
    make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("APP_TOKEN", value)
    profile = make_profile(token_variable="APP_TOKEN")
    for act in (VARIABLE.detect, lambda it: freshkey_oidc.acquire(it, VARIABLE, NonInteractive("test"))):
        with raises_code(ConfigurationError, "invalid-secret-input") as caught:
            act(profile)
        assert "APP_TOKEN" in caught.value.message
        assert value not in str(caught.value)


def test_descriptor_is_read_once_and_its_token_stays(
    make_profile: MakeProfile, acquire: Acquire, descriptor: int
) -> None:
    profile = make_profile(token_fd=descriptor)
    found = DESCRIPTOR.detect(profile)
    assert found is not None
    assert (found.origin, found.last_four) == (f"file descriptor {descriptor}", None)
    for _ in range(2):
        assert acquire(profile, DESCRIPTOR).access_token == Secret(CANARY)


@pytest.mark.parametrize("number", [0, -1, 987])
def test_descriptor_that_was_not_inherited_is_an_error(
    make_profile: MakeProfile, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(file_descriptor, "_handed_over", {})
    profile = make_profile(token_fd=number)
    assert DESCRIPTOR.detect(profile) is None
    with raises_code(ConfigurationError, "invalid-secret-input"):
        freshkey_oidc.acquire(profile, DESCRIPTOR, NonInteractive("test"))


def test_descriptor_that_is_not_set_is_an_error(make_profile: MakeProfile) -> None:
    assert DESCRIPTOR.detect(make_profile()) is None
    with raises_code(LoginRequired, "no-credential-found") as caught:
        freshkey_oidc.acquire(make_profile(), DESCRIPTOR, NonInteractive("test"))
    assert caught.value.hint == "Set token_fd"
