"""The hooks of freshkey's Claude provider; modules that are slow to import are imported inside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from freshkey.plugin import hookimpl


if TYPE_CHECKING:
    from freshkey.plugin import Credential, Description, Inspection, Interaction, Profile, Reporter, Source


@hookimpl
def describe(profile: Profile | None, credential: Credential | None) -> Description | Inspection:
    """Describe this provider, or check one credential with Anthropic."""
    if profile is not None and credential is not None:
        from freshkey_claude_oauth.inspection import inspect

        return inspect(profile, credential)
    from freshkey_claude_oauth.description import description

    return description(profile)


@hookimpl
def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    """Get a credential from the environment, a file or a command, or have the user sign in."""
    from freshkey_claude_oauth import sources

    return sources.acquire(profile, source, interaction)


@hookimpl
def refresh(profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
    """Renew a sign-in."""
    from freshkey_claude_oauth.renewal import renew

    reporter.progress("Renewing the Claude sign-in")
    return renew(profile, credential)
