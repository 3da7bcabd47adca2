"""Gives the clients of Anthropic's Python SDK fresh credentials, by their parameter ``credentials=``.

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
"""``expires_at`` of a token whose provider is asked again before every request: freshkey answers from memory."""

NO_REPLACEMENT: Final = (TransientError, OutcomeUnknown, ProviderRefused)
"""Reasons for which there is no newer credential now: the server's own 401 is then the better answer."""


def anthropic_credentials(source: CredentialSource, profile: str | None = None) -> AccessTokenProvider:
    """Return what ``anthropic.Anthropic(credentials=…)`` and ``AsyncAnthropic(credentials=…)`` take.

    It is asked before every request, and once more after a 401, when a newer credential is fetched if there is none
    yet. The SDK sends whatever it is given as a bearer token along with ``anthropic-beta: oauth-2025-04-20``, API keys
    included; other headers of the profile are not sent.

    What is raised in place of an answer stops the request at once as an ``AnthropicError`` whose ``__cause__`` is
    freshkey's error, such as `LoginRequired`; but a `TransientError` is tried again by the SDK and ends as its
    ``APIConnectionError``.

    Args:
        source: Where credentials come from; a `freshkey.Keeper` is one.
        profile: Name of the profile; None for the selected one.
    """
    return _Credentials(source, profile)


class _Credentials:
    """The SDK's ``AccessTokenProvider`` of one profile; used from any number of threads.

    The SDK says that a token was refused, not which one. Where many requests are refused at once, some say so only
    after the renewal that the first one caused, and what that brought is taken for refused. A keeper does not renew a
    credential that it got a moment ago, so it stays at that one renewal, and they are given what it brought.

    Args:
        source: Where credentials come from.
        profile: Name of the profile; None for the selected one.
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
            # The SDK would take any other exception for a connection that failed, and try again.
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
                f"a credential from the source {credential.source!r} is no token, and the SDK sends tokens only",
                profile=self._profile,
            )
        self._last = credential
        return AccessToken(credential.token.reveal(), ALWAYS_ASK)
