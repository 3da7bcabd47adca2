"""Starts npm's oidc-provider, a certified authorization server with refresh token rotation and reuse detection."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any, Final, Self

import httpx

from counterparts.pages import approve_device, authorize, sign_in
from counterparts.requires import NODE_FOLDER, node, require


__all__ = ["RESOURCE", "OidcServer", "approve_device", "authorize", "sign_in"]

RESOURCE: Final = "https://api.example.test/"
"""The only resource indicator (RFC 8707) known to the server; its scopes are `read` and `write`."""


class OidcServer:
    """An authorization server on loopback; a context manager.

    The client `client_id` is public, must use PKCE (S256) and may use any loopback port in `redirect_uris`. Every
    sign-in returns a refresh token. `machines` are the metadata of clients that get tokens for themselves. The server
    stores nothing: starting a new one on the same `port` simulates a server that has forgotten every grant.
    """

    def __init__(
        self,
        *,
        access_token_seconds: int = 3,
        refresh_token_seconds: int = 3600,
        device_code_seconds: int = 60,
        rotate: bool = True,
        port: int = 0,
        client_id: str = "freshkey-tests",
        redirect_uris: Sequence[str] = ("http://127.0.0.1/callback", "http://localhost/callback"),
        scopes: Sequence[str] = ("openid", "offline_access", "profile", "email"),
        machines: Sequence[Mapping[str, object]] = (),
    ) -> None:
        self.client_id = client_id
        self.scopes = tuple(scopes)
        self.issuer = ""
        self._options = {
            "access_token_seconds": access_token_seconds,
            "refresh_token_seconds": refresh_token_seconds,
            "device_code_seconds": device_code_seconds,
            "rotate": rotate,
            "port": port,
            "client_id": client_id,
            "redirect_uris": list(redirect_uris),
            "scopes": list(scopes),
            "resource": RESOURCE,
            "machines": list(machines),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._messages: IO[bytes] | None = None

    def __enter__(self) -> Self:
        require("oidc-provider")
        self._messages = TemporaryFile()
        self._process = subprocess.Popen(
            [str(node()), "oidc_server.mjs", json.dumps(self._options)],
            cwd=NODE_FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
        )
        self.issuer = self._wait_until_ready(self._process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> str:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            message = self._said()
            self.stop()
            raise RuntimeError(f"oidc-provider did not start: {message}")
        return str(json.loads(line)["issuer"])

    def _said(self) -> str:
        assert self._messages is not None
        self._messages.seek(0)
        return self._messages.read().decode(errors="replace")

    def stop(self) -> None:
        """Stop the server at once; afterwards the port refuses connections."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
        if self._messages is not None:
            self._messages.close()
            self._messages = None

    @property
    def port(self) -> int:
        """The loopback port it listens on."""
        return int(self.issuer.rpartition(":")[2])

    @property
    def pid(self) -> int:
        """The process id, for a test that stops it with a signal."""
        assert self._process is not None
        return self._process.pid

    def url(self, path: str) -> str:
        """Return the URL of an endpoint: `/auth`, `/token`, `/token/revocation`, `/device/auth`, `/me`, and so on."""
        return self.issuer + path

    def events(self) -> list[dict[str, Any]]:
        """Return the events so far, oldest first: kind, time, digests of grant and token, grant_type, error, reason."""
        events: list[dict[str, Any]] = httpx.get(self.url("/_events"), trust_env=False, timeout=20).json()
        return events

    def count(self, kind: str, **facts: str) -> int:
        """Return the number of events of this kind, such as `count("grant.success", grant_type="refresh_token")`."""
        wanted = {"kind": kind, **facts}.items()
        return sum(wanted <= event.items() for event in self.events())

    def refuse(self, times: int, status: int = 503) -> None:
        """Respond to the next requests to the token endpoint with this status and an empty body, without acting."""
        self._fault({"refuse": times, "status": status})

    def lose_answers(self, times: int = 1) -> None:
        """Act on the next requests to the token endpoint, but close the connection without a response."""
        self._fault({"lose": times})

    def _fault(self, fault: dict[str, int]) -> None:
        httpx.post(self.url("/_faults"), json=fault, trust_env=False, timeout=20).raise_for_status()
