"""The state of the authorization server: sign-ins, and the codes and tokens issued for them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from attrs import Factory, define, frozen

from freshkey_testing.server.log import Entry, Log
from freshkey_testing.server.policy import Policy, Rotation


if TYPE_CHECKING:
    from freshkey import Clock
    from freshkey_testing.server.account import Account

CANARY: Final = "canary7f3k"
"""Every code and token starts with this, so that searching for it finds leaks."""


class Refused(Exception):
    """A token request that results in an error response (RFC 6749, section 5.2).

    Args:
        error: The error code.
        description: Text for developers.
        status: HTTP status.
    """

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status


@frozen(kw_only=True)
class Issued:
    """The tokens of one response; `refresh_token` is None if the response does not contain one."""

    access_token: str
    refresh_token: str | None
    grant: Grant


@define(kw_only=True, eq=False)
class Grant:
    """One sign-in, and everything it issued."""

    number: int
    account: Account
    scopes: tuple[str, ...]
    began: float
    of_client: bool = False
    nonce: str | None = None
    access: dict[str, float] = Factory(dict)
    refresh: str | None = None
    spent: dict[str, tuple[float, Issued]] = Factory(dict)
    revoked: bool = False


class Grants:
    """Issues, renews and revokes grants; the caller must hold the server's lock.

    Args:
        policy: The server's behavior; read at each call.
        clock: Decides when something has expired.
        log: Records what was done.
    """

    def __init__(self, policy: Policy, clock: Clock, log: Log) -> None:
        self._policy = policy
        self._clock = clock
        self._log = log
        self._grants: list[Grant] = []
        self._number = 0
        self.secrets: set[str] = set()
        self.trusted: set[str] = set()

    def note(self, kind: str, grant: Grant | None = None, detail: str = "") -> None:
        """Add an entry to the log."""
        number = None if grant is None else grant.number
        self._log.add(Entry(time=self._clock.now().wall, kind=kind, grant=number, detail=detail))

    def make_secret(self, kind: str) -> str:
        """Return a new 256-bit secret and add it to `secrets`."""
        secret = f"{CANARY}-{kind}-{secrets.token_urlsafe(32)}"
        self.secrets.add(secret)
        return secret

    def begin(
        self,
        kind: str,
        account: Account,
        scopes: tuple[str, ...],
        *,
        renewable: bool = True,
        of_client: bool = False,
        nonce: str | None = None,
    ) -> Issued:
        """Start a sign-in and issue its first tokens, with a refresh token if `renewable`.

        Args:
            kind: The grant type, for the log.
            account: The account that the tokens are for.
            scopes: The granted scopes.
            renewable: Whether there is a refresh token, if the policy allows it.
            of_client: Whether the tokens are for the client itself, and for no account.
            nonce: The nonce of the authorization request, for ID tokens.
        """
        self._number += 1
        grant = Grant(
            number=self._number,
            account=account,
            scopes=scopes,
            began=self._clock.elapsed(),
            of_client=of_client,
            nonce=nonce,
        )
        self._grants.append(grant)
        if self._policy.issues_refresh_tokens and renewable:
            grant.refresh = self.make_secret("rt")
        self.note(f"grant.{kind}", grant)
        return self._issue(grant, grant.refresh)

    def renew(self, refresh_token: str) -> Issued:
        """Exchange a refresh token (RFC 6749, section 6).

        Raises:
            Refused: The refresh token is unknown, spent, revoked or expired.
        """
        grant = next((each for each in self._grants if refresh_token in (each.refresh, *each.spent)), None)
        if grant is None or grant.revoked:
            self.note("refresh_token.unknown", grant)
            raise Refused("invalid_grant", "Refresh token not found or invalid")
        if refresh_token in grant.spent:
            return self._used_again(grant, refresh_token)
        if self._too_old(grant):
            self.note("refresh_token.expired", grant)
            raise Refused("invalid_grant", "Refresh token expired")
        return self._exchange(grant, refresh_token)

    def end(self, grant: Grant) -> None:
        """Revoke a sign-in and every token it issued."""
        grant.revoked = True
        grant.access.clear()
        self.note("grant.revoked", grant)

    def end_all(self) -> None:
        """Revoke every sign-in."""
        for grant in self._grants:
            if not grant.revoked:
                self.end(grant)

    def forget(self) -> None:
        """Forget every sign-in, like a restarted server that keeps them in memory."""
        self._grants.clear()

    def revoke(self, token: str) -> None:
        """Revoke the sign-in or the access token of `token` (RFC 7009, section 2.1); ignore unknown tokens."""
        for grant in self._grants:
            if token in (grant.refresh, *grant.spent):
                self.note("revoked", grant, "refresh_token")
                return self.end(grant)
            if token in grant.access:
                del grant.access[token]
                return self.note("revoked", grant, "access_token")
        return self.note("revoked", None, "unknown")

    def expire_access_tokens(self) -> None:
        """Expire every access token now, before its announced expiry."""
        for grant in self._grants:
            grant.access.clear()

    def bearer(self, token: str) -> Grant | None:
        """Return the sign-in of a valid access token, or None."""
        now = self._clock.elapsed()
        return next((grant for grant in self._grants if grant.access.get(token, now) > now), None)

    def _exchange(self, grant: Grant, refresh_token: str) -> Issued:
        if self._policy.access_dies_on_renewal:
            grant.access.clear()
        self.note("grant.refresh_token", grant)
        if self._policy.rotation is not Rotation.ROTATE:
            return self._issue(grant, refresh_token if self._policy.rotation is Rotation.REPEAT else None)
        grant.refresh = self.make_secret("rt")
        issued = self._issue(grant, grant.refresh)
        grant.spent[refresh_token] = (self._clock.elapsed(), issued)
        return issued

    def _used_again(self, grant: Grant, refresh_token: str) -> Issued:
        when, issued = grant.spent[refresh_token]
        if self._clock.elapsed() - when < self._policy.grace:
            self.note("refresh_token.graced", grant)
            return issued
        self.note("refresh_token.reused", grant)
        if self._policy.reuse_kills_grant:
            self.end(grant)
        raise Refused("invalid_grant", "Refresh token not found or invalid")

    def _issue(self, grant: Grant, refresh_token: str | None) -> Issued:
        access_token = self.make_secret("at")
        grant.access[access_token] = self._clock.elapsed() + self._policy.lifetime
        return Issued(access_token=access_token, refresh_token=refresh_token, grant=grant)

    def _too_old(self, grant: Grant) -> bool:
        limit = self._policy.refresh_lifetime
        return limit is not None and self._clock.elapsed() - grant.began >= limit
