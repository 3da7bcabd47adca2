"""How the plain client authenticates to a server (RFC 6749, section 2.3; RFC 7523, section 2.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import quote_plus

import httpx
from joserfc.jwk import ECKey, RSAKey

from counterparts.signed import signed


Authenticate = Callable[[dict[str, str]], httpx.Auth | None]
"""Changes the form of a request, which has the `client_id`, or returns what HTTP sends beside it."""

CLIENT_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def nothing(form: dict[str, str]) -> None:
    """Authenticate a public client: only its `client_id` is sent."""


def basic(secret: str) -> Authenticate:
    """Return `client_secret_basic`, with the characters escaped as RFC 6749, section 2.3.1, says.

    The form keeps its `client_id`, which RFC 9126, section 2.1, requires when parameters are sent ahead.
    """
    return lambda form: httpx.BasicAuth(quote_plus(form["client_id"]), quote_plus(secret))


def post(secret: str) -> Authenticate:
    """Return `client_secret_post`."""

    def add(form: dict[str, str]) -> None:
        form["client_secret"] = secret

    return add


def private_key(key: ECKey | RSAKey, audience: str, lifetime: float = 60) -> Authenticate:
    """Return `private_key_jwt`, with an assertion that is new for each request and valid for `lifetime` seconds."""

    def add(form: dict[str, str]) -> None:
        client_id = form["client_id"]
        form["client_assertion_type"] = CLIENT_ASSERTION
        form["client_assertion"] = signed(key, iss=client_id, sub=client_id, aud=audience, lifetime=lifetime)

    return add
