"""The server of `one_provider`, as scripted exchanges: it rotates refresh tokens, leases passwords, and revokes."""

from __future__ import annotations

import itertools
import json

from freshkey.plugin import Request, Response
from freshkey_testing import ScriptedExchanges
from freshkey_testing.exchanges import made_response


def script(http: ScriptedExchanges) -> None:
    """Answer what the provider sends when all is well."""
    numbers = itertools.count(1)

    def token(request: Request) -> Response:
        number = next(numbers)
        tokens = {"access_token": f"one-access-token-{number}", "refresh_token": f"one-refresh-token-{number}"}
        return made_response(json={**tokens, "token_type": "Bearer", "expires_in": 3600, "account": "ada"})

    def lease(request: Request) -> Response:
        if "lease" in json.loads(request.body):
            return made_response(json={"seconds": 600})
        number = next(numbers)
        return made_response(
            json={"seconds": 600, "lease": f"one-lease-{number}", "password": f"one-password-{number}"}
        )

    http.on("POST", "https://id.one.example/token", reply=token)
    http.on("POST", "https://id.one.example/lease", reply=lease)
    http.on("POST", "https://id.one.example/revoke")
    http.on("GET", "https://id.one.example/me", json={})
