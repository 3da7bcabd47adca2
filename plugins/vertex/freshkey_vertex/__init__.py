"""The Google Vertex AI provider of freshkey: its hooks, and nothing that costs time to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from freshkey.plugin import hookimpl


if TYPE_CHECKING:
    from google.auth.credentials import CredentialsWithQuotaProject

    from freshkey.plugin import (
        Credential,
        CredentialSource,
        Description,
        Inspection,
        Interaction,
        Profile,
        Reporter,
        Source,
    )

__all__ = ["acquire", "describe", "google_credentials", "refresh"]


@hookimpl
def describe(profile: Profile | None, credential: Credential | None) -> Description | Inspection:
    """Say what this provider is, or ask Google about one credential."""
    if profile is not None and credential is not None:
        from freshkey_vertex.inspection import inspect

        return inspect(profile, credential)
    from freshkey_vertex.description import description

    return description(profile)


@hookimpl
def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    """Take a credential from the environment, a file or the metadata server, or have the user sign in."""
    from freshkey_vertex import sources

    return sources.acquire(profile, source, interaction)


@hookimpl
def refresh(profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
    """Renew a sign-in of freshkey's own."""
    from freshkey_vertex.renewal import renew

    reporter.progress("Renewing the Google sign-in")
    return renew(profile, credential)


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
    from freshkey_vertex.sdk import KeeperCredentials

    return KeeperCredentials(source, profile)
