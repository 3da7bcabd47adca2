"""The token endpoint and the revocation endpoint.

RFC 6749, sections 4.1.3, 4.4 and 6; RFC 7636; RFC 8628; RFC 7523, section 2.1; RFC 7009.
"""

from __future__ import annotations

import base64
import hashlib
import json
from http.client import UNAUTHORIZED
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from attrs import evolve

from freshkey_testing.server.grants import Refused
from freshkey_testing.server.wire import Answer, Asked, json_answer


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from freshkey_testing.server.account import Account
    from freshkey_testing.server.authorize import AuthorizeEndpoint
    from freshkey_testing.server.client_check import ClientCheck
    from freshkey_testing.server.device import DeviceEndpoint
    from freshkey_testing.server.grants import Grant, Grants, Issued
    from freshkey_testing.server.policy import Policy

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
ASSERTION_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SECRET_FIELDS: Final = (
    *("assertion", "client_assertion", "code", "code_verifier", "refresh_token", "access_token", "device_code"),
    "token",
)


class TokenEndpoint:
    """Exchanges codes and refresh tokens for tokens, and revokes tokens.

    Args:
        policy: The server's behavior.
        grants: The server's grants.
        authorize: The endpoint that issued the authorization codes.
        device: The endpoint that issued the device codes.
        check: Checks the client; assertions are exchanged for any client.
        id_token: Returns the ID token of a sign-in.
        account: Returns the account of a trusted assertion.
        extra: Returns the fields of a token response that are not in RFC 6749.
        now: Returns elapsed seconds.
    """

    def __init__(
        self,
        policy: Policy,
        grants: Grants,
        authorize: AuthorizeEndpoint,
        device: DeviceEndpoint,
        *,
        check: ClientCheck,
        id_token: Callable[[Grant], str],
        account: Callable[[], Account],
        extra: Callable[[Account], Mapping[str, object]],
        now: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._grants = grants
        self._authorize = authorize
        self._device = device
        self._check = check
        self._id_token = id_token
        self._account = account
        self._extra = extra
        self._now = now
        self._used_codes: dict[str, Grant] = {}

    def answer(self, asked: Asked) -> Answer:
        """Respond to a token request."""
        return self._guarded(asked, lambda fields: self._tokens(self._issue(fields)))

    def begin_device(self, asked: Asked) -> Answer:
        """Respond to a device authorization request (RFC 8628, section 3.1)."""
        return self._guarded(asked, self._device.begin)

    def revoke(self, asked: Asked) -> Answer:
        """Respond to a revocation request; an unknown token is not an error (RFC 7009, section 2.2)."""
        return self._guarded(asked, self._revoke)

    def _guarded(self, asked: Asked, act: Callable[[dict[str, str]], Answer]) -> Answer:
        try:
            fields = _fields(asked)
            self._grants.secrets.update(fields[name] for name in _SECRET_FIELDS if fields.get(name))
            if fields.get("grant_type") != ASSERTION_GRANT:
                self._check.check(asked, fields)
            return act(fields)
        except Refused as refused:
            self._grants.note("request.refused", detail=refused.error)
            answer = json_answer({"error": refused.error, "error_description": refused.description}, refused.status)
            # Required for a client that tried to authenticate with the header (RFC 6749, section 5.2).
            challenge = {"WWW-Authenticate": "Basic"} if "authorization" in asked.headers else {}
            return evolve(answer, headers={**answer.headers, **(challenge if refused.status == UNAUTHORIZED else {})})

    def _revoke(self, fields: dict[str, str]) -> Answer:
        self._grants.revoke(_required(fields, "token"))
        return Answer(status=200)

    def _issue(self, fields: dict[str, str]) -> Issued:
        kind = fields.get("grant_type")
        if kind == "authorization_code":
            return self._exchange_code(fields)
        if kind == "refresh_token":
            return self._grants.renew(_required(fields, "refresh_token"))
        if kind == DEVICE_GRANT:
            return self._device.poll(_required(fields, "device_code"))
        if kind == ASSERTION_GRANT:
            return self._exchange_assertion(_required(fields, "assertion"), fields.get("scope", ""))
        if kind == "client_credentials":
            return self._token_of_client(fields.get("scope", ""))
        raise Refused("unsupported_grant_type", "This grant type is not supported")

    def _exchange_assertion(self, assertion: str, scope: str) -> Issued:
        """Exchange an assertion, which may be used any number of times (RFC 7523, section 2.1)."""
        if assertion not in self._grants.trusted:
            raise Refused("invalid_grant", "The assertion is not trusted")
        return self._grants.begin("assertion", self._account(), tuple(scope.split()), renewable=False)

    def _token_of_client(self, scope: str) -> Issued:
        """Issue a token for the client itself, which must be confidential (RFC 6749, section 4.4)."""
        if self._policy.client_authentication == "none":
            raise Refused("unauthorized_client", "Only a client that authenticates gets a token for itself")
        scopes = tuple(scope.split())
        return self._grants.begin("client_credentials", self._account(), scopes, renewable=False, of_client=True)

    def _exchange_code(self, fields: dict[str, str]) -> Issued:
        code = _required(fields, "code")
        pending = self._authorize.codes.pop(code, None)
        verifier = _required(fields, "code_verifier")
        if self._policy.state_in_body:
            _required(fields, "state", "oauth_request_parse_error")
        if code in self._used_codes:
            self._code_used_again(self._used_codes[code])
        if pending is None or self._now() >= pending.end:
            raise Refused("invalid_grant", "Authorization code not found, used or expired")
        if fields.get("redirect_uri") != pending.redirect_uri:
            raise Refused("invalid_grant", "redirect_uri does not match the authorization request")
        if _challenge(verifier) != pending.challenge:
            raise Refused("invalid_grant", "code_verifier does not match the challenge")
        if self._policy.state_in_body and fields["state"] != pending.state:
            raise Refused("invalid_grant", "state does not match the authorization request")
        issued = self._grants.begin("authorization_code", pending.account, pending.scopes, nonce=pending.nonce)
        self._used_codes[code] = issued.grant
        return issued

    def _code_used_again(self, grant: Grant) -> None:
        """Revoke the grant that the first use of the code created (RFC 6749, section 4.1.2)."""
        self._grants.note("code.reused", grant)
        if not grant.revoked:
            self._grants.end(grant)

    def _tokens(self, issued: Issued) -> Answer:
        grant = issued.grant
        refresh = {} if issued.refresh_token is None else {"refresh_token": issued.refresh_token}
        of_user = {} if grant.of_client else self._extra(grant.account)
        signed_in = "openid" in grant.scopes and not grant.of_client
        return json_answer(
            {
                "access_token": issued.access_token,
                "token_type": "Bearer",
                "expires_in": self._policy.expires_in,
                "scope": " ".join(grant.scopes),
                **refresh,
                **({"id_token": self._id_token(grant)} if signed_in else {}),
                **of_user,
            }
        )


def _challenge(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636, section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _required(fields: dict[str, str], name: str, error: str = "invalid_request") -> str:
    if not fields.get(name):
        raise Refused(error, f"{name} is missing")
    return fields[name]


def _fields(asked: Asked) -> dict[str, str]:
    """Read a form, or a JSON object, which Claude's endpoints also accept; a repeated name is an error."""
    kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
    if asked.method != "POST" or kind not in {"application/x-www-form-urlencoded", "application/json"}:
        raise Refused("invalid_request", "POST a form or a JSON object")
    try:
        pairs = _json_pairs(asked.body) if kind == "application/json" else parse_qsl(asked.body.decode())
    except ValueError:
        raise Refused("invalid_request", "The body cannot be read") from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise Refused("invalid_request", "A field is given twice")
    return dict(pairs)


def _json_pairs(body: bytes) -> list[tuple[str, str]]:
    pairs = json.loads(body, object_pairs_hook=list)
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        raise ValueError("not a JSON object")
    return [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in pairs]
