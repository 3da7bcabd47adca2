"""Signs each request of an httpx client with a fresh credential, and renews once after a 401."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Final

import httpx
from attrs import define

from freshkey.errors import OutcomeUnknown, ProviderRefused, TransientError
from freshkey.model.credential import Credential, CredentialSource


NO_NEWER_ONE: Final = (TransientError, OutcomeUnknown, ProviderRefused)
"""Errors that mean there is no newer credential now: the caller then receives the original 401."""


@define(eq=False, slots=False)
class KeeperAuth(httpx.Auth):
    """Authentication for one profile, for ``httpx.Client(auth=…)`` and ``httpx.AsyncClient(auth=…)``.

    A request that gets a 401 response is sent once more with a newer credential, if there is one or one can be
    obtained. Requests that are rejected at the same time share one renewal. A profile of None means the selected one.
    """

    _keeper: CredentialSource
    _profile: str | None

    # Credential formats that sign requests, such as SigV4, sign the body too.
    requires_request_body = True

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign the request; after a 401, renew once and send it once more."""
        request.read()
        credential = self._keeper.get(self._profile)
        response = yield _signed(request, credential)
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return
        try:
            newer = self._keeper.get(self._profile, refused=credential)
        except NO_NEWER_ONE:
            return
        response.read()
        yield _signed(request, newer)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Like `sync_auth_flow`, without blocking the event loop."""
        await request.aread()
        credential = await self._keeper.aget(self._profile)
        response = yield _signed(request, credential)
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return
        try:
            newer = await self._keeper.aget(self._profile, refused=credential)
        except NO_NEWER_ONE:
            return
        await response.aread()
        yield _signed(request, newer)


def _signed(request: httpx.Request, credential: Credential) -> httpx.Request:
    request.headers.update(credential.headers(request.method, str(request.url), request.content))
    return request
