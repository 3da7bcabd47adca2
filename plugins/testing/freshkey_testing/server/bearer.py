"""Endpoints that require an access token: the profile, userinfo and a protected resource (RFC 6750)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from freshkey_testing.server.wire import Answer, Asked, json_answer


if TYPE_CHECKING:
    from collections.abc import Callable

    from freshkey_testing.server.account import Account
    from freshkey_testing.server.grants import Grant, Grants
    from freshkey_testing.server.policy import Policy


class BearerEndpoints:
    """Responds to requests with an access token.

    Args:
        policy: The server's behavior.
        grants: The server's grants.
        account: Returns the current account; its plan may have changed since the sign-in.
    """

    def __init__(self, policy: Policy, grants: Grants, account: Callable[[], Account]) -> None:
        self._policy = policy
        self._grants = grants
        self._account = account

    def profile(self, asked: Asked) -> Answer:
        """Return the account that the token belongs to, and its plan."""
        grant = self._grant(asked)
        if grant is None:
            return self._refuse()
        scope = self._policy.profile_scope
        if grant.of_client or (scope and scope not in grant.scopes):
            message = f"OAuth token does not meet scope requirement: {scope}"
            return json_answer({"type": "error", "error": {"type": "permission_error", "message": message}}, 403)
        self._grants.note("profile.read", grant)
        now = self._account()
        return json_answer((now if now.id == grant.account.id else grant.account).profile())

    def userinfo(self, asked: Asked) -> Answer:
        """Return the claims about the account (OpenID Connect Core 1.0, section 5.3)."""
        grant = self._grant(asked)
        if grant is None:
            return self._refuse()
        if grant.of_client or "openid" not in grant.scopes:
            answer = json_answer({"error": "insufficient_scope"}, 403)
            challenge = {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="openid"'}
            return Answer(status=403, body=answer.body, headers={**answer.headers, **challenge})
        self._grants.note("userinfo.read", grant)
        return json_answer(grant.account.claims())

    def resource(self, asked: Asked) -> Answer:
        """Respond with 200 to a valid access token and 401 to any other."""
        grant = self._grant(asked)
        if grant is None:
            return self._refuse()
        self._grants.note("resource.read", grant)
        return json_answer({"ok": True, "account": grant.account.email})

    def _grant(self, asked: Asked) -> Grant | None:
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if token:
            self._grants.secrets.add(token)
        return self._grants.bearer(token) if scheme.lower() == "bearer" else None

    def _refuse(self) -> Answer:
        self._grants.note("bearer.refused")
        error = {"type": "authentication_error", "message": "OAuth token has expired or is unknown"}
        answer = json_answer({"type": "error", "error": error}, 401)
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return Answer(status=401, body=answer.body, headers={**answer.headers, **challenge})
