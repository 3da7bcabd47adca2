"""Gives Google's own clients credentials that a keeper keeps fresh, without loading google-auth early."""

from __future__ import annotations

from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from google.auth.credentials import CredentialsWithQuotaProject

    from freshkey.plugin import CredentialSource


def google_credentials(source: CredentialSource, profile: str | None = None) -> CredentialsWithQuotaProject:
    """Return what every client library of Google's takes as ``credentials=``; also ``AnthropicVertex``.

    It asks the keeper before every request, which costs nothing while the credential is fresh, and for a newer one
    after a 401. It sends ``x-goog-user-project`` where the credential has a quota project. ``AnthropicVertex`` takes
    the token alone: it leaves that header out, so hand it over as ``default_headers``, and asks for nothing newer after
    a 401.

    What is raised in place of an answer is google-auth's ``RefreshError``, whose ``__cause__`` is freshkey's error.

    Args:
        source: Where credentials come from; a `freshkey.Keeper` is one.
        profile: Name of the profile; None for the selected one.
    """
    from freshkey_vertex.sdk import KeptCredentials

    return KeptCredentials(source, profile)
