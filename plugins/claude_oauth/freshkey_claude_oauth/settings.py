"""The settings of a profile; all have defaults, and they are validated on construction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from attrs import Attribute, field, frozen

from freshkey.errors import ConfigurationError
from freshkey.plugin import HELPER_TIMEOUT, Command, Profile, checked_url, host_flaw, is_implausible, quoted


AUTHORIZE_URL: Final = "https://platform.claude.com/oauth/authorize"
"""Where users sign in with a Claude Console account; used by Anthropic's CLI ``ant``."""

TOKEN_URL: Final = "https://api.anthropic.com/v1/oauth/token"  # noqa: S105  a URL, not a token
"""Where ``ant`` and Anthropic's SDKs exchange codes and renew tokens."""

REVOKE_URL: Final = "https://platform.claude.com/v1/oauth/token/revoke"
"""Revocation; Anthropic documents the host, but the path is known only from clients."""

PROFILE_URL: Final = "https://api.anthropic.com/api/oauth/profile"
"""Account and plan; undocumented, known only from clients."""

BASE_URL: Final = "https://api.anthropic.com"
"""The API, and where identity tokens are exchanged."""

PASTE_URL: Final = "https://platform.claude.com/oauth/code/callback"
"""The page that shows ``code#state`` to copy."""

SCOPES: Final = ("user:profile", "user:inference", "user:developer")
"""The scopes that ``ant`` requests."""

BETA: Final = "oauth-2025-04-20"
"""The beta that lets the API accept an OAuth token; ``ant`` and the SDKs send it with API requests and renewals."""

HelperOutput = Literal["api-key", "bearer-token", "oauth-token"]

MAX_WAIT: Final = 86400.0
"""Seconds; one day."""

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
_UNBOUND: Final[Mapping[str, object]] = MappingProxyType({"bound": False})
"""Marks settings with URLs to which no secret of a stored sign-in is sent."""

_MAX_NAME_LENGTH: Final = 128
_HEADER_NAME: Final = re.compile(r"[0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_RESERVED_HEADERS: Final = frozenset(
    {"authorization", "x-api-key", "cookie", "host", "content-length", "transfer-encoding"}
)


def _names_hosts(value: object, attribute: Attribute[tuple[str, ...]], hosts: tuple[str, ...]) -> None:  # noqa: ARG001  attrs
    for host in hosts:
        if flaw := host_flaw(host):
            raise ValueError(flaw)


@frozen(kw_only=True)
class ClaudeSettings:
    """The settings of a profile with ``provider = "claude_oauth"``.

    URLs that are None have a default, unless another URL points to a different server:
    `freshkey_claude_oauth.endpoints` decides.

    Attributes:
        client_id: Client ID of your OAuth application; none is shipped.
        issuer: Issuer identifier of the authorization server; its metadata replaces the URLs (RFC 8414).
        authorize_url: Authorization endpoint; `AUTHORIZE_URL` by default.
        token_url: Token endpoint; `TOKEN_URL` by default.
        revoke_url: Revocation endpoint; `REVOKE_URL` by default.
        device_url: Device authorization endpoint; none by default.
        revoke_replaced: Whether to revoke a sign-in that another one of the same account replaces; False if the server
            would end both.
        profile_url: Returns account and plan; `PROFILE_URL` by default.
        hosts: Additional hosts that may be called, for an issuer whose endpoints are elsewhere.
        scopes: Scopes to request.
        authorize_parameters: Additional parameters of the authorization request, such as ``workspace_id``.
        flow: ``browser`` (loopback redirect or pasted code) or ``device`` (RFC 8628).
        redirect_host: Host of the loopback redirect; Anthropic registers the name ``localhost``.
        redirect_path: Path of the loopback redirect.
        paste_redirect_url: The page that shows a code to copy; `PASTE_URL` by default.
        beta: Value of the header ``anthropic-beta`` for API requests and renewals; empty to send none.
        headers: Additional headers of API requests.
        encoding: Encoding of token requests. None does what ``ant`` does (form for codes, JSON for everything else),
            or uses a form if an issuer is set.
        repeats_for: Seconds for which the server repeats the response to a refresh token that it has already answered;
            0 if it ends the sign-in instead. None if unknown.
        api_key_helper: A command that prints a key: program and arguments, no shell. A project's command must be
            trusted.
        api_key_helper_ttl: Seconds after which the command runs again; the last key is served until it finishes.
        api_key_helper_timeout: Seconds after which the command is killed.
        api_key_helper_gives: What the command prints: ``api-key``, ``bearer-token`` or ``oauth-token``.
        api_key_fd: Number of an inherited file descriptor to read an API key from.
        oauth_token_fd: Number of an inherited file descriptor to read an OAuth token from.
        anthropic_profile: Name of an Anthropic profile (of the CLI and SDKs) to use; a project may set it.
        federation_rule_id: Federation rule for the machine's identity.
        organization_id: Organization of the federation rule.
        service_account_id: Service account of the federation rule.
        workspace_id: Workspace of the federation rule.
        identity_token_file: Absolute path of the identity token.
        base_url: Where identity tokens are exchanged; ``ANTHROPIC_BASE_URL`` or `BASE_URL` by default.
    """

    client_id: str | None = None
    issuer: str | None = None
    authorize_url: str | None = field(default=None, metadata=_UNBOUND)
    token_url: str | None = None
    revoke_url: str | None = None
    device_url: str | None = field(default=None, metadata=_UNBOUND)
    revoke_replaced: bool = True
    profile_url: str | None = None
    hosts: tuple[str, ...] = field(default=(), validator=_names_hosts)
    scopes: tuple[str, ...] = SCOPES
    authorize_parameters: Mapping[str, str] = field(factory=dict, metadata=_UNBOUND)
    flow: Literal["browser", "device"] = "browser"
    redirect_host: Literal["localhost", "127.0.0.1", "::1"] = "localhost"
    redirect_path: str = "/callback"
    paste_redirect_url: str | None = field(default=None, metadata=_UNBOUND)
    beta: str = BETA
    headers: Mapping[str, str] = field(factory=dict, repr=False, metadata=_UNBOUND)
    encoding: Literal["form", "json"] | None = None
    repeats_for: float | None = None
    api_key_helper: Command | None = None
    api_key_helper_ttl: float = 300.0
    api_key_helper_timeout: float = HELPER_TIMEOUT
    api_key_helper_gives: HelperOutput = field(default="api-key", metadata={"project": True})
    api_key_fd: int | None = None
    oauth_token_fd: int | None = None
    anthropic_profile: str | None = field(default=None, metadata={"project": "choice"})
    federation_rule_id: str | None = None
    organization_id: str | None = None
    service_account_id: str | None = None
    workspace_id: str | None = None
    identity_token_file: Path | None = None
    base_url: str | None = field(default=None, metadata=_UNBOUND)

    def __attrs_post_init__(self) -> None:
        for name in _ADDRESSES:
            if (url := getattr(self, name)) is not None:
                checked_url(url, allow_insecure_loopback=True, setting=name)
        for name, value in self.api_headers.items():
            if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)) or name in _RESERVED_HEADERS:
                raise ConfigurationError(
                    f"headers: {quoted(name)} is reserved, or its name or value has characters not allowed in headers",
                    hint="Remove it, or use printable ASCII",
                    code="invalid-setting",
                )

        for name in ("api_key_helper_ttl", "api_key_helper_timeout"):
            if not 0 < getattr(self, name) <= MAX_WAIT:
                raise ConfigurationError(f"{name} must be between 0 and {MAX_WAIT:g} seconds", code="invalid-setting")
        if self.repeats_for is not None and not 0 <= self.repeats_for <= MAX_WAIT:
            raise ConfigurationError(f"repeats_for must be between 0 and {MAX_WAIT:g} seconds", code="invalid-setting")
        if self.anthropic_profile is not None:
            checked_profile_name(self.anthropic_profile, "anthropic_profile")
        if self.identity_token_file is not None and not self.identity_token_file.is_absolute():
            raise ConfigurationError(
                "identity_token_file must be an absolute path", hint="Specify the full path", code="invalid-setting"
            )

    @property
    def beta_headers(self) -> dict[str, str]:
        """The beta header for OAuth tokens, with a lowercase name."""
        return {"anthropic-beta": self.beta} if self.beta else {}

    @property
    def api_headers(self) -> dict[str, str]:
        """The headers of API requests besides the bearer token, with lowercase names."""
        return {**self.beta_headers, **{name.lower(): value for name, value in self.headers.items()}}


def checked_profile_name(name: str, origin: str) -> str:
    """Return the name of an Anthropic profile, if it cannot refer to a file outside the profile directory.

    Args:
        name: The name.
        origin: The setting, variable or file it comes from, for the message.

    Raises:
        ConfigurationError: The name is invalid.
    """
    flaw = None
    if not name or name != name.strip() or len(name) > _MAX_NAME_LENGTH or not name.isprintable():
        flaw = "is empty, too long, surrounded by spaces, or not printable"
    elif name.startswith(".") or {"/", "\\", ":"} & set(name):
        flaw = "starts with a dot or contains a slash, backslash, or colon"
    elif is_implausible(name, _MAX_NAME_LENGTH):
        flaw = "is not plausible, and may be a secret"
    if flaw:
        raise ConfigurationError(
            f"{origin}: the name of the Anthropic profile {flaw}",
            hint="Use a plain file name without an extension, such as default",
            code="claude-invalid-cli-profile",
        )
    return name


def sign_in_setup(profile: Profile) -> str | None:
    """Return what to set before a sign-in is possible, as a hint; None if nothing is missing."""
    if profile.settings_as(ClaudeSettings).client_id:
        return None
    return f'Set client_id = "…" under [profiles.{profile.name}] in config.toml'
