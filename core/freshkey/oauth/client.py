"""The operations of an OAuth client: get a token, for a code or for itself, renew it, ask whose it is, revoke it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve, field, frozen

from freshkey._http.messages import Fields, form
from freshkey.clock import SYSTEM, Clock
from freshkey.errors import ProtocolError, ProviderRefused, frameless
from freshkey.model.exchange import Request, Send
from freshkey.model.identity import Identity
from freshkey.model.profile import Profile
from freshkey.oauth import answers, protocol, pushed
from freshkey.oauth.answers import TokenAnswer
from freshkey.oauth.authentication import Added, ClientAuthentication, PublicClient
from freshkey.oauth.id_token import identity_after_renewal, identity_of, read_id_token
from freshkey.oauth.id_token_signature import check_signature, keys_request, read_keys
from freshkey.oauth.protocol import NOTHING, Encode, Grant, Server
from freshkey.oauth.pushed import PushedRequest
from freshkey.oauth.skew import warn_of_skew
from freshkey.oauth.userinfo import read_userinfo, userinfo_request
from freshkey.secret import Secret


@frozen(kw_only=True)
class OAuthClient:
    """A client of one authorization server. It holds no connection and is cheap to create.

    Each method sends exactly one request; its `extra` and `headers` are added to that request. Each raises what
    `freshkey.oauth.answers.read_token` and the configured `send` raise.

    Attributes:
        server: The authorization server.
        client_id: The client ID at that server.
        send: Does the I/O: `Profile.send`.
        headers: Headers of every request.
        extra: Fields of every request.
        encode: How request fields are encoded.
        authentication: How the client authenticates in every request.
        clock: Used to read ``Retry-After`` dates and to detect clock skew: `Profile.clock`.
    """

    server: Server
    client_id: str
    send: Send = field(repr=False)
    headers: Mapping[str, str] = field(default=NOTHING, repr=False)
    extra: Fields = field(default=NOTHING, repr=False)
    encode: Encode = form
    authentication: ClientAuthentication = field(factory=PublicClient)
    clock: Clock = field(default=SYSTEM, repr=False)

    @classmethod
    def of(cls, profile: Profile, server: Server, client_id: str, **more: Any) -> OAuthClient:  # noqa: ANN401
        """Return the client of a profile, which sends with `Profile.send` and tells time by `Profile.clock`.

        Args:
            profile: The profile.
            server: The authorization server.
            client_id: The client ID at that server.
            more: The other attributes of this class.
        """
        return cls(**{"server": server, "client_id": client_id, "send": profile.send, "clock": profile.clock, **more})

    @frameless
    def exchange(self, grant: Grant, *, extra: Fields = NOTHING, headers: Mapping[str, str] = NOTHING) -> TokenAnswer:
        """Exchange the authorization code of a sign-in; a code works once (RFC 6749, section 4.1.3)."""
        request = partial(protocol.code_request, code=grant.code, pkce=grant.pkce, redirect_uri=grant.redirect_uri)
        return self._token(self.completed(request, extra, headers))

    @frameless
    def refresh(
        self,
        refresh_token: Secret,
        *,
        scopes: tuple[str, ...] = (),
        extra: Fields = NOTHING,
        headers: Mapping[str, str] = NOTHING,
    ) -> TokenAnswer:
        """Renew an access token (RFC 6749, section 6). If the response has no refresh token, keep using the old one.

        The refresh token may be spent whatever this returns or raises. Without `scopes`, the granted ones are kept.
        """
        request = partial(protocol.refresh_request, refresh_token=refresh_token, scopes=scopes)
        return self._token(self.completed(request, extra, headers))

    @frameless
    def client_credentials(
        self,
        *,
        scopes: tuple[str, ...] = (),
        extra: Fields = NOTHING,
        headers: Mapping[str, str] = NOTHING,
    ) -> TokenAnswer:
        """Get an access token for the client itself, without a user (RFC 6749, section 4.4).

        There is no refresh token: ask again when the token ends. One that a server sends all the same is left out
        (section 4.4.3).

        Raises:
            LoginRequired: The client's secret or key is not accepted.
        """
        request = partial(protocol.client_credentials_request, scopes=scopes)
        return evolve(self._token(self.completed(request, extra, headers), as_itself=True), refresh_token=None)

    @frameless
    def jwt_bearer(
        self,
        assertion: Secret,
        *,
        scopes: tuple[str, ...] = (),
        extra: Fields = NOTHING,
        headers: Mapping[str, str] = NOTHING,
    ) -> TokenAnswer:
        """Exchange a signed assertion for an access token (RFC 7523, section 2.1).

        It can be repeated while the assertion is valid, so a refresh token is left out.

        Raises:
            LoginRequired: The assertion, or the client's secret or key, is not accepted.
        """
        return self._exchanged(partial(protocol.assertion_request, assertion=assertion, scopes=scopes), extra, headers)

    @frameless
    def token_exchange(
        self,
        subject_token: Secret,
        *,
        subject_token_type: str = protocol.JWT_TYPE,
        scopes: tuple[str, ...] = (),
        extra: Fields = NOTHING,
        headers: Mapping[str, str] = NOTHING,
    ) -> TokenAnswer:
        """Exchange a token from elsewhere for an access token (RFC 8693, section 2.1).

        What else the server wants (``audience``, ``resource``, ``requested_token_type``) goes into `extra`. It can be
        repeated while the subject token is valid, so a refresh token is left out.

        Raises:
            LoginRequired: The subject token, or the client's secret or key, is not accepted.
            ProviderRefused: The request is refused: also a subject token that is over, with servers that answer
                ``invalid_request`` then, as RFC 8693 (section 2.2.2) has it.
        """
        request = partial(
            protocol.token_exchange_request,
            subject_token=subject_token,
            subject_token_type=subject_token_type,
            scopes=scopes,
        )
        return self._exchanged(request, extra, headers)

    def identity(
        self,
        answer: TokenAnswer,
        *,
        nonce: str | None = None,
        max_age: float | None = None,
        organization: str | None = None,
    ) -> Identity:
        """Return whom the ID token describes that came with a sign-in's tokens; sends nothing.

        `organization` is as for `identity_of`; everything else, and what is raised, as for `read_id_token`.
        """
        now, server = self.clock.now().wall, self.server
        claims = read_id_token(answer, server=server, client_id=self.client_id, now=now, nonce=nonce, max_age=max_age)
        return identity_of(claims, organization=organization)

    def identity_after_renewal(
        self, answer: TokenAnswer, *, known: Identity, organization: str | None = None
    ) -> tuple[Identity, ProviderRefused | None]:
        """Return whose the tokens of a renewal are, and why they must not be used, if so (section 12.2).

        Sends and raises nothing, because the new refresh token must be saved before anything else can fail. An ID token
        that says nothing, or nothing valid, leaves what is known; but if it is the server's and names another user,
        it does not matter what else is wrong with it, such as its times on a computer whose clock is.

        Args:
            answer: The response.
            known: Who signed in.
            organization: As for `identity_of`.
        """
        return identity_after_renewal(
            answer,
            known,
            server=self.server,
            client_id=self.client_id,
            now=self.clock.now().wall,
            organization=organization,
        )

    @frameless
    def verified_identity(
        self,
        answer: TokenAnswer,
        *,
        nonce: str | None = None,
        max_age: float | None = None,
        organization: str | None = None,
    ) -> Identity:
        """Return what `identity` does, after the signature was verified with the keys that the server publishes.

        Fetches the keys, so it is for sign-ins, where nothing is lost if that fails; needs ``freshkey[jwt]``. An ID
        token that is no longer valid, or not for this client, costs no request.

        Raises:
            FreshkeyError: As `identity`, `freshkey.oauth.id_token_signature.read_keys` and `check_signature` do.
            ConfigurationError: The server publishes no keys.
        """
        identity = self.identity(answer, nonce=nonce, max_age=max_age, organization=organization)
        request = keys_request(self.server)
        check_signature(answer, read_keys(request, self.send(request), clock=self.clock))
        return identity

    @frameless
    def userinfo(self, access_token: Secret, *, known: Identity, organization: str | None = None) -> Identity:
        """Ask the server whose access token it is (OpenID Connect Core 1.0, section 5.3).

        Args:
            access_token: The access token.
            known: Whose it must be: its `account` is the ``sub`` of the ID token (`identity`), or that of an earlier
                response (`Credential.identity`). Responses can be mixed up or substituted (section 5.3.2), so a server
                that issues no ID tokens is asked with `userinfo_request` and `read_userinfo` the first time.
            organization: As for `identity_of`.

        Raises:
            FreshkeyError: As `read_userinfo` does.
            ConfigurationError: The server has no userinfo endpoint.
            ProtocolError: It is someone else's.
            ValueError: `known` has no account. Nothing is sent.
        """
        if known.account is None:
            message = "known has no account, so anyone's response would do: pass the identity from the ID token"
            raise ValueError(message)
        request = userinfo_request(self.server, access_token=access_token, headers=self.headers)
        claims = read_userinfo(request, self.send(request), clock=self.clock)
        identity = identity_of(claims, organization=organization)
        if identity.differs_from(known):
            raise ProtocolError("the userinfo response describes another user", code="invalid-userinfo")
        return identity

    @frameless
    def revoke(
        self,
        token: Secret,
        hint: str = "refresh_token",
        *,
        extra: Fields = NOTHING,
        headers: Mapping[str, str] = NOTHING,
    ) -> None:
        """Revoke a token (RFC 7009); revoking an unknown token succeeds.

        Pass the refresh token if there is one: its access tokens are revoked with it (section 2.1). `hint` is
        ``refresh_token`` or ``access_token``.

        Raises:
            ConfigurationError: The server has no revocation endpoint.
            TransientError: The token may still be valid; try again.
        """
        request = self.completed(partial(protocol.revocation_request, token=token, hint=hint), extra, headers)
        answers.read_revocation(self.send(request), self.clock.now().wall)

    @frameless
    def ensure_authenticates(self) -> None:
        """Raise what would be raised when this client authenticates, such as for a key of another kind; sends nothing.

        `authorize` calls it before the user is asked for anything.
        """
        self._authenticated(self.server.token_endpoint, NOTHING, NOTHING)

    @frameless
    def push(self, fields: Fields) -> PushedRequest:
        """Push the parameters of an authorization request (RFC 9126), for `authorize`.

        Raises:
            ConfigurationError: The server has no pushed authorization request endpoint.
            LoginRequired: The client's secret or key is not accepted (``client-not-accepted``).
        """
        url = self.server.pushed_authorization_request_endpoint or ""
        extra, headers = self._authenticated(url, self.extra, self.headers)
        request = pushed.pushed_request(self.server, fields=fields, extra=extra, headers=headers)
        as_itself = not isinstance(self.authentication, PublicClient)
        return pushed.read_pushed(self.send(request), self.clock.now().wall, as_itself=as_itself)

    def completed(self, request: Callable[..., Request], extra: Fields, headers: Mapping[str, str]) -> Request:
        """Return what a function of `freshkey.oauth.protocol` makes of this client, its fields and its headers."""
        return request(
            self.server,
            client_id=self.client_id,
            extra={**self.extra, **extra},
            headers={**self.headers, **headers},
            encode=self._encode,
        )

    def _exchanged(self, request: Callable[..., Request], extra: Fields, headers: Mapping[str, str]) -> TokenAnswer:
        """Send what exchanges a token from elsewhere; a client that has an ID names itself (RFC 7521, section 4.1)."""
        named = {"client_id": self.client_id} if self.client_id else {}
        answer = self._token(
            request(
                self.server.token_endpoint,
                extra={**self.extra, **extra, **named},
                headers={**self.headers, **headers},
                encode=self._encode,
            ),
            as_itself=True,
        )
        return evolve(answer, refresh_token=None)

    def _encode(self, url: str, fields: Fields, headers: Mapping[str, str]) -> Request:
        return self.encode(url, *self._authenticated(url, fields, headers))

    def _authenticated(self, url: str, fields: Fields, headers: Mapping[str, str]) -> Added:
        return self.authentication.apply(
            fields, headers, client_id=self.client_id, server=self.server, endpoint=url, clock=self.clock
        )

    def _token(self, request: Request, *, as_itself: bool = False) -> TokenAnswer:
        requested = self.clock.now()
        response = self.send(request)
        now = self.clock.now().wall
        warn_of_skew(response.headers, now, urlsplit(request.url).hostname or "")
        # Lifetimes count from when the response was generated, and nothing says how long it was on the way: counted
        # from the request, they are never too long.
        return evolve(answers.read_token(response, now, as_itself=as_itself), requested=requested)
