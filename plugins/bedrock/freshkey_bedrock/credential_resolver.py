"""botocore's chain of places, without those that a profile rules out, with bounded processes and no prompts.

botocore ends every look with the container and the instance, also where a profile was named that has no credentials;
the program would act as someone else than it was told to.
"""

from __future__ import annotations

from typing import Any

from freshkey.errors import LoginRequired
from freshkey.plugin import Profile
from freshkey_bedrock.credential_process import CredentialProcess
from freshkey_bedrock.instance_metadata import on_instance


def restricted_resolver(session: Any, profile: Profile, ends: float) -> Any:  # noqa: ANN401  botocore has no types
    """Return the resolver of a botocore session, changed where botocore would wait for ever or read without end.

    botocore offers no way to hand these in, so the attributes of its providers are replaced. Tests against the real
    library notice if they are called otherwise one day.

    Args:
        session: The botocore session.
        profile: The profile, for messages.
        ends: When the look-up has to be over, by `time.monotonic`.
    """
    from botocore.credentials import AssumeRoleProvider, ProcessProvider, create_credential_resolver

    def start(argv: list[str], **_pipes: object) -> CredentialProcess:
        return CredentialProcess(argv, ends, profile.name)

    resolver = create_credential_resolver(session)
    resolver.providers = [provider for provider in resolver.providers if not _ruled_out(provider, session)]
    for provider in resolver.providers:
        if isinstance(provider, ProcessProvider):
            provider._popen = start  # noqa: SLF001
        if isinstance(provider, AssumeRoleProvider):
            provider._prompter = _refusal(profile)  # noqa: SLF001
            _bound_sources(provider, start)
    return resolver


def _ruled_out(provider: Any, session: Any) -> bool:  # noqa: ANN401  botocore has no types
    """Tell whether a place is no part of the profile that is named, or a question that no one here would answer."""
    from botocore.credentials import BotoProvider, ContainerProvider, InstanceMetadataProvider, OriginalEC2Provider

    if session.instance_variables().get("profile") is not None:
        elsewhere = (BotoProvider, ContainerProvider, InstanceMetadataProvider, OriginalEC2Provider)
        return isinstance(provider, elsewhere)
    return isinstance(provider, InstanceMetadataProvider) and not on_instance()


def _bound_sources(provider: Any, start: Any) -> None:  # noqa: ANN401  botocore has no types
    """Bound the processes of profiles that a role is assumed from, which botocore makes when it needs them."""
    builder = provider._profile_provider_builder  # noqa: SLF001
    make = builder._create_process_provider  # noqa: SLF001

    def made(profile_name: str) -> Any:  # noqa: ANN401  botocore has no types
        process = make(profile_name)
        process._popen = start  # noqa: SLF001
        return process

    builder._create_process_provider = made  # noqa: SLF001


def _refusal(profile: Profile) -> Any:  # noqa: ANN401  a callback of botocore's
    def refuse(_prompt: str) -> str:
        raise LoginRequired(
            "the AWS role asks for an MFA code, which cannot be entered here",
            profile=profile.name,
            hint="Name an AWS profile that needs none, such as one of aws sso login",
        )

    return refuse
