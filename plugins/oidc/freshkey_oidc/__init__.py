"""The hooks of freshkey's provider for any OAuth 2.0 or OpenID Connect issuer; what is slow is imported inside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from freshkey.plugin import hookimpl


if TYPE_CHECKING:
    from freshkey.plugin import Credential, Description, Inspection, Interaction, Profile, Reporter, Source

FRESHKEY_CONTRACT: Final = 1


@hookimpl
def describe(profile: Profile | None, credential: Credential | None) -> Description | Inspection:
    """Describe this provider, or ask the issuer whose a credential is."""
    if profile is not None and credential is not None:
        from freshkey_oidc.inspection import inspect

        return inspect(profile, credential)
    from freshkey_oidc.description import description

    return description(profile)


@hookimpl
def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    """Get a token: from the user's sign-in, for the client itself, or from what was handed in."""
    from freshkey_oidc import sources

    return sources.acquire(profile, source, interaction)


@hookimpl
def refresh(profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
    """Renew a sign-in."""
    from freshkey_oidc.renewal import renew

    reporter.progress("Renewing the sign-in")
    return renew(profile, credential)
