"""IAM Identity Center on loopback: SSO-OIDC and the access portal, which moto does not have.

It follows botocore's models (``sso-oidc`` and ``sso``, 2019-06-10), including errors, and tests check it with
botocore's own clients. One user is signed in; the user's identity is not modeled.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlencode

from attrs import define, field

from freshkey.clock import SYSTEM, Clock
from freshkey.model.endpoints import LOOPBACK
from freshkey.oauth.protocol import DEVICE_GRANT
from freshkey_testing.server.wire import Answer, Asked, Listener, json_answer, page


START_URL: Final = "https://example.awsapps.com/start"
ACCOUNT: Final = "111122223333"
ROLE: Final = "BedrockUser"
BEARER: Final = "x-amz-sso_bearer_token"

RoleKeys = Callable[[int], Mapping[str, str]]
"""Returns access key, secret key and session token of the n-th role credentials."""


def made_up_keys(number: int) -> dict[str, str]:
    """Return made-up keys, unknown to any service."""
    return {
        "accessKeyId": f"ASIASSODOUBLE{number:07d}",
        "secretAccessKey": f"secret-of-role-credentials-{number}",
        "sessionToken": f"session-token-of-role-credentials-{number}",
    }


@define
class _Device:
    """A device code and its state."""

    client: str
    ends: float
    approved: bool = False
    denied: bool = False


@define
class _Code:
    """An authorization code and the values that its exchange must repeat."""

    client: str
    redirect_uri: str
    challenge: str


@define
class _Refresh:
    """A single-use refresh token of a client."""

    client: str
    spent: bool = False


@define
class Knobs:
    """The behavior of the double; may be changed while it runs.

    Attributes:
        token_seconds: Lifetime of access tokens.
        role_seconds: Lifetime of role credentials.
        registration_seconds: Lifetime of client registrations.
        device_seconds: Lifetime of device codes.
        pending: Number of polls that get ``authorization_pending`` although the user has approved.
        slow_downs: Number of polls before those that get ``slow_down``.
        denies: Whether the user denies the sign-in.
        refreshes: Whether sign-ins return a refresh token.
        role_keys: Returns role credentials.
        portal_status: Status codes of the access portal's next responses, instead of the normal ones.
        token_error: Error of the next token request.
        bodies: Fixed response bodies by path, sent with status 200.
        broken: Paths whose connections are closed before the response.
    """

    token_seconds: float = 8 * 3600.0
    role_seconds: float = 3600.0
    registration_seconds: float = 90 * 86400.0
    device_seconds: float = 600.0
    pending: int = 0
    slow_downs: int = 0
    denies: bool = False
    refreshes: bool = True
    role_keys: RoleKeys = made_up_keys
    portal_status: list[int] = field(factory=list)
    token_error: str | None = None
    bodies: dict[str, bytes] = field(factory=dict)
    broken: set[str] = field(factory=set)


class SsoDouble:
    """Both services on one port of 127.0.0.1; a context manager.

    Args:
        clock: Decides when something has expired.
        account: The only account.
        role: The only role in it.

    Attributes:
        knobs: The behavior of the double.
        asked: Method and path of each request so far.
        bodies: The decoded JSON bodies so far, by path. They contain secrets: check them, but never print them.
    """

    def __init__(self, *, clock: Clock = SYSTEM, account: str = ACCOUNT, role: str = ROLE) -> None:
        self.knobs = Knobs()
        self.asked: list[str] = []
        self.bodies: list[tuple[str, dict[str, Any]]] = []
        self._clock = clock
        self._account = account
        self._role = role
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._clients: dict[str, tuple[str, float]] = {}
        self._devices: dict[str, _Device] = {}
        self._codes: dict[str, _Code] = {}
        self._tokens: dict[str, float] = {}
        self._refresh: dict[str, _Refresh] = {}
        self._listener = Listener(self._answer)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._listener.stop()
        if kind is None and self._listener.failures:
            raise self._listener.failures[0]

    @property
    def url(self) -> str:
        """The URL of both services."""
        return f"http://127.0.0.1:{self._listener.port}"

    def settings(self) -> dict[str, object]:
        """Return settings for a profile that uses this double."""
        return {
            "sso_start_url": START_URL,
            "sso_region": "eu-west-1",
            "sso_account_id": self._account,
            "sso_role_name": self._role,
            "sso_oidc_url": self.url,
            "sso_portal_url": self.url,
            "allow_insecure_loopback": True,
        }

    def count(self, path: str) -> int:
        """Return the number of requests to a path."""
        return sum(1 for asked in self.asked if asked.partition(" ")[2] == path)

    def end_tokens(self) -> None:
        """Revoke every access token, as an administrator would; refresh tokens stay valid."""
        with self._lock:
            self._tokens.clear()

    def end_session(self) -> None:
        """Revoke every token and credential from sign-ins."""
        with self._lock:
            self._tokens.clear()
            self._refresh.clear()

    def honors(self, access_token: str) -> bool:
        """Return whether an access token is valid."""
        with self._lock:
            return self._tokens.get(access_token, 0.0) > self._now

    # --- serving ----------------------------------------------------------------------------------------------

    @property
    def _now(self) -> float:
        return self._clock.now().wall

    def _answer(self, asked: Asked) -> Answer:
        routes = {
            "POST /client/register": self._register,
            "POST /device_authorization": self._device,
            "GET /device": self._approve,
            "GET /authorize": self._authorize,
            "POST /token": self._token,
            "GET /federation/credentials": self._role_credentials,
            "POST /logout": self._logout,
        }
        name = f"{asked.method} {asked.path}"
        with self._lock:
            self.asked.append(name)
            if asked.body:
                self.bodies.append((asked.path, json.loads(asked.body)))
            if asked.path in self.knobs.broken:
                return Answer(status=200, broken=True)
            if asked.path in self.knobs.bodies:
                return Answer(status=200, body=self.knobs.bodies[asked.path])
            route = routes.get(name)
            return route(asked) if route else _portal_error(404, "ResourceNotFoundException")

    def _next(self, kind: str) -> str:
        return f"{kind}-{next(self._numbers)}"

    # --- SSO-OIDC ---------------------------------------------------------------------------------------------

    def _register(self, asked: Asked) -> Answer:
        wanted = json.loads(asked.body)
        if not wanted.get("clientName") or wanted.get("clientType") != "public":
            return _refused("invalid_client_metadata", "InvalidClientMetadataException")
        loopback = all(uri == "http://127.0.0.1/oauth/callback" for uri in wanted.get("redirectUris", []))
        if not loopback or ("authorization_code" in wanted.get("grantTypes", [])) != bool(wanted.get("redirectUris")):
            return _refused("invalid_redirect_uri", "InvalidRedirectUriException")
        client, secret = self._next("client"), self._next("client-secret")
        ends = self._now + self.knobs.registration_seconds
        self._clients[client] = secret, ends
        issued = {"clientIdIssuedAt": int(self._now), "clientSecretExpiresAt": int(ends)}
        return json_answer({"clientId": client, "clientSecret": secret, **issued})

    def _client_is_known(self, fields: Mapping[str, str]) -> bool:
        secret, ends = self._clients.get(fields.get("clientId", ""), ("", 0.0))
        return bool(secret) and fields.get("clientSecret") == secret and ends > self._now

    def _device(self, asked: Asked) -> Answer:
        fields = json.loads(asked.body)
        if not self._client_is_known(fields):
            return _refused("invalid_client", "InvalidClientException")
        if fields.get("startUrl") != START_URL:
            return _refused("invalid_request", "InvalidRequestException")
        code = self._next("device-code")
        self._devices[code] = _Device(client=fields["clientId"], ends=self._now + self.knobs.device_seconds)
        page_url = f"{self.url}/device"
        return json_answer(
            {
                "deviceCode": code,
                "userCode": "ABCD-EFGH",
                "verificationUri": page_url,
                "verificationUriComplete": f"{page_url}?user_code=ABCD-EFGH",
                "expiresIn": int(self.knobs.device_seconds),
                "interval": 1,
            }
        )

    def _approve(self, asked: Asked) -> Answer:
        for device in self._devices.values():
            device.denied, device.approved = self.knobs.denies, not self.knobs.denies
        return page("Request approved")

    def _authorize(self, asked: Asked) -> Answer:
        query = dict(asked.query)
        if query.get("client_id") not in self._clients or query.get("scopes") != "sso:account:access":
            return page("invalid request", 400)
        redirect = query.get("redirect_uri", "")
        host = redirect.removeprefix("http://").partition(":")[0]
        if host not in LOOPBACK or not redirect.endswith("/oauth/callback"):
            return page("invalid redirect", 400)
        back = {"state": query["state"]}
        if self.knobs.denies:
            back |= {"error": "access_denied"}
        else:
            code = back["code"] = self._next("code")
            self._codes[code] = _Code(query["client_id"], redirect, query["code_challenge"])
        return Answer(status=302, headers={"Location": f"{redirect}?{urlencode(back)}"})

    def _token(self, asked: Asked) -> Answer:
        fields = json.loads(asked.body)
        if self.knobs.token_error is not None:
            error, self.knobs.token_error = self.knobs.token_error, None
            return _refused(error, "InternalServerException" if error == "server_error" else "InvalidRequestException")
        if not self._client_is_known(fields):
            return _refused("invalid_client", "InvalidClientException")
        grants = {
            DEVICE_GRANT: self._by_device,
            "authorization_code": self._by_code,
            "refresh_token": self._by_refresh,
        }
        grant = grants.get(fields.get("grantType", ""))
        return grant(fields) if grant else _refused("unsupported_grant_type", "UnsupportedGrantTypeException")

    def _by_device(self, fields: Mapping[str, str]) -> Answer:
        device = self._devices.get(fields.get("deviceCode", ""))
        if device is None or device.client != fields["clientId"]:
            return _refused("invalid_grant", "InvalidGrantException")
        if device.ends <= self._now:
            return _refused("expired_token", "ExpiredTokenException")
        if device.denied:
            return _refused("access_denied", "AccessDeniedException")
        if self.knobs.slow_downs:
            self.knobs.slow_downs -= 1
            return _refused("slow_down", "SlowDownException")
        if not device.approved or self.knobs.pending:
            self.knobs.pending = max(0, self.knobs.pending - device.approved)
            return _refused("authorization_pending", "AuthorizationPendingException")
        del self._devices[fields["deviceCode"]]
        return self._grant(fields["clientId"])

    def _by_code(self, fields: Mapping[str, str]) -> Answer:
        code = self._codes.pop(fields.get("code", ""), None)
        same = code is not None and code.client == fields["clientId"] and code.redirect_uri == fields.get("redirectUri")
        if code is None or not same or not _proves(fields.get("codeVerifier", ""), code.challenge):
            return _refused("invalid_grant", "InvalidGrantException")
        return self._grant(fields["clientId"])

    def _by_refresh(self, fields: Mapping[str, str]) -> Answer:
        known = self._refresh.get(fields.get("refreshToken", ""))
        if known is None or known.spent or known.client != fields["clientId"]:
            return _refused("invalid_grant", "InvalidGrantException")
        known.spent = True
        return self._grant(fields["clientId"])

    def _grant(self, client: str) -> Answer:
        token = self._next("access-token")
        self._tokens[token] = self._now + self.knobs.token_seconds
        granted = {"accessToken": token, "tokenType": "Bearer", "expiresIn": int(self.knobs.token_seconds)}
        if self.knobs.refreshes:
            refresh = granted["refreshToken"] = self._next("refresh-token")
            self._refresh[refresh] = _Refresh(client)
        return json_answer(granted)

    # --- the access portal ------------------------------------------------------------------------------------

    def _portal_refusal(self, asked: Asked) -> Answer | None:
        if self.knobs.portal_status:
            return _portal_error(self.knobs.portal_status.pop(0), "TooManyRequestsException")
        if self._tokens.get(asked.headers.get(BEARER, ""), 0.0) <= self._now:
            return _portal_error(401, "UnauthorizedException", "Session token not found or invalid")
        return None

    def _role_credentials(self, asked: Asked) -> Answer:
        refusal = self._portal_refusal(asked)
        if refusal is not None:
            return refusal
        wanted = dict(asked.query)
        if (wanted.get("account_id"), wanted.get("role_name")) != (self._account, self._role):
            return _portal_error(403, "ForbiddenException", "No access")
        ends = (self._now + self.knobs.role_seconds) * 1000
        keys = self.knobs.role_keys(next(self._numbers))
        return json_answer({"roleCredentials": {**keys, "expiration": int(ends)}})

    def _logout(self, asked: Asked) -> Answer:
        refusal = self._portal_refusal(asked)
        if refusal is not None:
            return refusal
        self._tokens.clear()
        self._refresh.clear()
        return Answer(status=200)


def _proves(verifier: str, challenge: str) -> bool:
    """Verify with an independent implementation (RFC 7636, section 4.6)."""
    import base64
    import hashlib

    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=") == challenge


def _refused(error: str, kind: str) -> Answer:
    status = {"invalid_client": 401, "server_error": 500}.get(error, 400)
    body = {"error": error, "error_description": f"made up: {error}"}
    return Answer(
        status=status,
        body=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "x-amzn-ErrorType": kind, "x-amzn-RequestId": "made-up-request"},
    )


def _portal_error(status: int, kind: str, message: str = "made up") -> Answer:
    body = {"message": message, "__type": f"com.amazonaws.switchboard.portal#{kind}"}
    return Answer(
        status=status,
        body=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "x-amzn-ErrorType": f"{kind}:http://internal.amazon.com/"},
    )


def fields_of(url: str) -> dict[str, str]:
    """Return the query parameters of a URL shown to the user."""
    return dict(parse_qsl(url.partition("?")[2]))
