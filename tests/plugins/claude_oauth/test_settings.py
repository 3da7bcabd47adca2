"""Settings have defaults, and are validated together before anything is sent."""

from __future__ import annotations

import attrs
import pytest

from freshkey.errors import ConfigurationError
from freshkey_claude_oauth.settings import ClaudeSettings
from raises_code import raises_code


CANARY = "canary-5f1d0c9a7e"


def test_every_setting_has_a_default_and_no_client_id_is_shipped() -> None:
    assert ClaudeSettings().client_id is None
    assert all(field.default is not attrs.NOTHING for field in attrs.fields(ClaudeSettings))


@pytest.mark.parametrize(
    "name",
    [
        "issuer",
        "authorize_url",
        "token_url",
        "revoke_url",
        "device_url",
        "profile_url",
        "paste_redirect_url",
        "base_url",
    ],
)
def test_unsafe_url_is_an_error_that_names_the_setting(name: str) -> None:  # NET-5
    with raises_code(ConfigurationError, "invalid-url") as caught:
        ClaudeSettings(**{name: f"https://user:{CANARY}@a.example/"})  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"{name}: ")
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


def test_host_with_a_port_is_refused() -> None:
    with pytest.raises(ValueError, match=r"which has a port: write 'a\.example'"):
        ClaudeSettings(hosts=("b.example", "a.example:8443"))


def test_plain_http_is_for_this_machine_alone() -> None:
    url = "http://127.0.0.1:8000/token"  # whether it is permitted is for the core to decide
    assert ClaudeSettings(token_url=url).token_url == url
    with raises_code(ConfigurationError, "invalid-url"):
        ClaudeSettings(token_url="http://a.example/")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {CANARY}"},
        {"X-API-Key": CANARY},
        {"Host": "a.example"},
        {"X-A": f"{CANARY}\r\nX-B: 1"},
        {"X A": "1"},
        {"X-A": ""},
        {"X-A": "é"},
    ],
)
def test_reserved_or_malformed_header_is_refused(headers: dict[str, str]) -> None:  # TRU-6
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        ClaudeSettings(headers=headers)
    assert str(caught.value).startswith("headers: ")
    assert CANARY not in str(caught.value)


def test_beta_with_a_line_break_is_refused() -> None:
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        ClaudeSettings(beta="a\r\nb")
    assert "anthropic-beta" in str(caught.value)


def test_api_headers_are_the_beta_and_the_configured_ones() -> None:
    assert ClaudeSettings().api_headers == {"anthropic-beta": "oauth-2025-04-20"}
    assert ClaudeSettings(beta="").api_headers == {}
    mixed = ClaudeSettings(headers={"Anthropic-Beta": "other", "X-Team": "a"})
    assert mixed.api_headers == {"anthropic-beta": "other", "x-team": "a"}


def test_headers_are_not_shown() -> None:
    assert CANARY not in repr(ClaudeSettings(headers={"X-Team": CANARY}))


@pytest.mark.parametrize("seconds", [-1.0, 86401.0, float("nan"), float("inf")])
def test_time_for_which_a_response_is_repeated_has_limits(seconds: float) -> None:
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        ClaudeSettings(repeats_for=seconds)
    assert str(caught.value).startswith("repeats_for must be between 0 and 86400 seconds")
