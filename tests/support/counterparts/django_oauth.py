"""Starts django-oauth-toolkit, an authorization server that differs from oidc-provider where servers differ."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import ClassVar, Final, Self

from counterparts.requires import require
from counterparts.server_process import ServerProcess


SUPPORT: Final = Path(__file__).resolve().parents[1]

DEVICE_CLIENT: Final = "freshkey-device"
"""The public client that may use only the device flow."""

WEB_CLIENT: Final = "freshkey-web"
"""The confidential client that signs users in with a browser."""

MACHINE_CLIENT: Final = "freshkey-machine"
"""The confidential client that gets tokens for itself."""

CLIENT_SECRET: Final = "s3cret +/%:~*&= that is longer than 32 characters"
"""The secret of both confidential clients; with characters that HTTP Basic authentication must escape (RFC 6749)."""


class DjangoServer(ServerProcess):
    """django-oauth-toolkit on loopback; a context manager. The user is `alice`.

    The issuer has a path, and each client may use one grant. `client_id` is public and must use PKCE (S256). There is
    no scope `offline_access`: every sign-in returns a refresh token. What differs from oidc-provider:

    - The metadata contain neither `device_authorization_endpoint`, nor (OpenID's) `revocation_endpoint` and
      `grant_types_supported`, nor `none` in `token_endpoint_auth_methods_supported`.
    - With `detect_reuse=False` a rotated refresh token is refused, and its successors stay valid. For `grace_seconds`
      after a rotation, the old refresh token gets the same new tokens again.
    - Several requests at the same moment may each succeed with the same refresh token.
    - A refresh ends the previous access token.
    - Polling never says `slow_down` or `expired_token`: a device code that has expired stays pending.
    """

    name = "django-oauth-toolkit"
    paths: ClassVar[Mapping[str, str]] = {
        "authorize": "/o/authorize/",
        "token": "/o/token/",
        "revoke": "/o/revoke_token/",
        "introspect": "/o/introspect/",
        "device": "/o/device-authorization/",
        "userinfo": "/o/userinfo/",
    }

    def __init__(
        self,
        *,
        access_token_seconds: int = 3,
        id_token_seconds: int = 3600,
        refresh_token_seconds: int | None = None,
        device_code_seconds: int = 1800,
        interval: int = 1,
        rotate: bool = True,
        detect_reuse: bool = True,
        grace_seconds: int = 0,
        issuer_in_redirect: bool = True,
        port: int = 0,
        client_id: str = "freshkey-tests",
        redirect_uris: Sequence[str] = ("http://127.0.0.1/callback", "http://localhost/callback"),
        scopes: Sequence[str] = ("openid", "profile", "email", "read", "write"),
    ) -> None:
        self._database: Path | None = None
        self.scopes = tuple(scopes)
        options = {
            "access_token_seconds": access_token_seconds,
            "id_token_seconds": id_token_seconds,
            "refresh_token_seconds": refresh_token_seconds,
            "device_code_seconds": device_code_seconds,
            "interval": interval,
            "rotate": rotate,
            "detect_reuse": detect_reuse,
            "grace_seconds": grace_seconds,
            "issuer_in_redirect": issuer_in_redirect,
            "port": port,
            "scopes": list(scopes),
            "clients": _clients(client_id, " ".join(redirect_uris)),
        }
        command = [sys.executable, "-m", "counterparts.django_server"]
        super().__init__(command, SUPPORT, client_id, options)

    def __enter__(self) -> Self:
        require("django-oauth-toolkit")
        self._database = Path(mkdtemp(prefix="django-"))
        self._options = {**self._options, "folder": str(self._database)}
        return super().__enter__()

    def stop(self) -> None:
        """Stop the server at once and remove its database; afterwards the port refuses connections."""
        super().stop()
        if self._database is not None:
            shutil.rmtree(self._database, ignore_errors=True)
            self._database = None


def _clients(client_id: str, redirect_uris: str) -> list[dict[str, str]]:
    public = {"client_type": "public", "algorithm": "RS256"}
    confidential = {"client_type": "confidential", "algorithm": "RS256", "client_secret": CLIENT_SECRET}
    code, device = "authorization-code", "urn:ietf:params:oauth:grant-type:device_code"
    return [
        {"client_id": client_id, "authorization_grant_type": code, "redirect_uris": redirect_uris, **public},
        {"client_id": DEVICE_CLIENT, "authorization_grant_type": device, **public},
        {"client_id": WEB_CLIENT, "authorization_grant_type": code, "redirect_uris": redirect_uris, **confidential},
        {"client_id": MACHINE_CLIENT, "authorization_grant_type": "client-credentials", **confidential},
    ]
