"""A double of the endpoint where a job on GitHub Actions gets its ID token.

It follows `packages/core/src/oidc-utils.ts` of actions/toolkit, GitHub's own client: a GET request with the job's
request token as a bearer token; the audience is appended to a URL that already has a query; the answer has `value`.
"""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from counterparts.exchanging import IdentityProvider
from loopback_server import Exchange, LoopbackServer


OWNER: Final = "https://github.com/example"
"""The audience of tokens that are requested without one: the URL of the repository's owner."""

PATH: Final = "/idtoken"


class ActionsTokens(LoopbackServer):
    """Hands out tokens of an identity provider; a context manager.

    `environment` has the variables of a job with the permission `id-token: write`. `lifetime` is that of the tokens, in
    seconds. `audiences` are those of the requests that were granted, `refused` is the number of the others.
    """

    def __init__(
        self, identity: IdentityProvider, *, lifetime: float = 300, request_token: str = "job-token-1"
    ) -> None:
        super().__init__()
        self.lifetime = lifetime
        self.audiences: list[str] = []
        self.refused = 0
        self._identity = identity
        self._request_token = request_token

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a job; the second one is a secret."""
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}{PATH}?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self._request_token,
        }

    def serve(self, exchange: Exchange) -> None:
        """Respond to one request."""
        address = urlsplit(exchange.path)
        query = dict(parse_qsl(address.query))
        scheme, _, token = exchange.lowered().get("authorization", "").partition(" ")
        if (exchange.command, address.path, query.get("api-version")) != ("GET", PATH, "2.0"):
            self._refuse(exchange, 404)
        elif scheme.lower() != "bearer" or token != self._request_token:
            self._refuse(exchange, 401)
        else:
            audience = query.get("audience", OWNER)
            value = self._identity.token(audience, lifetime=self.lifetime)
            self.audiences.append(audience)
            _respond(exchange, 200, {"count": len(value), "value": value})

    def _refuse(self, exchange: Exchange, status: int) -> None:
        self.refused += 1
        _respond(exchange, status, {"message": "refused"})


def _respond(exchange: Exchange, status: int, answer: dict[str, object]) -> None:
    exchange.answer(status, json.dumps(answer).encode(), {"Content-Type": "application/json; charset=utf-8"})
