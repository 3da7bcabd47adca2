"""Settings have defaults, and are refused as a whole before anything is sent."""

from __future__ import annotations

import attrs
import pytest

from freshkey.errors import ConfigurationError
from freshkey_claude_oauth.settings import ClaudeSettings


CANARY = "canary-5f1d0c9a7e"


def test_every_setting_has_a_default_and_no_client_is_shipped() -> None:
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
def test_each_address_must_be_safe_and_the_error_names_it(name: str) -> None:  # NET-5
    with pytest.raises(ConfigurationError, match=f"^{name}: ") as caught:
        ClaudeSettings(**{name: f"https://user:{CANARY}@a.example/"})  # type: ignore[arg-type]
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


def test_plain_http_needs_the_flag_and_loopback() -> None:
    url = "http://127.0.0.1:8000/token"
    assert ClaudeSettings(token_url=url, allow_insecure_loopback=True).token_url == url
    with pytest.raises(ConfigurationError, match="token_url"):
        ClaudeSettings(token_url=url)
    with pytest.raises(ConfigurationError, match="token_url"):
        ClaudeSettings(token_url="http://a.example/", allow_insecure_loopback=True)


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
def test_headers_that_would_break_or_replace_ours_are_refused(headers: dict[str, str]) -> None:  # TRU-6
    with pytest.raises(ConfigurationError, match="headers") as caught:
        ClaudeSettings(headers=headers)
    assert CANARY not in str(caught.value)


def test_a_beta_that_could_split_a_header_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="anthropic-beta"):
        ClaudeSettings(beta="a\r\nb")


def test_api_headers_are_the_beta_and_the_configured_ones() -> None:
    assert ClaudeSettings().api_headers == {"anthropic-beta": "oauth-2025-04-20"}
    assert ClaudeSettings(beta="").api_headers == {}
    mixed = ClaudeSettings(headers={"Anthropic-Beta": "other", "X-Team": "a"})
    assert mixed.api_headers == {"anthropic-beta": "other", "x-team": "a"}


def test_headers_are_not_shown() -> None:
    assert CANARY not in repr(ClaudeSettings(headers={"X-Team": CANARY}))
