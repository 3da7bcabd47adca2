"""Discovers a server's endpoints from its issuer identifier (RFC 8414); rejects endpoints on other hosts.

Servers publish metadata in up to four places, and often list an endpoint in only one of them. So the documents are
read in order and merged, until everything that the caller needs is known; the first value counts.
See docs/decisions.md, "Metadata is merged from several places".
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection, Iterator
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import define, field

from freshkey._http.json_object import read_object
from freshkey._http.messages import retry_after
from freshkey._http.status import asks_to_wait
from freshkey._http.url import checked_url
from freshkey.clock import Clock
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    OutcomeUnknown,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.model.exchange import HostLimited, Request, Response
from freshkey.model.profile import Profile
from freshkey.oauth.browser import safe_url
from freshkey.oauth.error_response import TRANSIENT_STATUSES
from freshkey.oauth.protocol import Server


log = logging.getLogger(__name__)

_OAUTH: Final = "/.well-known/oauth-authorization-server"
_OPENID: Final = "/.well-known/openid-configuration"
_AUTHORIZATION: Final = "authorization_endpoint"
_REQUIRED: Final = (_AUTHORIZATION, "token_endpoint")
_WITH_USER: Final = frozenset({"authorization_code", "implicit"})
"""Grant types that use the authorization endpoint: without them, none is looked for (RFC 8414, section 2)."""
_PUSHED: Final = "pushed_authorization_request_endpoint"
_USERINFO: Final = "userinfo_endpoint"
_KEYS: Final = "jwks_uri"
_OPTIONAL: Final = ("revocation_endpoint", "device_authorization_endpoint", _USERINFO, _KEYS, _PUSHED)
_METHODS: Final = "token_endpoint_auth_methods_supported"
_ISS: Final = "authorization_response_iss_parameter_supported"
_PUSH_REQUIRED: Final = "require_pushed_authorization_requests"
_FACTS: Final = frozenset({"issuer", _METHODS, _ISS, _PUSH_REQUIRED})
"""Members that are no endpoints."""

_HEADERS: Final = {"Accept": "application/json"}

_FAILURES_TO_STOP: Final = 2
"""Locations that fail before the search ends: each of them counts as a failure of the host, which is then paused."""


def discover(
    profile: Profile,
    issuer: str,
    *,
    hosts: Collection[str] = (),
    look_for: Collection[str] = ("revocation_endpoint",),
    token_endpoint: str | None = None,
) -> Server:
    """Fetch the metadata of an authorization server.

    Reads the location from RFC 8414 (section 3.1), the same document below the issuer, where some servers have it, the
    one from OpenID Connect Discovery 1.0 (section 4), and that document where RFC 8414 (section 5) would have it, in
    this order, but only until everything needed is known. A location without a JSON document, with that of another
    issuer, or where the server fails, is skipped. Nothing is cached: store the result with the credential, so that a
    changed token endpoint is noticed.

    If `Description.binding` names this issuer, `Profile.send` calls the endpoints' hosts from then on.

    Args:
        profile: The profile, with which the documents are fetched; `Description.hosts` must have the issuer's host.
        issuer: The issuer identifier; the metadata must contain exactly this string (RFC 8414, section 3.3).
        hosts: Allowed endpoint hosts, in addition to the issuer's host and its subdomains.
        look_for: The optional endpoints to look for: ``revocation_endpoint``, ``device_authorization_endpoint``,
            ``userinfo_endpoint``, ``jwks_uri``. Others are returned if they are in a document that is read anyway. A
            userinfo endpoint on another host counts as missing.
        token_endpoint: The one that is known from before. Where a location fails, others are trusted only if they name
            this one.

    Raises:
        ConfigurationError: `issuer` is not an https URL without query and fragment.
        ProviderRefused: There is no metadata, it belongs to another issuer, or an endpoint is missing, not https, or on
            another host. Only the authorization endpoint may be missing: servers without users have none.
        TransientError: The server is temporarily unavailable or cannot be reached, or does not respond, so that
            metadata are incomplete. Nothing was sent that cannot be sent again.
    """
    insecure = profile.allow_insecure_loopback
    checked_url(issuer, allow_insecure_loopback=insecure)
    if "?" in issuer:
        raise ConfigurationError(
            "an issuer must not have a query", hint="Copy it exactly from the provider's docs", code="invalid-issuer"
        )
    allowed = {host.lower() for host in hosts}
    usable = functools.partial(_usable, issuer=issuer, hosts=allowed, insecure_loopback=insecure)
    search = _Search(issuer=issuer, look_for=look_for, usable=usable)
    server = _searched(search, profile, token_endpoint)
    if isinstance(profile.send, HostLimited):
        called = (server.token_endpoint, *(getattr(server, name) for name in _OPTIONAL))
        profile.send.allow(issuer, filter(None, called))
    return server


def _searched(search: _Search, profile: Profile, token_endpoint: str | None) -> Server:
    """Return what the search finds; its errors are those of a provider's hook, which has sent nothing yet."""
    host = urlsplit(search.issuer).hostname
    try:
        _read_places(search, profile, token_endpoint)
        return search.server()
    except ProtocolError as flaw:
        hint = flaw.hint or _hint(search.issuer)
        failure: FreshkeyError = ProviderRefused(
            f"cannot use the issuer {host}: {flaw.message}", hint=hint, code=flaw.code
        )
    except OutcomeUnknown:
        failure = TransientError(f"no metadata received from {host}", hint="Try again", code="metadata-unavailable")
    raise failure


def _read_places(search: _Search, profile: Profile, token_endpoint: str | None) -> None:
    """Read one location after the other, until everything needed is known."""
    issuer, clock = search.issuer, profile.clock
    failure, failures = None, 0
    for address in _places(issuer):
        response = None
        try:
            response = profile.send(Request(method="GET", url=address, headers=_HEADERS))
            search.read(_facts(response, address, clock))
        except ProtocolError as flaw:
            search.skip(flaw)
        except (TransientError, OutcomeUnknown) as error:
            log.info("cannot read metadata of %s: %s [%s]", urlsplit(issuer).hostname, error, error.code)
            if not search.complete(search.required):
                failure = failure or error
            failures += response is not None
            if failures == _FAILURES_TO_STOP or _is_everywhere(error, response):
                break
        search.check()
        if search.complete((*search.required, *search.look_for)):
            break
    if failure is not None and not search.agrees(token_endpoint):
        raise failure


@define(kw_only=True)
class _Search:
    """What the documents read so far say; the first value of each member counts."""

    issuer: str
    look_for: Collection[str]
    usable: Callable[[object], bool]
    found: dict[str, Any] = field(init=False, factory=dict)
    flaw: ProtocolError | None = field(init=False, default=None)
    required: tuple[str, ...] = field(init=False, default=_REQUIRED)  # what is looked for at every location

    def complete(self, names: Collection[str]) -> bool:
        """Whether all of these endpoints are known."""
        return all(name in self.found for name in names)

    def agrees(self, token_endpoint: str | None) -> bool:
        """Whether all that is required is known, and the token endpoint is this one, if one is given."""
        return self.complete(self.required) and token_endpoint in (None, self.found["token_endpoint"])

    def read(self, facts: dict[str, Any]) -> None:
        """Add what a document says and no earlier one did.

        Raises:
            ProtocolError: It belongs to another issuer, or is no metadata.
        """
        if facts.keys().isdisjoint(("issuer", *_REQUIRED, *_OPTIONAL)):
            raise _not_found(self.issuer)  # JSON of a gateway
        if (named := facts.get("issuer")) != self.issuer:
            raise _anothers(self.issuer, named)
        first = not self.found
        grants = facts.get("grant_types_supported")
        if first and isinstance(grants, list) and _WITH_USER.isdisjoint(_words(grants)):
            self.required = tuple(name for name in _REQUIRED if name != _AUTHORIZATION)
        for name in (*_FACTS, *_REQUIRED, *_OPTIONAL):
            value = facts.get(name)
            if value is None or value == "" or name in self.found:
                continue
            # What is no URL is a mistake; one that leads elsewhere may be hostile, and the first document with it.
            believed = first and (name not in _OPTIONAL or (isinstance(value, str) and "://" in value))
            if name == _USERINFO or (name == _KEYS and name not in self.look_for):
                believed = False  # well-known servers have these elsewhere, and most callers can do without
            if believed or name in _FACTS or self.usable(value):
                self.found[name] = value
            else:
                log.warning("ignored the unsafe %s in the metadata of %s", name, urlsplit(self.issuer).hostname)

    def skip(self, flaw: ProtocolError) -> None:
        """Remember what was wrong with a location, in case there is no other."""
        log.info("skipped metadata of %s: %s [%s]", urlsplit(self.issuer).hostname, flaw, flaw.code)
        self.flaw = self.flaw if self.flaw and self.flaw.code != "metadata-not-found" else flaw

    def check(self) -> None:
        """Raise `ProtocolError` for an endpoint that is not safe to use."""
        for name in (*_REQUIRED, *_OPTIONAL):
            if name in self.found and not self.usable(self.found[name]):
                raise _flaw(
                    f"the metadata of the authorization server has an unsafe {name}",
                    # The host is not named: a hint to allow it would help whoever planted it.
                    hint="Check the issuer. If the provider documents another host for it, allow that one (hosts)",
                    code="invalid-metadata",
                )

    def server(self) -> Server:
        """Return the server, or raise `ProtocolError` if the metadata are missing or incomplete."""
        if self.flaw is not None and not self.found:
            raise self.flaw
        if "token_endpoint" not in self.found:
            message = "the metadata of the authorization server has no token_endpoint"
            raise _flaw(message, code="invalid-metadata")
        # PKCE with S256 is used whatever `code_challenge_methods_supported` says: omitting it because an unprotected
        # document says so would be a downgrade (RFC 9700, section 4.8).
        endpoints: dict[str, Any] = {name: self.found.get(name) for name in (*_REQUIRED, *_OPTIONAL)}
        return Server(
            issuer=self.issuer,
            iss_required=self.found.get(_ISS) is True,
            par_required=self.found.get(_PUSH_REQUIRED) is True,
            authentication_methods=_words(self.found.get(_METHODS)),
            **endpoints,
        )


def _words(value: object) -> tuple[str, ...]:
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list) else ()


def _is_everywhere(error: FreshkeyError, response: Response | None) -> bool:
    """Return whether other locations would fail, too; some servers redirect or fail where they have no document."""
    if response is None:
        return error.code != "redirect-refused"
    return response.status != HTTPStatus.INTERNAL_SERVER_ERROR


def _places(issuer: str) -> Iterator[str]:
    parts = urlsplit(issuer)
    places = (
        f"{parts.scheme}://{parts.netloc}{_OAUTH}{parts.path.rstrip('/')}",
        f"{issuer.rstrip('/')}{_OAUTH}",
        f"{issuer.rstrip('/')}{_OPENID}",
        # Last, although the MCP authorization specification has it second: no renewal may need more requests for it.
        f"{parts.scheme}://{parts.netloc}{_OPENID}{parts.path.rstrip('/')}",
    )
    return iter(dict.fromkeys(places))


def _facts(response: Response, address: str, clock: Clock) -> dict[str, Any]:
    if 200 <= response.status < 300:  # noqa: PLR2004  RFC 9110, section 15.3
        facts = read_object(response.body)
        if facts is None:
            raise ProtocolError("the response is not a valid JSON object")
        return facts
    if response.status in TRANSIENT_STATUSES or response.status >= 500:  # noqa: PLR2004  RFC 9110, section 15.6
        wait = retry_after(response.headers, clock.now().wall)
        limited = response.status == HTTPStatus.TOO_MANY_REQUESTS
        what = "is limiting the rate of requests" if limited else "is temporarily unavailable"
        message = f"the authorization server's metadata endpoint {what} (status {response.status}){asks_to_wait(wait)}"
        raise TransientError(message, retry_after=wait, code="metadata-unavailable")
    raise _not_found(address)


def _not_found(url: str) -> ProtocolError:
    message = f"{urlsplit(url).hostname} does not publish authorization server metadata for this issuer"
    return _flaw(message, code="metadata-not-found")


def _anothers(issuer: str, named: object) -> ProtocolError:
    hint = None  # what the document names is not shown: a user could be led to copy it
    if named == f"{issuer}/":
        hint = "Write the issuer with a slash at its end"
    elif issuer == f"{named}/":
        hint = "Write the issuer without the slash at its end"
    return _flaw("the metadata belongs to another issuer", code="metadata-issuer-mismatch", hint=hint)


def _hint(issuer: str) -> str:
    if "/.well-known/" in issuer:
        return "Leave /.well-known/ and what follows it off the issuer"
    return "Check the issuer in the provider's settings"


def _flaw(message: str, *, code: str, hint: str | None = None) -> ProtocolError:
    """Return what is wrong with a document; if there is no other, `discover` makes a wrong configuration of it."""
    return ProtocolError(message, code=code, hint=hint)


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
