"""A client of the small authorization server that uses only http.client, and no code of freshkey."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from attrs import frozen

from freshkey_testing import AuthorizationServer
from freshkey_testing.browser import visit


VERIFIER = "verifier-" + "v" * 43
REDIRECT = "http://127.0.0.1:1/callback"


@frozen
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


class PlainClient:
    def __init__(self, server: AuthorizationServer) -> None:
        self.server = server

    def request(self, method: str, url: str, body: bytes = b"", **headers: str) -> Reply:
        address = urlsplit(url)
        assert address.hostname is not None
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
        try:
            connection.request(method, address.path, body, {n.replace("_", "-"): v for n, v in headers.items()})
            answer = connection.getresponse()
            return Reply(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def post(self, url: str, **fields: str) -> Reply:
        body = urlencode({"client_id": self.server.client_id, **fields}).encode()
        return self.request("POST", url, body, Content_Type="application/x-www-form-urlencoded")

    def post_json(self, url: str, **fields: object) -> Reply:
        body = json.dumps({"client_id": self.server.client_id, **fields}).encode()
        return self.request("POST", url, body, Content_Type="application/json")

    def authorize_url(self, **changes: str) -> str:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.server.client_id,
            "redirect_uri": REDIRECT,
            "scope": "user:profile user:inference",
            "state": "the-state",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **changes,
        }
        return f"{self.server.urls.authorize}?{urlencode(query)}"

    def authorize(self, **changes: str) -> dict[str, str]:
        page = visit(self.authorize_url(**changes))
        assert page.status == 302
        assert page.location is not None
        return {name: values[0] for name, values in parse_qs(urlsplit(page.location).query).items()}

    def exchange(self, code: str, **changes: str) -> Reply:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": VERIFIER,
            "redirect_uri": REDIRECT,
            **changes,
        }
        return self.post(self.server.urls.token, **fields)

    def sign_in(self) -> dict[str, Any]:
        reply = self.exchange(self.authorize()["code"])
        assert reply.status == 200
        return reply.json

    def renew(self, refresh_token: str) -> Reply:
        return self.post(self.server.urls.token, grant_type="refresh_token", refresh_token=refresh_token)

    def get(self, url: str, access_token: str) -> Reply:
        return self.request("GET", url, Authorization=f"Bearer {access_token}")

    def works(self, access_token: str) -> bool:
        status = self.get(self.server.urls.resource, access_token).status
        assert status in {200, 401}
        return status == 200
