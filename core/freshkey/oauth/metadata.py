"""Discovers a server's endpoints from its issuer identifier (RFC 8414); rejects endpoints on other hosts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from freshkey._http.messages import Request, Send, retry_after
from freshkey._http.url import checked_url
from freshkey._json import parse_json_object
from freshkey.clock import SYSTEM, Clock
from freshkey.errors import ConfigurationError, ProtocolError, TransientError
from freshkey.oauth.browser import safe_url
from freshkey.oauth.error_response import TRANSIENT_STATUSES
from freshkey.oauth.protocol import Server


_OAUTH: Final = "/.well-known/oauth-authorization-server"
_OPENID: Final = "/.well-known/openid-configuration"
_REQUIRED: Final = ("authorization_endpoint", "token_endpoint")
_OPTIONAL: Final = ("revocation_endpoint", "device_authorization_endpoint")


def discover(
    issuer: str,
    send: Send,
    *,
    hosts: Collection[str] = (),
    clock: Clock = SYSTEM,
    allow_insecure_loopback: bool = False,
) -> Server:
    """Fetch the metadata of an authorization server.

    Tries the location from RFC 8414 (section 3.1), then the one from OpenID Connect Discovery 1.0 (section 4). Nothing
    is cached: store the result with the credential, so that a changed token endpoint is noticed.

    Args:
        issuer: The issuer identifier; the metadata must contain exactly this string (RFC 8414, section 3.3).
        send: Does the I/O.
        hosts: Allowed endpoint hosts, in addition to the issuer's host and its subdomains.
        clock: Used to read ``Retry-After`` dates.
        allow_insecure_loopback: Accept an issuer on loopback without TLS, for tests.

    Raises:
        ConfigurationError: `issuer` is not an https URL without query and fragment.
        ProtocolError: There is no metadata, it belongs to another issuer, or an endpoint is missing, not https, or on
            another host.
        TransientError: The server is temporarily unavailable or cannot be reached.
    """
    checked_url(issuer, allow_insecure_loopback=allow_insecure_loopback)
    if "?" in issuer:
        raise ConfigurationError(
            "an issuer must not have a query", hint="Copy it exactly from the provider's docs", code="invalid-issuer"
        )
    facts = _fetch(issuer, send, clock)
    if facts.get("issuer") != issuer:
        raise ProtocolError("the metadata belongs to another issuer", code="metadata-issuer-mismatch")
    allowed = {host.lower() for host in hosts}
    endpoints: dict[str, Any] = {name: facts.get(name) for name in (*_REQUIRED, *_OPTIONAL)}
    for name, endpoint in endpoints.items():
        if endpoint is None and name in _REQUIRED:
            raise ProtocolError(f"the metadata of the authorization server has no {name}", code="invalid-metadata")
        if endpoint is not None and not _usable(endpoint, issuer, allowed, insecure_loopback=allow_insecure_loopback):
            raise ProtocolError(
                f"the metadata of the authorization server has an unsafe {name}", code="invalid-metadata"
            )
    # PKCE with S256 is used whatever `code_challenge_methods_supported` says: omitting it because an unprotected
    # document says so would be a downgrade (RFC 9700, section 4.8).
    iss_required = facts.get("authorization_response_iss_parameter_supported") is True
    return Server(issuer=issuer, iss_required=iss_required, **endpoints)


def _fetch(issuer: str, send: Send, clock: Clock) -> Mapping[str, Any]:
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    for address in (f"{parts.scheme}://{parts.netloc}{_OAUTH}{path}", f"{issuer.rstrip('/')}{_OPENID}"):
        response = send(Request(method="GET", url=address, headers={"Accept": "application/json"}))
        if response.status == HTTPStatus.OK:
            return parse_json_object(response.body)
        if response.status in TRANSIENT_STATUSES or response.status >= 500:  # noqa: PLR2004  RFC 9110, section 15.6
            message = f"the metadata of the authorization server is temporarily unavailable (status {response.status})"
            raise TransientError(
                message, retry_after=retry_after(response.headers, clock.now().wall), code="metadata-unavailable"
            )
    message = f"{parts.hostname} does not publish authorization server metadata for this issuer"
    raise ProtocolError(message, hint="Check the issuer in the provider's settings", code="metadata-not-found")


def _usable(endpoint: object, issuer: str, hosts: Collection[str], *, insecure_loopback: bool) -> bool:
    """Whether it is a safe URL on the issuer's host, a subdomain of it, or an allowed host.

    There is no list of registrable domains: the caller passes other hosts of the same organization as ``hosts``. This
    also rules out private addresses, unless the issuer is one itself (RFC 8414, section 6.2).
    """
    if not isinstance(endpoint, str):
        return False
    try:
        safe_url(endpoint, allow_insecure_loopback=insecure_loopback)
    except ConfigurationError:
        return False
    host, own = (urlsplit(url).hostname or "" for url in (endpoint, issuer))
    return host == own or host.endswith(f".{own}") or host in hosts
