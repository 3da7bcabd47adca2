"""google-auth's credentials that ask a keeper: what Google's client libraries and ``AnthropicVertex`` take.

Only modules of this package that are loaded late import google-auth. Its contract is that of 2.63
(``google/auth/credentials.py``): `before_request` before each request, `refresh` after a 401, and by clients that look
at `expired` and `token` themselves.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from google.auth.credentials import CredentialsWithQuotaProject
from google.auth.exceptions import RefreshError

from freshkey.errors import FreshkeyError, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.plugin import SYSTEM
from freshkey_vertex.formats import GoogleCredential


if TYPE_CHECKING:
    from freshkey.plugin import Credential, CredentialSource

NO_REPLACEMENT: Final = (TransientError, OutcomeUnknown, ProviderRefused)
"""Reasons for which there is no newer credential now: the server's own 401 is then the better answer."""

EXPIRY_CHECK_INTERVAL: Final = 1.0
"""Seconds for which `expired` takes for granted what the keeper said; asking it costs next to nothing."""


class KeeperCredentials(CredentialsWithQuotaProject):
    """Credentials of one profile, used from any number of threads.

    It has no lock, which a child that is forked meanwhile would wait for without end: who uses this as google-auth
    does gets the keeper's answer, and what two threads wrote crosswise is good for at most `EXPIRY_CHECK_INTERVAL`
    seconds. One that hands in a credential that was refused before gets the one that took its place.

    Args:
        source: Where credentials come from.
        profile: Name of the profile; None for the selected one.
        quota_project: The project that pays; None for the one that the credential names.
        elapsed: Returns seconds since some fixed point.
    """

    def __init__(
        self,
        source: CredentialSource,
        profile: str | None,
        quota_project: str | None = None,
        elapsed: Callable[[], float] = SYSTEM.elapsed,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # of google-auth
        self._source = source
        self._profile = profile
        self._wanted_quota = quota_project
        self._sent: Credential | None = None
        self._elapsed = elapsed
        self._asked_at = elapsed()

    @property
    def expired(self) -> bool:
        """Whether the keeper is to be asked again: those who look here would otherwise use one token to its end."""
        return self._elapsed() - self._asked_at > EXPIRY_CHECK_INTERVAL or bool(super().expired)

    def before_request(self, request: object, method: str, url: str, headers: MutableMapping[str, str]) -> None:  # noqa: ARG002  google-auth's signature
        """Authorize one request with what the keeper has now.

        Raises:
            RefreshError: The keeper has nothing; its ``__cause__`` says why.
        """
        credential = self._sent = self._ask_keeper(None)
        headers.update({name.lower(): value for name, value in credential.headers(method, url).items()})
        if self._wanted_quota:
            headers["x-goog-user-project"] = self._wanted_quota

    def refresh(self, request: object) -> None:  # noqa: ARG002  google-auth's signature
        """Take what the keeper has; a newer one where the last request was refused, which is when clients call this.

        Raises:
            RefreshError: The keeper has nothing; its ``__cause__`` says why.
        """
        refused, self._sent = self._sent, None
        self._ask_keeper(refused)

    def with_quota_project(self, quota_project_id: str | None) -> KeeperCredentials:
        """Return credentials of the same profile that another project pays for."""
        return KeeperCredentials(self._source, self._profile, quota_project_id, self._elapsed)

    def _ask_keeper(self, refused: Credential | None) -> Credential:
        """Return what the keeper has, and let those see it who look at `token` and `expiry` themselves."""
        try:
            credential = self._get(refused)
        except FreshkeyError as error:
            raise RefreshError(str(error), retryable=isinstance(error, TransientError)) from error
        if not isinstance(credential, GoogleCredential):
            raise RefreshError(f"the profile {self._profile!r} is none of Google's", retryable=False)
        self._asked_at = self._elapsed()
        self.token = credential.access_token.reveal()
        ends = credential.expires_at
        self.expiry = ends.astimezone(UTC).replace(tzinfo=None) if isinstance(ends, datetime) else None
        self._quota_project_id = self._wanted_quota or credential.quota_project
        return credential

    def _get(self, refused: Credential | None) -> Credential:
        if refused is None:
            return self._source.get(self._profile)
        try:
            return self._source.get(self._profile, refused=refused)
        except NO_REPLACEMENT:
            return refused
