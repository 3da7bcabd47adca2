"""One account of a keeper, for adapters and bridges that know only profiles."""

from __future__ import annotations

from typing import Protocol

from attrs import frozen

from freshkey.model.credential import Credential


class _Keeper(Protocol):
    def get(
        self,
        profile: str | None = None,
        *,
        min_ttl: float = 0.0,
        refused: Credential | None = None,
        account: str | None = None,
    ) -> Credential: ...

    async def aget(
        self,
        profile: str | None = None,
        *,
        min_ttl: float = 0.0,
        refused: Credential | None = None,
        account: str | None = None,
    ) -> Credential: ...


@frozen(eq=False)
class AccountSource:
    """A `CredentialSource` that asks a keeper for one account of each profile."""

    _keeper: _Keeper
    _account: str

    def get(self, profile: str | None = None, *, min_ttl: float = 0.0, refused: Credential | None = None) -> Credential:
        """Return a usable credential of the account; see `Keeper.get`."""
        return self._keeper.get(profile, min_ttl=min_ttl, refused=refused, account=self._account)

    async def aget(
        self, profile: str | None = None, *, min_ttl: float = 0.0, refused: Credential | None = None
    ) -> Credential:
        """Like `get`, for asyncio."""
        return await self._keeper.aget(profile, min_ttl=min_ttl, refused=refused, account=self._account)
