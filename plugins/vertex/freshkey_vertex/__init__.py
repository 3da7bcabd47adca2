"""The Google Vertex AI provider of freshkey: its hooks, and nothing that costs time to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from freshkey.plugin import hookimpl
from freshkey_vertex.bridge import google_credentials


if TYPE_CHECKING:
    from freshkey.plugin import Credential, Description, Inspection, Interaction, Profile, Reporter, Source

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
    """Take a credential from the environment, a file or the metadata server, or have a person sign in."""
    from freshkey_vertex.sources import acquire as take

    return take(profile, source, interaction)


@hookimpl
def refresh(profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
    """Renew a sign-in of freshkey's own."""
    from freshkey_vertex.signin import renew

    reporter.progress("Renewing the Google sign-in")
    return renew(profile, credential)
