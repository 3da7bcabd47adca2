"""Signs each request of an httpx client with a fresh credential, and renews once when a server refuses it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Final

import httpx
from attrs import define

from freshkey.errors import OutcomeUnknown, ProviderRefused, TransientError
from freshkey.model.credential import Credential, CredentialSource


NO_NEWER_ONE: Final = (TransientError, OutcomeUnknown, ProviderRefused)
"""Reasons for which there is no newer credential now: the server's own 401 is then the better answer."""


@define(eq=False, slots=False)
class KeeperAuth(httpx.Auth):
    """The authentication of one profile, for ``httpx.Client(auth=…)`` and ``httpx.AsyncClient(auth=…)``.

    A request that is answered with 401 is sent once more with a newer credential, if there is or can be one. Many
    requests refused at once share one renewal. A profile of None is the selected one.
    """

    _keeper: CredentialSource
    _profile: str | None

    # Formats that sign, such as SigV4, sign the body.
    requires_request_body = True

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign, and on a 401 renew once and send once more."""
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
        """Do the same without blocking the event loop."""
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
