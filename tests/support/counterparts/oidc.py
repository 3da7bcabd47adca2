"""Starts npm's oidc-provider, a certified authorization server with refresh token rotation and reuse detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal, Self

from counterparts.pages import approve_device, authorize, sign_in
from counterparts.requires import NODE_FOLDER, node, require
from counterparts.server_process import ServerProcess


__all__ = ["RESOURCE", "OidcServer", "approve_device", "authorize", "sign_in"]

RESOURCE: Final = "https://api.example.test/"
"""The resource indicator (RFC 8707) that the server knows by default; the scopes of each are `read` and `write`."""


class OidcServer(ServerProcess):
    """An authorization server on loopback; a context manager.

    The client `client_id` is public, must use PKCE (S256) and may use any loopback port in `redirect_uris`. Every
    sign-in returns a refresh token. `clients` are the metadata of more clients, which may use all four grants unless
    they say otherwise; `machines` are those of clients that only get tokens for themselves. `pushed` says whether the
    parameters of an authorization request may, must or cannot be sent ahead (RFC 9126). Every redirect has the issuer
    (RFC 9207). The server stores nothing: starting a new one on the same `port` simulates a server that has forgotten
    every grant.
    """

    name = "oidc-provider"
    paths: ClassVar[Mapping[str, str]] = {
        "authorize": "/auth",
        "token": "/token",
        "revoke": "/token/revocation",
        "introspect": "/token/introspection",
        "device": "/device/auth",
        "userinfo": "/me",
        "push": "/request",
    }

    def __init__(
        self,
        *,
        access_token_seconds: int = 3,
        refresh_token_seconds: int = 3600,
        device_code_seconds: int = 60,
        id_token_seconds: int = 3600,
        id_token_algorithm: Literal["RS256", "ES256", "EdDSA"] = "RS256",
        rotate: bool = True,
        port: int = 0,
        client_id: str = "freshkey-tests",
        redirect_uris: Sequence[str] = ("http://127.0.0.1/callback", "http://localhost/callback"),
        scopes: Sequence[str] = ("openid", "offline_access", "profile", "email"),
        resources: Sequence[str] = (RESOURCE,),
        pushed: Literal["allowed", "required", "off"] = "allowed",
        clients: Sequence[Mapping[str, object]] = (),
        machines: Sequence[Mapping[str, object]] = (),
    ) -> None:
        self.scopes = tuple(scopes)
        options = {
            "access_token_seconds": access_token_seconds,
            "refresh_token_seconds": refresh_token_seconds,
            "device_code_seconds": device_code_seconds,
            "id_token_seconds": id_token_seconds,
            "id_token_algorithm": id_token_algorithm,
            "rotate": rotate,
            "port": port,
            "client_id": client_id,
            "redirect_uris": list(redirect_uris),
            "scopes": list(scopes),
            "resources": list(resources),
            "pushed": pushed,
            "clients": list(clients),
            "machines": list(machines),
        }
        super().__init__([str(node()), "oidc_server.mjs"], NODE_FOLDER, client_id, options)

    def __enter__(self) -> Self:
        require("oidc-provider")
        return super().__enter__()
