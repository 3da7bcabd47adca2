"""The settings of a profile; all have defaults, and they are validated on construction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from attrs import Attribute, field, frozen

from freshkey.errors import ConfigurationError
from freshkey.plugin import Secret, checked_url, host_flaw


Authentication = Literal["none", "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"]
"""How a client authenticates (OpenID Connect Core 1.0, section 9)."""

SIGN_IN_SCOPES: Final = ("openid", "offline_access")
"""The scopes of a sign-in (OpenID Connect Core 1.0, sections 3.1.2.1 and 11): an ID token and a refresh token."""

_ENDPOINTS: Final = ("authorization", "device_authorization", "revocation", "userinfo")
OPTIONAL: Final = (*(f"{name}_endpoint" for name in _ENDPOINTS), "jwks_uri")
"""The endpoints that an issuer need not have, and that a setting of the same name replaces."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_LOADS_CODE: Final = re.compile(
    r"(.*_)?(ASKPASS|BROWSER|COMMAND|DIR|EDITOR|ENV|HOME|OPTIONS|OPTS|PAGER|PATH|PROXY|SHELL|SSH)"
    r"|(LD|DYLD)_.*|(PERL|PYTHON|RUBY)[A-Z0-9]+|IFS|PS4"
)
"""Variables that decide which code or settings programs use: an issuer chooses the text of its tokens."""
_PROTOCOL_S: Final = re.compile(
    r"(client_|subject_)?(assertion|token)(_type)?|client_(id|secret)|(device_)?code|code_verifier|grant_type"
    r"|redirect_uri|refresh_token|scope|token_type_hint"
)
"""Parameters that are set by the protocol; the others of a request can be added."""
_UNBOUND: Final[Mapping[str, object]] = MappingProxyType({"bound": False})
"""Marks settings with URLs to which no secret of a stored sign-in is sent."""
_BOUND: Final[Mapping[str, object]] = MappingProxyType({"bound": True})
"""Marks settings that say for whom and for what a token is: one for other APIs must not be sent to these."""


def _absolute(value: object, attribute: Attribute[Path | None], file: Path | None) -> None:  # noqa: ARG001  attrs
    if file is not None and not file.is_absolute():
        raise _invalid(f"{attribute.name} must be an absolute path")


def _variable(value: object, attribute: Attribute[str | None], name: str | None) -> None:  # noqa: ARG001  attrs
    if name is not None and (not _NAME.fullmatch(name) or _LOADS_CODE.fullmatch(name.upper())):
        raise _invalid(f"{attribute.name} must be the name of an environment variable from which no program loads code")


@frozen(kw_only=True)
class OidcSettings:
    """The settings of a profile with ``provider = "oidc"``.

    Attributes:
        issuer: The issuer identifier, exactly as in its metadata, which are fetched unless `token_endpoint` is set.
        client_id: The ID of your application at the issuer.
        client_secret: Its secret, for desktop applications whose issuer does not consider it confidential.
        client_secret_variable: The environment variable with the secret.
        client_secret_file: Absolute path of a file with the secret.
        private_key_file: Absolute path of a file with the private key in PEM format that the application signs with.
        key_id: ``kid`` of that key.
        key_algorithm: The algorithm that it signs with.
        certificate_thumbprint: ``x5t#S256`` of the certificate of that key, for issuers that find keys by it.
        assertion_audience: ``aud`` of what it signs; the issuer by default, and with ``endpoint`` the address of each
            request.
        client_authentication: How the application authenticates. None takes what fits the settings and the metadata.
        flow: How to get a token: in a ``browser``, with the code of a ``device``, or for the application itself, with
            ``client-credentials``.
        scopes: The scopes to request. None requests `SIGN_IN_SCOPES` for a sign-in, and nothing otherwise.
        scopes_at_renewal: Whether to request them again with each renewal; without it, the issuer keeps the granted
            ones (RFC 6749, section 6).
        resource: The APIs that the token is for, as URIs (RFC 8707).
        audience: The same for issuers that want this parameter, by their own names (RFC 8693, section 2.1).
        authorization_parameters: More parameters of the authorization request in the browser, such as ``prompt``.
        token_parameters: More parameters of token requests, and of all others that authenticate the application.
        login_hint: Whether to send the name of the account (``mail/ada``) as ``login_hint``.
        hosts: Other hosts that the metadata of the issuer may name.
        authorization_endpoint: Where the user signs in; replaces that in the metadata, as do the next ones.
        token_endpoint: Issues tokens. If it is set, the metadata are not fetched, so set all that you need.
        device_authorization_endpoint: Starts a sign-in with a device.
        revocation_endpoint: Revokes tokens.
        userinfo_endpoint: Says whose token it is.
        jwks_uri: Publishes the keys that sign ID tokens.
        account_claim: The member of a userinfo response that identifies the user, for servers without ID tokens.
        organization_claim: The claim that identifies the organization.
        redirect_host: Host of the loopback redirect.
        redirect_path: Path of the loopback redirect, as registered.
        single_use: Whether a refresh token may work only once. False is faster for those that are known to stay.
        repeats_for: Seconds for which the issuer repeats the response to a refresh token that it has already answered;
            0 if it ends the sign-in instead. None if unknown.
        revoke_replaced: Whether to revoke a sign-in that another one of the same account replaces; False if the issuer
            would end both.
        token_variable: The environment variable in which a finished token is handed in.
        token_fd: The file descriptor through which a finished token is handed in.
        exchange: How an identity token of the machine is exchanged: ``token-exchange`` (RFC 8693), ``jwt-bearer``
            (RFC 7523, section 2.1), or as ``client-assertion`` (section 2.2), with which the client authenticates.
        identity_token: Where the identity token is: in a ``file``, a ``variable``, or handed out by
            ``github-actions``. None takes the one whose setting is set.
        identity_token_file: Absolute path of the file, as Kubernetes projects it.
        identity_token_variable: Name of the variable.
        identity_token_audience: For whom GitHub Actions issues it; the issuer by default.
        subject_token_type: Its type, for ``token-exchange``.
        environment_variable: The environment variable in which programs that freshkey starts get the token.
    """

    issuer: str | None = None
    client_id: str | None = field(default=None, metadata=_BOUND)
    client_secret: Secret | None = None
    client_secret_variable: str | None = field(default=None, validator=_variable)
    client_secret_file: Path | None = field(default=None, validator=_absolute)
    private_key_file: Path | None = field(default=None, validator=_absolute)
    key_id: str | None = None
    key_algorithm: Literal["RS256", "PS256", "ES256", "EdDSA"] = "RS256"
    certificate_thumbprint: str | None = None
    assertion_audience: str | None = field(default=None, metadata=_UNBOUND)
    client_authentication: Authentication | None = None
    flow: Literal["browser", "device", "client-credentials"] = "browser"
    scopes: tuple[str, ...] | None = field(default=None, metadata=_BOUND)
    scopes_at_renewal: bool = False
    resource: tuple[str, ...] = field(default=(), metadata=_BOUND)
    audience: tuple[str, ...] = field(default=(), metadata=_BOUND)
    authorization_parameters: Mapping[str, str] = field(factory=dict, metadata=_UNBOUND)
    token_parameters: Mapping[str, str] = field(factory=dict, metadata=_BOUND)
    login_hint: bool = True
    hosts: tuple[str, ...] = ()
    authorization_endpoint: str | None = field(default=None, metadata=_UNBOUND)
    token_endpoint: str | None = None
    device_authorization_endpoint: str | None = field(default=None, metadata=_UNBOUND)
    revocation_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    jwks_uri: str | None = field(default=None, metadata=_UNBOUND)
    account_claim: str = "sub"
    organization_claim: str | None = None
    redirect_host: Literal["localhost", "127.0.0.1", "::1"] = "127.0.0.1"
    redirect_path: str = "/callback"
    single_use: bool = True
    repeats_for: float | None = None
    revoke_replaced: bool = True
    token_variable: str | None = field(default=None, validator=_variable)
    token_fd: int | None = None
    exchange: Literal["token-exchange", "jwt-bearer", "client-assertion"] = "token-exchange"
    identity_token: Literal["file", "variable", "github-actions"] | None = None
    identity_token_file: Path | None = field(default=None, validator=_absolute)
    identity_token_variable: str | None = field(default=None, validator=_variable)
    identity_token_audience: str | None = field(default=None, metadata=_UNBOUND)
    subject_token_type: str = field(default="urn:ietf:params:oauth:token-type:jwt", metadata=_UNBOUND)
    environment_variable: str | None = field(default=None, validator=_variable)

    def __attrs_post_init__(self) -> None:
        for name in ("issuer", "token_endpoint", *OPTIONAL):
            if (url := getattr(self, name)) is not None:
                checked_url(url, allow_insecure_loopback=True, setting=name)
        if flaw := next(filter(None, map(host_flaw, self.hosts)), None):
            raise _invalid(f"hosts {flaw}")
        if not self.redirect_path.startswith("/"):
            raise _invalid("redirect_path must begin with a slash")
        if taken := next(filter(_PROTOCOL_S.fullmatch, self.token_parameters), None):
            raise _invalid(f"token_parameters must not contain {taken}, which the protocol sets")
        if sum(map(bool, (self.client_secret, self.client_secret_variable, self.client_secret_file))) > 1:
            raise _invalid("only one of client_secret, client_secret_variable and client_secret_file may be set")

    @property
    def confidential(self) -> bool:
        """Whether the client has a secret or a key, as far as the settings say (RFC 6749, section 2.1)."""
        return any((self.client_secret, self.client_secret_variable, self.client_secret_file, self.private_key_file))

    @property
    def identity_source(self) -> Literal["file", "variable", "github-actions"] | None:
        """Where the identity token is; None if there is none to exchange."""
        if self.identity_token is not None:
            return self.identity_token
        if self.identity_token_file is not None:
            return "file"
        return None if self.identity_token_variable is None else "variable"

    def addressed(self) -> dict[str, tuple[str, ...]]:
        """Return the parameters that say which API a token is for, as far as they are set."""
        named = {"resource": self.resource, "audience": self.audience}
        return {name: value for name, value in named.items() if value}


def _invalid(message: str) -> ConfigurationError:
    return ConfigurationError(message, code="invalid-setting")
