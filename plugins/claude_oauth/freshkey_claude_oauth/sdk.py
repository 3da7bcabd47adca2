"""Gives clients of Anthropic's Python SDK fresh credentials, through their parameter ``credentials=``.

Only this module imports the SDK. The contract is that of version 2.13.0 (``lib/credentials/_types.py``,
``_cache.py``, ``_auth.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from anthropic import AnthropicError
from anthropic.lib.credentials import AccessToken

from freshkey.errors import ConfigurationError, FreshkeyError, OutcomeUnknown, ProviderRefused, TransientError


if TYPE_CHECKING:
    from anthropic.lib.credentials import AccessTokenProvider

    from freshkey.plugin import Credential, CredentialSource

ALWAYS_ASK: Final = 0
"""The ``expires_at`` that makes the SDK call before every request; freshkey serves the credential from memory."""

NO_REPLACEMENT: Final = (TransientError, OutcomeUnknown, ProviderRefused)
"""Errors that mean that no newer credential is available now: the server's 401 is then the better error."""


def anthropic_credentials(source: CredentialSource, profile: str | None = None) -> AccessTokenProvider:
    """Return an object for ``anthropic.Anthropic(credentials=…)`` and ``AsyncAnthropic(credentials=…)``.

    The SDK calls it before every request, and once more after a 401, which renews the credential if there is no newer
    one yet. The SDK sends whatever it gets, even an API key, as a bearer token with
    ``anthropic-beta: oauth-2025-04-20``; other headers of the profile are not sent.

    An error stops the request immediately as an ``AnthropicError`` whose ``__cause__`` is freshkey's error, such as
    `LoginRequired`. Only on a `TransientError` does the SDK retry; it then raises ``APIConnectionError``.

    Args:
        source: Where credentials come from, such as a `freshkey.Keeper`.
        profile: Name of the profile; None for the default one.
    """
    return _Credentials(source, profile)


class _Credentials:
    """The SDK's ``AccessTokenProvider`` for one profile; safe to use from any number of threads.

    The SDK reports that a token was rejected, but not which one. If many requests are rejected at once, some of them
    call back only after the first one's renewal, and the renewed token is then reported as rejected. A keeper does not
    renew a credential that it has just obtained, so there is only one renewal, and they all get its result.

    Args:
        source: Where credentials come from.
        profile: Name of the profile; None for the default one.
    """

    def __init__(self, source: CredentialSource, profile: str | None) -> None:
        self._source = source
        self._profile = profile
        self._last: Credential | None = None

    def __call__(self, *, force_refresh: bool = False) -> AccessToken:
        try:
            return self._access_token(self._newer() if force_refresh else self._source.get(self._profile))
        except TransientError:
            raise
        except FreshkeyError as error:
            # The SDK would treat any other exception as a failed connection, and retry.
            raise AnthropicError(str(error)) from error

    def _newer(self) -> Credential:
        refused = self._last
        if refused is None:
            return self._source.get(self._profile)
        try:
            return self._source.get(self._profile, refused=refused)
        except NO_REPLACEMENT:
            return refused

    def _access_token(self, credential: Credential) -> AccessToken:
        if credential.token is None:
            raise ConfigurationError(
                f"the credential from the source {credential.source!r} is not a token; the SDK can only send tokens",
                profile=self._profile,
                hint="Use a source that provides a bearer token or an API key",
                code="claude-unsupported-credential",
            )
        self._last = credential
        return AccessToken(credential.token.reveal(), ALWAYS_ASK)
