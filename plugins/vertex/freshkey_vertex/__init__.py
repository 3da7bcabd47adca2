"""The hooks of freshkey's Vertex AI provider; modules that are slow to import are imported inside them."""

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
    """Describe this provider, or check one credential with Google."""
    if profile is not None and credential is not None:
        from freshkey_vertex.inspection import inspect

        return inspect(profile, credential)
    from freshkey_vertex.description import description

    return description(profile)


@hookimpl
def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    """Get a credential from the environment, a file or the metadata server, or have the user sign in."""
    from freshkey_vertex import sources

    return sources.acquire(profile, source, interaction)


@hookimpl
def refresh(profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
    """Renew a sign-in that freshkey stores."""
    from freshkey_vertex.renewal import renew

    reporter.progress("Renewing the Google sign-in")
    return renew(profile, credential)


def google_credentials(source: CredentialSource, profile: str | None = None) -> CredentialsWithQuotaProject:
    """Return credentials for ``credentials=`` of any Google client library, and of ``AnthropicVertex``.

    They get the keeper's credential before every request, which is cheap while it is fresh, and a newer one after a
    401. They send ``x-goog-user-project`` if the credential has a quota project. ``AnthropicVertex`` uses only the
    token: it omits that header, so pass it in ``default_headers``, and it does not get a newer token after a 401.

    Failures are raised as google-auth's ``RefreshError``, whose ``__cause__`` is the freshkey error.

    Args:
        source: Where credentials come from, such as a `freshkey.Keeper`.
        profile: Name of the profile; None for the selected one.
    """
    from freshkey_vertex.sdk import KeeperCredentials

    return KeeperCredentials(source, profile)
