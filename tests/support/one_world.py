"""The server of `one_provider`, as scripted exchanges, and the program whose token it reads.

The server rotates refresh tokens, leases passwords, and revokes.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from freshkey.plugin import Request, Response
from freshkey_testing import Lender, ScriptedExchanges
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


def sign_in_to_the_tool(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Lender:
    """Write the file of the other program, and return what it does later."""
    path = folder / "token-of-the-tool"
    monkeypatch.setenv("ONE_FILE", str(path))
    path.write_text("a-made-up-token-of-the-tool", "utf-8")
    return Lender(renew=lambda: path.write_text("a-newer-token-of-the-tool", "utf-8"), remove=path.unlink)
