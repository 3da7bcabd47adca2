"""Anthropic's URLs are defaults only for each other, and never for another server's tokens."""

from __future__ import annotations

from freshkey_claude_oauth import endpoints, settings
from freshkey_claude_oauth.settings import ClaudeSettings


ELSEWHERE = "https://auth.example.com"


def test_all_defaults_are_anthropics() -> None:
    chosen = ClaudeSettings(client_id="mine")
    assert endpoints.token_url(chosen) == settings.TOKEN_URL
    assert endpoints.revoke_url(chosen) == settings.REVOKE_URL
    assert endpoints.profile_url(chosen) == settings.PROFILE_URL
    assert endpoints.paste_redirect_url(chosen) == settings.PASTE_URL
    assert endpoints.hosts(chosen) == ("api.anthropic.com", "platform.claude.com")
    assert endpoints.binding(chosen) == {"token_endpoint": settings.TOKEN_URL, "client_id": "mine"}


def test_no_default_points_at_claude_ai() -> None:
    defaults = (settings.AUTHORIZE_URL, settings.TOKEN_URL, settings.REVOKE_URL, settings.PROFILE_URL)
    assert not any("claude.ai" in url for url in (*defaults, settings.PASTE_URL))


def test_tokens_of_another_server_are_never_sent_to_anthropic() -> None:
    for chosen in (ClaudeSettings(token_url=f"{ELSEWHERE}/token"), ClaudeSettings(issuer=ELSEWHERE)):
        assert endpoints.profile_url(chosen) is None
        assert endpoints.revoke_url(chosen) is None
        assert endpoints.hosts(chosen) == ("auth.example.com",)


def test_sign_in_at_another_server_does_not_use_anthropics_paste_page() -> None:
    assert endpoints.paste_redirect_url(ClaudeSettings(authorize_url=f"{ELSEWHERE}/authorize")) is None
    assert endpoints.paste_redirect_url(ClaudeSettings(issuer=ELSEWHERE)) is None
    page = f"{ELSEWHERE}/code"
    assert endpoints.paste_redirect_url(ClaudeSettings(issuer=ELSEWHERE, paste_redirect_url=page)) == page


def test_with_an_issuer_the_token_endpoint_comes_from_metadata_unless_set() -> None:
    assert endpoints.token_url(ClaudeSettings(issuer=ELSEWHERE)) is None
    assert endpoints.binding(ClaudeSettings(issuer=ELSEWHERE, client_id="mine")) == {
        "issuer": ELSEWHERE,
        "client_id": "mine",
    }
    both = ClaudeSettings(issuer=ELSEWHERE, token_url="https://token.example.com/x", hosts=("more.example.com",))
    assert endpoints.hosts(both) == ("auth.example.com", "more.example.com", "token.example.com")
