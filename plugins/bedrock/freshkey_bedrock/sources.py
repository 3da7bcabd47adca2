"""Where credentials for Bedrock come from, in order of precedence, and who gets one from each.

1. ``bearer-key``: ``AWS_BEARER_TOKEN_BEDROCK``, which AWS's SDKs too prefer to all AWS credentials.
2. ``short-term-key``: a Bedrock API key made here from AWS credentials, where the profile asks for that.
3. ``credential-export``: a command that prints AWS credentials, where the profile names one.
4. ``aws-profile``: the profile of AWS's tools that the profile names; the environment's credentials are ignored then.
5. ``environment``: the default chain, where botocore uses first what the environment, the container or the instance
   hands in. Such machines seldom have a keychain, and a walk that asks for one first would end there.
6. ``stored-api-key``: a Bedrock API key that the user handed in.
7. ``sso``: a sign-in of freshkey's own at AWS IAM Identity Center.
8. ``default-chain``: whatever else botocore finds, in its order.

So what was handed in or configuration names comes before what freshkey keeps, and that before what happens to be
there.
"""

from __future__ import annotations

from typing import Final, Protocol

from attrs import evolve

from freshkey.plugin import SYSTEM, Clock, Credential, Interaction, Profile, Source
from freshkey_bedrock import aws_profile, credential_export, default_chain
from freshkey_bedrock.api_key import mint
from freshkey_bedrock.api_key import source as api_key
from freshkey_bedrock.sso.credential import SSO


SOURCES: Final = (
    Source(
        id=api_key.BEARER_KEY,
        title="API key in AWS_BEARER_TOKEN_BEDROCK",
        owned=False,
        handed_in=True,
        needs_consent=True,
        detect=api_key.detect,
    ),
    Source(id=mint.ID, title="API key made from AWS credentials", owned=False, detect=mint.detect),
    Source(
        id=credential_export.ID,
        title="credential_export command",
        owned=False,
        handed_in=True,
        detect=credential_export.detect,
    ),
    Source(id=aws_profile.ID, title="profile of AWS's tools, by name", owned=False, detect=aws_profile.detect),
    Source(
        id=default_chain.ENVIRONMENT,
        title="AWS credentials of environment, container or instance",
        owned=False,
        handed_in=True,
        detect=default_chain.detect_handed_in,
    ),
    Source(id=api_key.STORED_KEY, title="API key kept by freshkey", owned=True, interactive=True, pasted=True),
    Source(id=SSO, title="sign-in at AWS IAM Identity Center", owned=True, interactive=True),
    Source(id=default_chain.DEFAULT_CHAIN, title="AWS's default chain", owned=False, detect=default_chain.detect),
)


def acquire(profile: Profile, source: Source, interaction: Interaction, *, clock: Clock = SYSTEM) -> Credential:
    """Get a credential from one of `SOURCES`."""
    return evolve(_acquire(profile, source.id, interaction, clock), source=source.id)


def _acquire(profile: Profile, source_id: str, interaction: Interaction, clock: Clock) -> Credential:
    if source_id == api_key.BEARER_KEY:
        return api_key.from_environment(profile, clock=clock)
    if source_id == SSO:
        from freshkey_bedrock.sso.sign_in import sign_in

        return sign_in(profile, interaction, clock=clock)
    return _TAKE[source_id](profile, interaction, clock=clock)


class _Take(Protocol):
    def __call__(self, profile: Profile, interaction: Interaction, /, *, clock: Clock) -> Credential: ...


_TAKE: Final[dict[str, _Take]] = {
    api_key.STORED_KEY: api_key.from_user,
    mint.ID: mint.take,
    credential_export.ID: credential_export.take,
    aws_profile.ID: aws_profile.take,
    default_chain.ENVIRONMENT: default_chain.take,
    default_chain.DEFAULT_CHAIN: default_chain.take,
}
