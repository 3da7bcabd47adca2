"""An OpenID Connect issuer in a script: metadata, keys, tokens and userinfo, without a socket.

Its ID tokens have real signatures, made with joserfc, and times of the profile's clock. What a test changes in its
attributes counts from then on, so that it can answer as a broken or a hostile issuer would.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from attrs import define, field
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from counterparts.signed import new_key, public
from freshkey.clock import Clock
from freshkey.plugin import Request, Response
from freshkey_testing import ScriptedExchanges, ScriptedUser


ISSUER: Final = "https://id.example.test"
CLIENT: Final = "app-1"
SUBJECT: Final = "user-1"
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_ENDPOINTS: Final = ("authorization", "token", "revocation", "userinfo", "device_authorization")


@define
class ScriptedIssuer:
    """An issuer that answers the requests of one test.

    Attributes:
        http: The script that answers.
        clock: The clock of the profile.
        key: Signs ID tokens.
        published: The keys in its JWK Set.
        metadata: Its metadata document.
        claims: More claims of ID tokens, or others; None leaves one out.
        id_token: Returns the ID token for these claims; None leaves it out.
        tokens: More members of token responses, or others; None leaves one out.
        userinfo: The userinfo response.
        asked: The fields of every request to the token endpoint, oldest first; they contain secrets.
        nonce: That of the last authorization request.
    """

    http: ScriptedExchanges
    clock: Clock
    key: ECKey | RSAKey = field(factory=new_key, repr=False)
    published: list[dict[str, Any]] = field(init=False)
    metadata: dict[str, Any] = field(init=False)
    claims: dict[str, Any] = field(factory=dict)
    id_token: Callable[[dict[str, Any]], str | None] = field(init=False)
    tokens: dict[str, Any] = field(factory=dict)
    userinfo: dict[str, Any] = field(factory=lambda: {"sub": SUBJECT, "name": "Ada", "email": "ada@example.test"})
    asked: list[dict[str, list[str]]] = field(factory=list, repr=False)
    nonce: str | None = None
    _numbers: itertools.count[int] = field(factory=lambda: itertools.count(1))

    def __attrs_post_init__(self) -> None:
        self.published = [public(self.key)]
        self.id_token = self.signed
        endpoints = {f"{name}_endpoint": f"{ISSUER}/{name}" for name in _ENDPOINTS}
        self.metadata = {
            "issuer": ISSUER,
            "jwks_uri": f"{ISSUER}/keys",
            **endpoints,
            "authorization_response_iss_parameter_supported": True,
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
        }
        self._answer("GET", "/.well-known/oauth-authorization-server", lambda _: self.metadata)
        self._answer("GET", "/keys", lambda _: {"keys": self.published})
        self._answer("POST", "/token", self._tokens)
        self._answer("GET", "/userinfo", lambda _: self.userinfo)
        self._answer("POST", "/device_authorization", lambda _: self._device())
        self.http.on("POST", f"{ISSUER}/revocation")

    @property
    def settings(self) -> dict[str, object]:
        """The settings of a profile that signs in here."""
        return {"issuer": ISSUER, "client_id": CLIENT}

    def user(self, **changes: str) -> ScriptedUser:
        """Return a user who signs in and pastes the redirect; `changes` are its parameters, such as another ``iss``."""
        return ScriptedUser(paste=lambda urls: self.redirected(urls, **changes))

    def redirected(self, urls: Sequence[str], **changes: str) -> str:
        """Return the address to which the issuer sends the browser."""
        url = next(found for shown in urls for found in re.findall(r"https?://\S+", shown) if "state=" in found)
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        self.nonce = asked.get("nonce")
        answer = {"code": "a-code", "state": asked["state"], "iss": ISSUER} | changes
        return f"{asked['redirect_uri']}?" + "&".join(f"{name}={quote(text, safe='')}" for name, text in answer.items())

    def signed(self, claims: dict[str, Any]) -> str:
        """Return an ID token as the issuer signs it."""
        return jwt.encode({"alg": str(self.key.alg), "kid": str(self.key.kid)}, claims, self.key)

    def _tokens(self, request: Request) -> Mapping[str, object]:
        form = parse_qs(request.body.decode())
        self.asked.append(form)
        grant, number = form["grant_type"][0], next(self._numbers)
        answer: dict[str, Any] = {"access_token": f"access-{number}", "token_type": "Bearer", "expires_in": 3600}
        if grant in {"authorization_code", "refresh_token", DEVICE_GRANT}:
            now = int(self.clock.now().wall)
            claims = {"iss": ISSUER, "sub": SUBJECT, "aud": CLIENT, "iat": now, "exp": now + 300}
            if grant == "authorization_code":
                claims |= {"nonce": self.nonce}
            chosen = {name: value for name, value in (claims | self.claims).items() if value is not None}
            answer |= {"refresh_token": f"refresh-{number}", "id_token": self.id_token(chosen)}
        return {name: value for name, value in (answer | self.tokens).items() if value is not None}

    @staticmethod
    def _device() -> Mapping[str, object]:
        return {
            "device_code": "a-device-code",
            "user_code": "ABCD-EFGH",
            "verification_uri": f"{ISSUER}/device",
            "expires_in": 600,
        }

    def _answer(self, method: str, path: str, members: Callable[[Request], Mapping[str, object]]) -> None:
        def reply(request: Request) -> Response:
            body = json.dumps(members(request)).encode()
            return Response(status=200, headers={"content-type": "application/json"}, body=body)

        self.http.on(method, ISSUER + path, reply=reply)
