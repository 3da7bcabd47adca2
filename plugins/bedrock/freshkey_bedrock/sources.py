"""Where credentials for Bedrock come from, in order of precedence, and who gets one from each.

1. ``bearer-key``: ``AWS_BEARER_TOKEN_BEDROCK``, which AWS's SDKs too prefer to all AWS credentials.
2. ``short-term-key``: a Bedrock API key made here from AWS credentials, where the profile asks for that.
3. ``credential-export``: a command that prints AWS credentials, where the profile names one.
4. ``aws-profile``: the profile of AWS's tools that the profile names; the environment's credentials are ignored then.
5. ``environment``: the default chain, where botocore uses first what the environment, the container or the instance
   hands in. Such machines seldom have a keychain, and a walk that asks for one first would end there.
6. ``stored-api-key``: a Bedrock API key that a person handed in.
7. ``sso``: a sign-in of freshkey's own at AWS IAM Identity Center.
8. ``default-chain``: whatever else botocore finds, in its order.

So what was handed in or configuration names comes before what freshkey keeps, and that before what happens to be
there.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve

from freshkey.plugin import SYSTEM, Clock, Credential, Interaction, Profile, Source
from freshkey_bedrock import api_key, borrowed, credential_export, short_term_key, sightings
from freshkey_bedrock.sso_credential import SSO


AWS_PROFILE: Final = "aws-profile"
ENVIRONMENT: Final = "environment"
DEFAULT_CHAIN: Final = "default-chain"

SOURCES: Final = (
    Source(
        id=api_key.BEARER,
        title="API key in AWS_BEARER_TOKEN_BEDROCK",
        owned=False,
        handed_in=True,
        needs_consent=True,
        detect=api_key.detect,
    ),
    Source(id=short_term_key.ID, title="API key made from AWS credentials", owned=False, detect=short_term_key.detect),
    Source(
        id=credential_export.ID,
        title="credential_export command",
        owned=False,
        handed_in=True,
        detect=credential_export.detect,
    ),
    Source(id=AWS_PROFILE, title="profile of AWS's tools, by name", owned=False, detect=sightings.named_profile),
    Source(
        id=ENVIRONMENT,
        title="AWS credentials of environment, container or instance",
        owned=False,
        handed_in=True,
        detect=sightings.by_environment,
    ),
    Source(id=api_key.STORED, title="API key kept by freshkey", owned=True, interactive=True, pasted=True),
    Source(id=SSO, title="sign-in at AWS IAM Identity Center", owned=True, interactive=True),
    Source(id=DEFAULT_CHAIN, title="AWS's default chain", owned=False, detect=borrowed.look_in_chain),
)


def acquire(profile: Profile, source: Source, interaction: Interaction, *, clock: Clock = SYSTEM) -> Credential:
    """Get a credential from one of `SOURCES`."""
    return evolve(_acquire(profile, source.id, interaction, clock), source=source.id)


def _acquire(profile: Profile, source_id: str, interaction: Interaction, clock: Clock) -> Credential:
    if source_id == api_key.BEARER:
        return api_key.from_environment(profile, clock=clock)
    if source_id == api_key.STORED:
        return api_key.from_person(profile, interaction, clock=clock)
    if source_id == SSO:
        from freshkey_bedrock.sso import sign_in

        return sign_in(profile, interaction, clock=clock)
    if source_id == short_term_key.ID:
        return short_term_key.take(profile, interaction, clock=clock)
    if source_id == credential_export.ID:
        return credential_export.take(profile, interaction, clock=clock)
    return borrowed.from_aws_tools(profile, interaction, explicit=source_id == AWS_PROFILE, clock=clock)
