"""The Amazon Bedrock provider of freshkey: its hooks, and nothing that costs time to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from freshkey.plugin import hookimpl


if TYPE_CHECKING:
    from botocore.session import Session

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


@hookimpl
def describe(profile: Profile | None, credential: Credential | None) -> Description | Inspection:
    """Say what this provider is, or ask AWS about one credential."""
    if profile is not None and credential is not None:
        from freshkey_bedrock.inspection import inspect

        return inspect(profile, credential)
    from freshkey_bedrock.description import description

    return description(profile)


@hookimpl
def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    """Take a credential from where AWS's tools keep it, or have the user hand one in."""
    from freshkey_bedrock.sources import acquire as take

    return take(profile, source, interaction)


@hookimpl
def refresh(profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
    """Renew a sign-in."""
    from freshkey_bedrock.renewal import renew

    return renew(profile, credential, reporter)


def botocore_session(source: CredentialSource, profile: str | None = None) -> Session:
    """Return a botocore session whose credentials are always those that `source` gives for a profile.

    ``boto3.Session(botocore_session=…)`` takes it. See `freshkey_bedrock.sdk.botocore_session`.

    Args:
        source: Where credentials come from; a `freshkey.Keeper` is one.
        profile: Name of the profile; None for the selected one.

    Raises:
        ConfigurationError: The profile gives no AWS credentials but an API key.
        FreshkeyError: There is no credential; see `freshkey.Keeper.get`.
    """
    from freshkey_bedrock.sdk import botocore_session as build

    return build(source, profile)
