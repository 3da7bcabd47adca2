"""The hooks of freshkey's Bedrock provider; modules that are slow to import are imported inside them."""

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
    """Describe this provider, or check one credential with AWS."""
    if profile is not None and credential is not None:
        from freshkey_bedrock.inspection import inspect

        return inspect(profile, credential)
    from freshkey_bedrock.description import description

    return description(profile)


@hookimpl
def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    """Get a credential from the AWS configuration, a command, or the user."""
    from freshkey_bedrock.sources import acquire as take

    return take(profile, source, interaction)


@hookimpl
def refresh(profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
    """Renew a sign-in."""
    from freshkey_bedrock.renewal import renew

    return renew(profile, credential, reporter)


def botocore_session(source: CredentialSource, profile: str | None = None) -> Session:
    """Return a botocore session that always uses the current credentials of a profile.

    Pass it to ``boto3.Session(botocore_session=…)``. See `freshkey_bedrock.sdk.botocore_session`.

    Args:
        source: Where credentials come from, such as a `freshkey.Keeper`.
        profile: Name of the profile; None for the selected one.

    Raises:
        ConfigurationError: The profile has an API key instead of AWS credentials.
        FreshkeyError: There is no credential; see `freshkey.Keeper.get`.
    """
    from freshkey_bedrock.sdk import botocore_session as build

    return build(source, profile)
