"""The Amazon Bedrock provider of freshkey: its hooks, and nothing that costs time to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from freshkey.hooks import hookimpl


if TYPE_CHECKING:
    from freshkey.model import Credential, Description, Inspection, Interaction, Profile, Reporter, Source


@hookimpl
def describe(profile: Profile | None, credential: Credential | None) -> Description | Inspection:
    """Say what this provider is, or ask AWS about one credential."""
    if profile is not None and credential is not None:
        from freshkey_bedrock.inspection import inspect

        return inspect(profile, credential)
    from freshkey_bedrock.description import description

    return description(profile)


@hookimpl
def acquire(profile: Profile, source: Source, ask: Interaction) -> Credential:
    """Take a credential from where AWS's tools keep it, or have a person hand one in."""
    from freshkey_bedrock.sources import acquire as take

    return take(profile, source, ask)


@hookimpl
def refresh(profile: Profile, credential: Credential, report: Reporter) -> Credential:
    """Renew a sign-in."""
    from freshkey_bedrock.renewal import renew

    return renew(profile, credential, report)
