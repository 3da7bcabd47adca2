"""The settings of a profile, each with a default, and checked as a whole when it is built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from attrs import Factory, field, frozen

from freshkey.errors import ConfigurationError
from freshkey.plugin import HELPER_TIMEOUT, Command, checked_url


AUTHORIZE_URL: Final = "https://platform.claude.com/oauth/authorize"
"""Where an account of the Claude Console signs in: what Anthropic's command line ``ant`` uses."""

TOKEN_URL: Final = "https://api.anthropic.com/v1/oauth/token"  # noqa: S105  an address
"""Where ``ant`` and Anthropic's SDKs exchange codes and renew."""

REVOKE_URL: Final = "https://platform.claude.com/v1/oauth/token/revoke"
"""Revocation; Anthropic documents the host, the path is known from clients only."""

PROFILE_URL: Final = "https://api.anthropic.com/api/oauth/profile"
"""Account and plan; undocumented, known from clients."""

BASE_URL: Final = "https://api.anthropic.com"
"""The API, and where identity tokens are exchanged."""

PASTE_URL: Final = "https://platform.claude.com/oauth/code/callback"
"""The page that shows ``code#state`` to copy."""

SCOPES: Final = ("user:profile", "user:inference", "user:developer")
"""What ``ant`` asks for."""

BETA: Final = "oauth-2025-04-20"
"""Announces an OAuth token to the API; ``ant`` and the SDKs send it with API requests and renewals."""

HelperOutput = Literal["api-key", "bearer-token", "oauth-token"]

MAX_WAIT: Final = 86400.0
"""Seconds; a day."""

_ADDRESSES: Final = (
    "issuer",
    "authorize_url",
    "token_url",
    "revoke_url",
    "device_url",
    "profile_url",
    "paste_redirect_url",
    "base_url",
)
_MAX_NAME_LENGTH: Final = 128
_HEADER_NAME: Final = re.compile(r"[0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_RESERVED_HEADERS: Final = frozenset(
    {"authorization", "x-api-key", "cookie", "host", "content-length", "transfer-encoding"}
)


@frozen(kw_only=True)
class ClaudeSettings:
    """The keys of a profile with ``provider = "claude_oauth"``.

    Addresses that are None have a default, unless another address says that they belong to another server:
    `freshkey_claude_oauth.endpoints` decides.

    Attributes:
        client_id: The OAuth client of your application; none is shipped.
        issuer: Issuer identifier of the authorization server; its metadata replace the addresses (RFC 8414).
        authorize_url: Authorization endpoint; `AUTHORIZE_URL` by default.
        token_url: Token endpoint; `TOKEN_URL` by default.
        revoke_url: Revocation endpoint; `REVOKE_URL` by default.
        device_url: Device authorization endpoint; none by default.
        profile_url: Tells account and plan; `PROFILE_URL` by default.
        hosts: Further hosts that may be called, for an issuer whose endpoints are elsewhere.
        scopes: What to ask for.
        authorize_parameters: Further parameters of the authorization request, such as ``workspace_id``.
        flow: ``browser`` (loopback redirect and pasted code side by side) or ``device`` (RFC 8628).
        redirect_host: Host of the loopback redirect; Anthropic registers the name ``localhost``.
        redirect_path: Path of the loopback redirect.
        paste_redirect_url: The page that shows a code to copy; `PASTE_URL` by default.
        beta: Value of the header ``anthropic-beta`` for API requests and renewals; empty for none.
        headers: Further headers of API requests.
        encoding: How token requests are written; None as ``ant`` does (codes as a form, all else as JSON), or as a
            form where there is an issuer.
        api_key_helper: A command that prints a key: program and arguments, no shell. A project's needs trust.
        api_key_helper_ttl: Seconds after which it is run again when the key is needed; the last one is used meanwhile.
        api_key_helper_timeout: Seconds after which it is ended.
        api_key_helper_gives: What it prints: ``api-key``, ``bearer-token`` or ``oauth-token``.
        api_key_fd: Number of an inherited file descriptor with an API key in it.
        oauth_token_fd: Number of an inherited file descriptor with an OAuth token in it.
        anthropic_profile: Name of a profile of Anthropic's own tools to use; a project may choose it.
        federation_rule_id: Federation rule for the machine's identity.
        organization_id: Organization of that rule.
        service_account_id: Service account of that rule.
        workspace_id: Workspace of that rule.
        identity_token_file: Absolute path of the identity token.
        base_url: Where identity tokens are exchanged; ``ANTHROPIC_BASE_URL`` or `BASE_URL` by default.
        allow_insecure_loopback: Accept http on 127.0.0.1, ::1 and localhost; for tests.
    """

    client_id: str | None = None
    issuer: str | None = None
    authorize_url: str | None = None
    token_url: str | None = None
    revoke_url: str | None = None
    device_url: str | None = None
    profile_url: str | None = None
    hosts: tuple[str, ...] = ()
    scopes: tuple[str, ...] = SCOPES
    authorize_parameters: Mapping[str, str] = Factory(dict)
    flow: Literal["browser", "device"] = "browser"
    redirect_host: Literal["localhost", "127.0.0.1", "::1"] = "localhost"
    redirect_path: str = "/callback"
    paste_redirect_url: str | None = None
    beta: str = BETA
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    encoding: Literal["form", "json"] | None = None
    api_key_helper: Command | None = None
    api_key_helper_ttl: float = 300.0
    api_key_helper_timeout: float = HELPER_TIMEOUT
    api_key_helper_gives: HelperOutput = field(default="api-key", metadata={"project": True})
    api_key_fd: int | None = None
    oauth_token_fd: int | None = None
    anthropic_profile: str | None = field(default=None, metadata={"project": True})
    federation_rule_id: str | None = None
    organization_id: str | None = None
    service_account_id: str | None = None
    workspace_id: str | None = None
    identity_token_file: Path | None = None
    base_url: str | None = None
    allow_insecure_loopback: bool = False

    def __attrs_post_init__(self) -> None:
        for name in _ADDRESSES:
            if (url := getattr(self, name)) is not None:
                checked_url(url, allow_insecure_loopback=self.allow_insecure_loopback, setting=name)
        for name, value in self.api_headers.items():
            if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)) or name in _RESERVED_HEADERS:
                message = f"headers: {name!r} cannot be sent along, or its value has characters that no header may have"
                raise ConfigurationError(message)

        for name in ("api_key_helper_ttl", "api_key_helper_timeout"):
            if not 0 < getattr(self, name) <= MAX_WAIT:
                raise ConfigurationError(f"{name} must be between 0 and {MAX_WAIT:g} seconds")
        if self.anthropic_profile is not None:
            checked_profile_name(self.anthropic_profile, "anthropic_profile")
        if self.identity_token_file is not None and not self.identity_token_file.is_absolute():
            raise ConfigurationError("identity_token_file: it must be an absolute path", hint="Begin it with /")

    @property
    def beta_headers(self) -> dict[str, str]:
        """The header that announces an OAuth token, with a lower-case name."""
        return {"anthropic-beta": self.beta} if self.beta else {}

    @property
    def api_headers(self) -> dict[str, str]:
        """What goes along with the bearer token of an API request, with lower-case names."""
        return {**self.beta_headers, **{name.lower(): value for name, value in self.headers.items()}}


def checked_profile_name(name: str, origin: str) -> str:
    """Return a name of a profile if it names a file in the directory and nothing else.

    Args:
        name: The name.
        origin: What said so, for the message.

    Raises:
        ConfigurationError: It does not.
    """
    flaw = None
    if not name or name != name.strip() or len(name) > _MAX_NAME_LENGTH or not name.isprintable():
        flaw = "is empty, too long, or has characters or spaces that no name has"
    elif name.startswith(".") or {"/", "\\", ":"} & set(name):
        flaw = "begins with a dot, or has a character that leads to another directory"
    if flaw:
        raise ConfigurationError(f"{origin}: the name of an Anthropic profile {flaw}", hint="Give the bare name")
    return name
