"""Pushed authorization requests (RFC 9126): the browser carries a reference instead of the request itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import define, field, frozen

from freshkey._http.messages import Fields, form
from freshkey.clock import Clock
from freshkey.errors import ConfigurationError, FreshkeyError, ProtocolError, ProviderRefused
from freshkey.model.exchange import Request, Response
from freshkey.model.interaction import Interaction
from freshkey.oauth.error_response import HINTS, read_refusal, refusal_error
from freshkey.oauth.protocol import NOTHING, Server, authorization_address
from freshkey.oauth.response_body import read_members
from freshkey.secret import is_token


_MAX_REFERENCE: Final = 1024
_HINT: Final = "Check the client ID, the scopes and the redirect URI in the provider's settings"

_NOT_ACCEPTED: Final = "client-not-accepted"
"""The code of `refusal_error` for a client that authenticates, and in vain."""

_DEFAULT_LIFETIME: Final = 60.0
_MAX_LIFETIME: Final = 3600.0


@frozen(kw_only=True)
class PushedRequest:
    """What a server returned for a pushed authorization request (RFC 9126, section 2.2).

    Attributes:
        request_uri: The reference to the request; good for one use.
        expires_in: How long it is valid, in seconds.
    """

    request_uri: str = field(repr=False)
    expires_in: float


Push = Callable[[Fields], PushedRequest]
"""Sends the parameters of an authorization request to the server: `OAuthClient.push`."""


def pushed_request(
    server: Server,
    *,
    fields: Fields,
    extra: Fields = NOTHING,
    headers: Mapping[str, str] = NOTHING,
) -> Request:
    """Return the request that pushes the parameters of an authorization request, always a form (section 2.1).

    Args:
        server: The authorization server.
        fields: The parameters, with the client ID.
        extra: Client authentication, as at the token endpoint.
        headers: More headers.

    Raises:
        ConfigurationError: The server has no endpoint for it.
    """
    endpoint = server.pushed_authorization_request_endpoint
    if endpoint is None:
        message = "this authorization server has no pushed authorization request endpoint"
        raise ConfigurationError(message, code="endpoint-missing")
    return form(endpoint, {**extra, **fields}, headers)


def read_pushed(response: Response, now: float, *, as_itself: bool = False) -> PushedRequest:
    """Read the response (sections 2.2 and 2.3).

    `as_itself` is whether the client authenticated with a secret or key of its own.

    Raises:
        FreshkeyError: As `freshkey.oauth.read_token` does, if the server refuses or fails.
        ProtocolError: The response has no reference.
    """
    facts: Mapping[str, Any] | None = read_members(response)
    refusal = read_refusal(response)
    if facts is None or response.status not in {200, 201} or refusal.code is not None:
        failure = refusal_error(response, now, as_itself=as_itself)
        if failure.code == "request-refused" and refusal.code not in HINTS:
            failure = ProviderRefused(failure.message, hint=_HINT, code=failure.code)
        if failure.code == _NOT_ACCEPTED:
            failure.hint = "Check the client's secret or key, and client_id, in the provider's settings"
        raise failure
    reference, lifetime = facts.get("request_uri"), facts.get("expires_in")
    if not is_token(reference, _MAX_REFERENCE):
        raise ProtocolError("the authorization server's response has no valid request_uri")
    if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or not 0 < lifetime <= _MAX_LIFETIME:
        lifetime = _DEFAULT_LIFETIME
    return PushedRequest(request_uri=reference, expires_in=float(lifetime))


@define
class PushedTarget:
    """Where the browser is sent: once to the pushed request while it is valid, otherwise to the authorization URL.

    Some servers accept a reference only once, and a page may be loaded again. If the server accepts nothing but pushed
    requests, `plain` refers to one as well.
    """

    plain: str = field(repr=False)
    pushed: str | None = field(repr=False)
    ends_at: float  # seconds of the clock
    clock: Clock = field(repr=False)

    def __call__(self) -> str:
        """Return the URL for the next browser."""
        pushed, self.pushed = self.pushed, None
        return self.plain if pushed is None or self.clock.now().elapsed >= self.ends_at else pushed


def push(
    server: Server, push: Push, fields: Fields, clock: Clock, interaction: Interaction
) -> tuple[str, float] | None:
    """Push a request; return the URL that refers to it and its end, or None if the plain URL must do.

    Raises:
        FreshkeyError: The server accepts nothing else, and could not be reached or refused; or it does not accept the
            client's secret or key, with which the code could not be exchanged either.
    """
    sent = clock.now().elapsed
    try:
        answer = push(fields)
    except FreshkeyError as error:
        if server.par_required or error.code == _NOT_ACCEPTED:
            raise
        interaction.notice(f"The server did not take the pushed sign-in request: {error}. Continuing without it")
        return None
    reference = {"client_id": fields["client_id"], "request_uri": answer.request_uri}
    return authorization_address(server, reference), sent + answer.expires_in
