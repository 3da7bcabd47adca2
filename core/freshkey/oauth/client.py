"""The operations of an OAuth client: exchange a code, renew a token, revoke a token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import urlsplit

from attrs import evolve, field, frozen

from freshkey._http.messages import form
from freshkey.clock import SYSTEM, Clock
from freshkey.errors import frameless
from freshkey.model.exchange import Request, Send
from freshkey.oauth import answers, protocol, pushed
from freshkey.oauth.answers import TokenAnswer
from freshkey.oauth.protocol import NOTHING, Encode, Grant, Server
from freshkey.oauth.pushed import PushedRequest
from freshkey.oauth.skew import warn_of_skew
from freshkey.secret import Secret


@frozen(kw_only=True)
class OAuthClient:
    """A client of one authorization server. It holds no connection and is cheap to create.

    Each method sends exactly one request; its `extra` and `headers` are added to that request. Each raises what
    `freshkey.oauth.answers.read_token` and the configured `send` raise.

    Attributes:
        server: The authorization server.
        client_id: The client ID at that server.
        send: Does the I/O: `freshkey.plugin.send`, usually with its keyword arguments bound.
        headers: Headers of every request.
        extra: Fields of every request, such as client authentication.
        encode: How request fields are encoded.
        clock: Used to read ``Retry-After`` dates and to detect clock skew.
    """

    server: Server
    client_id: str
    send: Send = field(repr=False)
    headers: Mapping[str, str] = field(default=NOTHING, repr=False)
    extra: Mapping[str, str] = field(default=NOTHING, repr=False)
    encode: Encode = form
    clock: Clock = field(default=SYSTEM, repr=False)

    @frameless
    def exchange(
        self, grant: Grant, *, extra: Mapping[str, str] = NOTHING, headers: Mapping[str, str] = NOTHING
    ) -> TokenAnswer:
        """Exchange the authorization code of a sign-in; a code works once (RFC 6749, section 4.1.3)."""
        request = partial(protocol.code_request, code=grant.code, pkce=grant.pkce, redirect_uri=grant.redirect_uri)
        return self._token(self._completed(request, extra, headers))

    @frameless
    def refresh(
        self,
        refresh_token: Secret,
        *,
        scopes: tuple[str, ...] = (),
        extra: Mapping[str, str] = NOTHING,
        headers: Mapping[str, str] = NOTHING,
    ) -> TokenAnswer:
        """Renew an access token (RFC 6749, section 6). If the response has no refresh token, keep using the old one.

        The refresh token may be spent whatever this returns or raises. Without `scopes`, the granted ones are kept.
        """
        request = partial(protocol.refresh_request, refresh_token=refresh_token, scopes=scopes)
        return self._token(self._completed(request, extra, headers))

    @frameless
    def revoke(
        self,
        token: Secret,
        hint: str = "refresh_token",
        *,
        extra: Mapping[str, str] = NOTHING,
        headers: Mapping[str, str] = NOTHING,
    ) -> None:
        """Revoke a token (RFC 7009); revoking an unknown token succeeds.

        Pass the refresh token if there is one: its access tokens are revoked with it (section 2.1). `hint` is
        ``refresh_token`` or ``access_token``.

        Raises:
            ConfigurationError: The server has no revocation endpoint.
            TransientError: The token may still be valid; try again.
        """
        request = self._completed(partial(protocol.revocation_request, token=token, hint=hint), extra, headers)
        answers.read_revocation(self.send(request), self.clock.now().wall)

    @frameless
    def push(self, fields: Mapping[str, str]) -> PushedRequest:
        """Push the parameters of an authorization request (RFC 9126), for `authorize`.

        Raises:
            ConfigurationError: The server has no pushed authorization request endpoint.
        """
        request = pushed.pushed_request(self.server, fields=fields, extra=self.extra, headers=self.headers)
        return pushed.read_pushed(self.send(request), self.clock.now().wall)

    def _completed(
        self, request: Callable[..., Request], extra: Mapping[str, str], headers: Mapping[str, str]
    ) -> Request:
        return request(
            self.server,
            client_id=self.client_id,
            extra={**self.extra, **extra},
            headers={**self.headers, **headers},
            encode=self.encode,
        )

    def _token(self, request: Request) -> TokenAnswer:
        requested = self.clock.now()
        response = self.send(request)
        now = self.clock.now().wall
        warn_of_skew(response.headers, now, urlsplit(request.url).hostname or "")
        # Lifetimes count from when the response was generated, and nothing says how long it was on the way: counted
        # from the request, they are never too long.
        return evolve(answers.read_token(response, now), requested=requested)
