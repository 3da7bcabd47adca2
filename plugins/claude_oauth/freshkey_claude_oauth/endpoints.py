"""Derives URLs and hosts from the settings, without any I/O.

Anthropic's URLs are defaults only for each other: tokens from another server are sent only to that server.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from freshkey.errors import ConfigurationError
from freshkey.plugin import Profile, checked_url
from freshkey_claude_oauth import settings as defaults
from freshkey_claude_oauth.settings import ClaudeSettings


def profile_url(settings: ClaudeSettings) -> str | None:
    """Return the profile endpoint; Anthropic's only for tokens issued by Anthropic."""
    return settings.profile_url or (defaults.PROFILE_URL if _vendor_tokens(settings) else None)


def revoke_url(settings: ClaudeSettings) -> str | None:
    """Return the revocation endpoint; Anthropic's only for tokens issued by Anthropic."""
    return settings.revoke_url or (defaults.REVOKE_URL if _vendor_tokens(settings) else None)


def token_url(settings: ClaudeSettings) -> str | None:
    """Return the token endpoint; None if it comes from the issuer's metadata."""
    return settings.token_url or (None if settings.issuer else defaults.TOKEN_URL)


def paste_redirect_url(settings: ClaudeSettings) -> str | None:
    """Return the page that shows a code to copy; Anthropic's only for a sign-in at Anthropic."""
    vendor = settings.issuer is None and settings.authorize_url in {None, defaults.AUTHORIZE_URL}
    return settings.paste_redirect_url or (defaults.PASTE_URL if vendor else None)


def _vendor_tokens(settings: ClaudeSettings) -> bool:
    return settings.issuer is None and settings.token_url in {None, defaults.TOKEN_URL}


def hosts(settings: ClaudeSettings) -> tuple[str, ...]:
    """Return the hosts that the provider may call, sorted."""
    called = (settings.issuer, token_url(settings), revoke_url(settings), settings.device_url, profile_url(settings))
    named = {urlsplit(url).hostname for url in called if url}
    return tuple(sorted({*settings.hosts, *(host for host in named if host)}))


def binding(settings: ClaudeSettings) -> dict[str, str]:
    """Return what a stored sign-in must match, as far as the settings say without any I/O."""
    known = {"issuer": settings.issuer, "token_endpoint": token_url(settings), "client_id": settings.client_id}
    return {name: value for name, value in known.items() if value is not None}


def api_token_endpoint(base_url: str, *, what: str, insecure: bool = False) -> str:
    """Return the token endpoint of an API, at the path used by Anthropic's Python SDK 2.13.0 (``_constants.py``).

    Args:
        base_url: Base URL of the API.
        what: Name of the setting or variable that holds the URL, for the message.
        insecure: Accept http on 127.0.0.1, ::1 and localhost.

    Raises:
        ConfigurationError: Secrets must not be sent to this URL.
    """
    try:
        if "?" not in base_url:
            return checked_url(base_url.rstrip("/") + "/v1/oauth/token", allow_insecure_loopback=insecure)
    except ConfigurationError as error:
        flaw = error.message
    else:
        flaw = "a URL that secrets are sent to must not have a query"
    raise ConfigurationError(f"{what}: {flaw}", hint="Use the form https://host", code="invalid-url")


def at_endpoint(profile: Profile, endpoint: str) -> Profile:
    """Return the profile with a `send` for an endpoint that `api_token_endpoint` checked, wherever it is.

    It comes from a file of Anthropic's tools or from a variable, so the description does not have its host.
    """
    return profile.with_hosts([urlsplit(endpoint).hostname or ""])
