"""A minimal OAuth client, for tests that check a counterpart, or need a token, without any code of freshkey."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from counterparts.authentication import Authenticate, nothing
from counterparts.pages import authorize
from counterparts.server_process import ServerProcess


DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
UNUSED_REDIRECT: Final = "http://127.0.0.1:9/callback"


class PlainClient:
    """Calls one server with plain HTTP; each call returns the unmodified response.

    Without other arguments it is the server's public client.
    """

    def __init__(
        self,
        server: ServerProcess,
        *,
        client_id: str | None = None,
        authenticate: Authenticate = nothing,
        scope: str = "openid offline_access",
    ) -> None:
        self._server = server
        self._client_id = client_id or server.client_id
        self._authenticate = authenticate
        self._scope = scope
        self._verifier = secrets.token_urlsafe(40)

    def authorization_url(self, redirect_uri: str, **parameters: str) -> str:
        """Return the URL that the user opens (RFC 6749, section 4.1.1; RFC 7636, section 4.3)."""
        return self._url("authorize") + "?" + urlencode(self._query(redirect_uri, parameters))

    def push(self, redirect_uri: str, **parameters: str) -> httpx.Response:
        """Send the parameters of the authorization request ahead (RFC 9126, section 2.1)."""
        return self._post("push", self._query(redirect_uri, parameters))

    def pushed_url(self, redirect_uri: str, **parameters: str) -> str:
        """Return the URL that the user opens after the parameters were sent ahead (RFC 9126, section 4)."""
        request_uri = self.push(redirect_uri, **parameters).raise_for_status().json()["request_uri"]
        return self._url("authorize") + "?" + urlencode({"client_id": self._client_id, "request_uri": request_uri})

    def _query(self, redirect_uri: str, parameters: dict[str, str]) -> dict[str, str]:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self._verifier.encode()).digest()).rstrip(b"=").decode()
        return {
            "client_id": self._client_id,
            "response_type": "code",
            "redirect_uri": redirect_uri,
            "scope": self._scope,
            "state": "a-state",
            "prompt": "consent",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **parameters,
        }

    def exchange(self, code: str, redirect_uri: str, **parameters: str) -> httpx.Response:
        """Exchange an authorization code for tokens."""
        return self.token(
            grant_type="authorization_code",
            code=code,
            redirect_uri=redirect_uri,
            code_verifier=self._verifier,
            **parameters,
        )

    def tokens(self, **parameters: str) -> dict[str, Any]:
        """Sign in without a browser and a listener, and return the token response."""
        redirect = authorize(self.authorization_url(UNUSED_REDIRECT, **parameters))
        code = dict(parse_qsl(urlsplit(redirect).query))["code"]
        tokens: dict[str, Any] = self.exchange(code, UNUSED_REDIRECT).raise_for_status().json()
        return tokens

    def refresh(self, refresh_token: str, **parameters: str) -> httpx.Response:
        """Request new tokens (RFC 6749, section 6)."""
        return self.token(grant_type="refresh_token", refresh_token=refresh_token, **parameters)

    def own_token(self, **parameters: str) -> httpx.Response:
        """Request a token for the client itself (RFC 6749, section 4.4)."""
        return self.token(grant_type="client_credentials", **parameters)

    def token(self, **parameters: str) -> httpx.Response:
        """Send one request to the token endpoint."""
        return self._post("token", parameters)

    def revoke(self, token: str) -> httpx.Response:
        """Revoke a token (RFC 7009)."""
        return self._post("revoke", {"token": token})

    def introspect(self, token: str) -> httpx.Response:
        """Ask whether a token is active (RFC 7662)."""
        return self._post("introspect", {"token": token})

    def device(self) -> dict[str, Any]:
        """Start a device sign-in (RFC 8628, section 3.1)."""
        answer: dict[str, Any] = self._post("device", {"scope": self._scope}).raise_for_status().json()
        return answer

    def poll(self, device_code: str) -> httpx.Response:
        """Poll once whether the user has approved (RFC 8628, section 3.4)."""
        return self.token(grant_type=DEVICE_GRANT, device_code=device_code)

    def userinfo(self, access_token: str) -> httpx.Response:
        """Use an access token."""
        headers = {"Authorization": f"Bearer {access_token}"}
        return httpx.get(self._url("userinfo"), headers=headers, trust_env=False, timeout=20)

    def _url(self, name: str) -> str:
        return self._server.url(self._server.paths[name])

    def _post(self, name: str, parameters: dict[str, str]) -> httpx.Response:
        form = {"client_id": self._client_id, **parameters}
        authentication = self._authenticate(form)
        return httpx.post(self._url(name), data=form, auth=authentication, trust_env=False, timeout=20)
