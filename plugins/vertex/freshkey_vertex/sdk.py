"""google-auth credentials backed by a keeper, for Google's client libraries and ``AnthropicVertex``.

Only modules of this package that are imported late import google-auth. This follows the contract of version 2.63
(``google/auth/credentials.py``): clients call `before_request` before each request and `refresh` after a 401; clients
that check `expired` and `token` themselves also call `refresh`.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from google.auth.credentials import CredentialsWithQuotaProject
from google.auth.exceptions import RefreshError

from freshkey.errors import FreshkeyError, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.plugin import SYSTEM
from freshkey_vertex.formats import GoogleCredential


if TYPE_CHECKING:
    from freshkey.plugin import Credential, CredentialSource

NO_REPLACEMENT: Final = (TransientError, OutcomeUnknown, ProviderRefused)
"""Errors that mean that no newer credential is available now: the server's 401 is then the better error."""

EXPIRY_CHECK_INTERVAL: Final = 1.0
"""Seconds for which `expired` relies on the keeper's last result; getting it again is cheap."""


class KeeperCredentials(CredentialsWithQuotaProject):
    """Credentials of one profile, for use by any number of threads.

    There is no lock, because a child process forked while it is held would block forever. Callers that follow
    google-auth's protocol always get the keeper's credential, and values mixed up by two threads are used for at most
    `EXPIRY_CHECK_INTERVAL` seconds. Reporting a credential that was already refused returns its replacement.

    Args:
        source: Where credentials come from.
        profile: Name of the profile; None for the selected one.
        quota_project: The project that pays; None for the credential's own.
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
        """Whether to call `refresh`: clients that check this would otherwise use one token until it expires."""
        return self._elapsed() - self._asked_at > EXPIRY_CHECK_INTERVAL or bool(super().expired)

    def before_request(self, request: object, method: str, url: str, headers: MutableMapping[str, str]) -> None:  # noqa: ARG002  google-auth's signature
        """Authorize one request with the keeper's current credential.

        Raises:
            RefreshError: The keeper has no credential; ``__cause__`` is the reason.
        """
        credential = self._sent = self._ask_keeper(None)
        headers.update({name.lower(): value for name, value in credential.headers(method, url).items()})
        if self._wanted_quota:
            headers["x-goog-user-project"] = self._wanted_quota

    def refresh(self, request: object) -> None:  # noqa: ARG002  google-auth's signature
        """Get the keeper's credential, or a newer one if a request was sent since: clients call this after a 401.

        Raises:
            RefreshError: The keeper has no credential; ``__cause__`` is the reason.
        """
        refused, self._sent = self._sent, None
        self._ask_keeper(refused)

    def with_quota_project(self, quota_project_id: str | None) -> KeeperCredentials:
        """Return credentials of the same profile, with another project paying."""
        return KeeperCredentials(self._source, self._profile, quota_project_id, self._elapsed)

    def _ask_keeper(self, refused: Credential | None) -> Credential:
        """Return the keeper's credential, and publish it for clients that read `token` and `expiry` themselves."""
        try:
            credential = self._get(refused)
        except FreshkeyError as error:
            raise RefreshError(str(error), retryable=isinstance(error, TransientError)) from error
        if not isinstance(credential, GoogleCredential):
            raise RefreshError(f"profile {self._profile!r} does not provide Google credentials", retryable=False)
        self._asked_at = self._elapsed()
        self.token = credential.access_token.reveal()
        self.expiry = _expiry(credential)
        self._quota_project_id = self._wanted_quota or credential.quota_project
        return credential

    def _get(self, refused: Credential | None) -> Credential:
        if refused is None:
            return self._source.get(self._profile)
        try:
            return self._source.get(self._profile, refused=refused)
        except NO_REPLACEMENT:
            return refused


def _expiry(credential: Credential) -> datetime | None:
    """Return when it expires, in naive UTC as google-auth expects.

    google-auth compares nothing but the wall clock. freshkey decides by elapsed time, and may still use a credential
    after the wall clock was set forward.
    """
    ends_at, left = credential.expires_at, credential.seconds_left()
    if ends_at is None or left is None:
        return None
    now = credential.clock.now().utc
    return (ends_at if now < ends_at else now + timedelta(seconds=left)).replace(tzinfo=None)
