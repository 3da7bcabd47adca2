"""botocore's provider chain, restricted: no fallback from an explicit profile, no unbounded processes, no prompts.

botocore ends every lookup with the container and the instance, even if an AWS profile was named that has no
credentials; the program would then run under the wrong identity.
"""

from __future__ import annotations

from typing import Any

from freshkey.errors import LoginRequired
from freshkey.plugin import Profile
from freshkey_bedrock.credential_process import CredentialProcess
from freshkey_bedrock.instance_metadata import on_instance


def restricted_resolver(session: Any, profile: Profile, ends: float) -> Any:  # noqa: ANN401  botocore has no types
    """Return the resolver of a botocore session, changed where botocore could block forever or read without limit.

    botocore has no parameters for this, so attributes of its providers are replaced. Tests against the real library
    fail if those are ever renamed. See docs/decisions.md, "botocore does the work, with limits and without its log".

    Args:
        session: The botocore session.
        profile: The profile, for messages.
        ends: Deadline of the lookup, as a `time.monotonic` value.
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
    """Return whether a provider is outside the named AWS profile, or would query instance metadata off EC2."""
    from botocore.credentials import BotoProvider, ContainerProvider, InstanceMetadataProvider, OriginalEC2Provider

    if session.instance_variables().get("profile") is not None:
        elsewhere = (BotoProvider, ContainerProvider, InstanceMetadataProvider, OriginalEC2Provider)
        return isinstance(provider, elsewhere)
    return isinstance(provider, InstanceMetadataProvider) and not on_instance()


def _bound_sources(provider: Any, start: Any) -> None:  # noqa: ANN401  botocore has no types
    """Bound the credential processes of source profiles, whose providers botocore creates on demand."""
    builder = provider._profile_provider_builder  # noqa: SLF001
    make = builder._create_process_provider  # noqa: SLF001

    def made(profile_name: str) -> Any:  # noqa: ANN401  botocore has no types
        process = make(profile_name)
        process._popen = start  # noqa: SLF001
        return process

    builder._create_process_provider = made  # noqa: SLF001


def _refusal(profile: Profile) -> Any:  # noqa: ANN401  a callback for botocore
    def refuse(_prompt: str) -> str:
        raise LoginRequired(
            "the AWS role requires an MFA code, and freshkey cannot prompt for one",
            profile=profile.name,
            hint="Use an AWS profile without mfa_serial, such as one that aws sso login signs in",
            code="bedrock-mfa-required",
        )

    return refuse
