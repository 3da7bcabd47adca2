"""A double of a security token service, which takes tokens of an identity provider that it trusts.

It has the three ways that clients use such a token: token exchange (RFC 8693), the JWT bearer grant (RFC 7523, section
2.1), and client credentials with the token as the client's assertion (RFC 7523, section 2.2, as in workload identity
federation at Microsoft Entra ID). It follows the RFCs, and checks every signature with joserfc; how a particular
vendor's service differs, it does not know.
"""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Collection
from typing import Any, ClassVar, Final
from urllib.parse import parse_qs, unquote_plus

from attrs import define, field, frozen
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from counterparts.authentication import CLIENT_ASSERTION
from counterparts.signed import new_key, signed
from loopback_server import Exchange, LoopbackServer


TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLIENT_CREDENTIALS: Final = "client_credentials"

JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"
ID_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:id_token"
ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"

SUBJECT: Final = "repo:example/app:ref:refs/heads/main"
"""The subject of the identity provider's tokens by default."""


@define
class IdentityProvider:
    """Signs the tokens of a workload, as a CI service or a cluster does; `key` may be replaced by another one."""

    issuer: str = "https://identity.example.test"
    key: ECKey | RSAKey = field(factory=new_key, repr=False)

    def token(self, audience: str, *, subject: str = SUBJECT, lifetime: float = 300, **claims: object) -> str:
        """Return a new token for one audience, valid for `lifetime` seconds; a negative one makes it expired."""
        facts = {"iss": self.issuer, "sub": subject, "aud": audience, **claims}
        return signed(self.key, lifetime=lifetime, **facts)


@frozen
class Call:
    """One request to the token endpoint; `form` contains secrets."""

    status: int
    grant_type: str | None
    error: str | None
    reason: str | None
    form: dict[str, list[str]] = field(repr=False)


@frozen
class _Issued:
    subject: str
    targets: tuple[str, ...]
    scope: str
    expires: float


class _RefusedError(Exception):
    def __init__(self, error: str, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.error, self.reason, self.status = error, reason, status


class TokenService(LoopbackServer):
    """A double of a security token service, which trusts `trusted`; a context manager.

    Args:
        trusted: Whose tokens it takes.
        client_id: The only client.
        client_secret: If given, token exchange and the JWT bearer grant need it; by default they need no client.
        subject: The only subject whose tokens it takes.
        audience: What the tokens must be for; by default the service's `issuer`.
        targets: The only values of `resource` and `audience` that it issues access tokens for; by default any.
        access_token_seconds: The lifetime of access tokens, in seconds.
        subject_error: The error for a token that it does not take in an exchange; some services say `invalid_grant`
            instead of what RFC 8693, section 2.2.2, says.
    """

    TOKEN_PATH: ClassVar[str] = "/token"

    def __init__(
        self,
        trusted: IdentityProvider,
        *,
        client_id: str = "freshkey-tests",
        client_secret: str | None = None,
        subject: str = SUBJECT,
        audience: str | None = None,
        targets: Collection[str] | None = None,
        access_token_seconds: int = 60,
        subject_error: str = "invalid_request",
    ) -> None:
        super().__init__()
        self.trusted = trusted
        self.client_id = client_id
        self.subject = subject
        self.audience = self.issuer if audience is None else audience
        self.calls: list[Call] = []
        self._secret = client_secret
        self._targets = targets
        self._seconds = access_token_seconds
        self._subject_error = subject_error
        self._issued: dict[str, _Issued] = {}
        self._refuse: list[int] = []
        self._lock = threading.Lock()

    @property
    def issuer(self) -> str:
        """Its identifier, as its metadata say."""
        return self.url

    @property
    def token_endpoint(self) -> str:
        """The URL of its token endpoint."""
        return self.url + self.TOKEN_PATH

    def count(self, grant_type: str, error: str | None = None) -> int:
        """Return the number of requests with this grant and this error, or of those that were granted."""
        return sum((call.grant_type, call.error) == (grant_type, error) for call in self.calls)

    def refuse(self, times: int, status: int = 503) -> None:
        """Respond to the next requests to the token endpoint with this status and an empty body, without acting."""
        self._refuse = [status] * times

    def serve(self, exchange: Exchange) -> None:
        """Respond to one request: for metadata, for a token, or for what the owner of an access token may see."""
        path = exchange.path.partition("?")[0]
        if path in {"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"}:
            _respond(exchange, 200, self._metadata())
        elif path == "/userinfo":
            self._show_owner(exchange)
        elif path == self.TOKEN_PATH and exchange.command == "POST":
            self._serve_token(exchange)
        else:
            _respond(exchange, 404, {"error": "not found"})

    def _metadata(self) -> dict[str, object]:
        return {
            "issuer": self.issuer,
            "token_endpoint": self.token_endpoint,
            "userinfo_endpoint": f"{self.url}/userinfo",
            "grant_types_supported": [TOKEN_EXCHANGE, JWT_BEARER_GRANT, CLIENT_CREDENTIALS],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        }

    def _show_owner(self, exchange: Exchange) -> None:
        token = exchange.lowered().get("authorization", "").removeprefix("Bearer ")
        issued = self._issued.get(token)
        if issued is None or issued.expires <= time.monotonic():
            _respond(exchange, 401, {"error": "invalid_token"}, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
        else:
            _respond(exchange, 200, {"sub": issued.subject, "aud": issued.targets, "scope": issued.scope})

    def _serve_token(self, exchange: Exchange) -> None:
        form = parse_qs(exchange.body().decode(), keep_blank_values=True)
        grant_type = form.get("grant_type", [None])[0]
        with self._lock:
            if self._refuse:
                exchange.answer(self._refuse.pop())
                return
            status, error, reason = 200, None, None
            try:
                answer = self._grant(grant_type, form, exchange.lowered().get("authorization"))
            except _RefusedError as refused:
                status, error, reason = refused.status, refused.error, refused.reason
                answer = {"error": error, "error_description": reason}
            self.calls.append(Call(status, grant_type, error, reason, form))
        headers = {"WWW-Authenticate": "Basic"} if status == 401 else {}
        _respond(exchange, status, answer, headers)

    def _grant(self, grant_type: str | None, form: dict[str, list[str]], header: str | None) -> dict[str, object]:
        for name, values in form.items():
            if len(values) > 1 and name not in {"resource", "audience"}:  # RFC 8693, section 2.1
                raise _RefusedError("invalid_request", f"{name} is repeated")
        one = {name: values[0] for name, values in form.items()}
        self._check_client(one, header, needed=grant_type == CLIENT_CREDENTIALS)
        if grant_type == TOKEN_EXCHANGE:
            self._check_exchange(one)
            return self._issue(form, {"issued_token_type": one.get("requested_token_type", ACCESS_TOKEN_TYPE)})
        if grant_type == JWT_BEARER_GRANT:
            self._check(_needed(one, "assertion"), "invalid_grant")  # RFC 7523, section 3.1
            return self._issue(form, {})
        if grant_type == CLIENT_CREDENTIALS:
            return self._issue(form, {})
        raise _RefusedError("unsupported_grant_type", f"the grant {grant_type} is not supported")

    def _check_client(self, form: dict[str, str], header: str | None, *, needed: bool) -> None:
        """Authenticate the client, by the identity provider's token or by its secret, if it has to be."""
        client_id, secret = form.get("client_id"), form.get("client_secret")
        if header is not None and header.startswith("Basic "):
            pair = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
            client_id, secret = unquote_plus(pair[0]), unquote_plus(pair[2])
        if client_id not in {None, self.client_id}:
            raise _RefusedError("invalid_client", "the client is unknown", 401)
        if "client_assertion" in form:
            if form.get("client_assertion_type") != CLIENT_ASSERTION:
                raise _RefusedError("invalid_request", "the type of the client's assertion is not supported")
            if client_id is None:  # the subject is the workload's, and does not name the client
                raise _RefusedError("invalid_request", "client_id is missing")
            self._check(form["client_assertion"], "invalid_client", 401)  # RFC 7523, section 3.2
        elif needed or self._secret is not None:
            expected = (self.client_id, self._secret)
            if self._secret is None or (client_id, secret) != expected:
                raise _RefusedError("invalid_client", "the client is not authenticated", 401)

    def _check_exchange(self, form: dict[str, str]) -> None:
        """Check what RFC 8693, section 2.1, says about a request."""
        kind = _needed(form, "subject_token_type")
        if kind not in {JWT_TYPE, ID_TOKEN_TYPE}:
            raise _RefusedError("invalid_request", f"subject tokens of the type {kind} are not supported")
        if "actor_token" in form or "actor_token_type" in form:
            raise _RefusedError("invalid_request", "actor tokens are not supported")
        if form.get("requested_token_type", ACCESS_TOKEN_TYPE) not in {ACCESS_TOKEN_TYPE, JWT_TYPE}:
            raise _RefusedError("invalid_request", "the requested type of token is not supported")
        self._check(_needed(form, "subject_token"), self._subject_error)

    def _check(self, token: str, error: str, status: int = 400) -> None:
        """Check a token of the identity provider as RFC 7523, section 3, says."""
        claims = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": self.trusted.issuer},
            sub={"essential": True, "value": self.subject},
            aud={"essential": True, "value": self.audience},
            exp={"essential": True},
        )
        try:
            claims.validate(jwt.decode(token, self.trusted.key, algorithms=["ES256", "RS256"]).claims)
        except (JoseError, ValueError) as flaw:
            reason = flaw.error if isinstance(flaw, JoseError) else "malformed"
            raise _RefusedError(error, f"the token is not accepted: {reason}", status) from None

    def _issue(self, form: dict[str, list[str]], more: dict[str, object]) -> dict[str, object]:
        targets = (*form.get("resource", []), *form.get("audience", []))
        if self._targets is not None and not set(targets) <= set(self._targets):
            raise _RefusedError("invalid_target", "there are no tokens for this resource or audience")
        token = f"exchanged-{len(self._issued) + 1}-{secrets.token_hex(8)}"
        scope = form.get("scope", [""])[0]
        self._issued[token] = _Issued(self.subject, targets, scope, time.monotonic() + self._seconds)
        answer: dict[str, object] = {"access_token": token, "token_type": "Bearer", "expires_in": self._seconds}
        return answer | more | ({"scope": scope} if scope else {})


def _needed(form: dict[str, str], name: str) -> str:
    if not form.get(name):
        raise _RefusedError("invalid_request", f"{name} is missing")
    return form[name]


def _respond(exchange: Exchange, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
    fixed = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    exchange.answer(status, json.dumps(answer).encode(), fixed | (headers or {}))
