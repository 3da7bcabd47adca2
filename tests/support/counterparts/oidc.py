"""Starts npm's oidc-provider, a certified authorization server with refresh token rotation and reuse detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Self

from counterparts.pages import approve_device, authorize, sign_in
from counterparts.requires import NODE_FOLDER, node, require
from counterparts.server_process import ServerProcess


__all__ = ["RESOURCE", "OidcServer", "approve_device", "authorize", "sign_in"]

RESOURCE: Final = "https://api.example.test/"
"""The only resource indicator (RFC 8707) known to the server; its scopes are `read` and `write`."""


class OidcServer(ServerProcess):
    """An authorization server on loopback; a context manager.

    The client `client_id` is public, must use PKCE (S256) and may use any loopback port in `redirect_uris`. Every
    sign-in returns a refresh token. `machines` are the metadata of clients that get tokens for themselves. The server
    stores nothing: starting a new one on the same `port` simulates a server that has forgotten every grant.
    """

    name = "oidc-provider"
    paths: ClassVar[Mapping[str, str]] = {
        "authorize": "/auth",
        "token": "/token",
        "revoke": "/token/revocation",
        "introspect": "/token/introspection",
        "device": "/device/auth",
        "userinfo": "/me",
    }

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
        self.scopes = tuple(scopes)
        options = {
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
        super().__init__([str(node()), "oidc_server.mjs"], NODE_FOLDER, client_id, options)

    def __enter__(self) -> Self:
        require("oidc-provider")
        return super().__enter__()
