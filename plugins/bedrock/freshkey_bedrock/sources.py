"""The sources of Bedrock credentials, in order of precedence, and how to get a credential from each.

1. ``bearer-key``: ``AWS_BEARER_TOKEN_BEDROCK``, which AWS SDKs also prefer to any AWS credentials.
2. ``short-term-key``: a Bedrock API key made locally from AWS credentials, if the profile selects this source.
3. ``credential-export``: a command that prints AWS credentials, if the profile sets one.
4. ``aws-profile``: the AWS profile set in the profile; credentials in the environment are then ignored.
5. ``environment``: the default chain, if botocore's first match is the environment, the container or the instance.
   It comes before the stored sources because such machines seldom have a keychain that can be read.
6. ``stored-api-key``: a Bedrock API key that the user entered.
7. ``sso``: freshkey's own sign-in with AWS IAM Identity Center.
8. ``default-chain``: whatever else botocore finds, in its order.

In short: explicitly provided or configured credentials come first, then stored ones, then ambient ones.
"""

from __future__ import annotations

import functools
from typing import Final, Protocol

from attrs import evolve

from freshkey.plugin import Credential, Interaction, Profile, Source
from freshkey_bedrock import aws_profile, credential_export, default_chain
from freshkey_bedrock.api_key import mint
from freshkey_bedrock.api_key import source as api_key
from freshkey_bedrock.own_files import ensure_own
from freshkey_bedrock.sso.credential import SSO
from freshkey_bedrock.sso.setup import setup as sso_setup
from freshkey_bedrock.unused_settings import unused


_SOURCES: Final = (
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
        chosen_by=("credential_export",),
    ),
    Source(
        id=aws_profile.ID,
        title="AWS profile set in aws_profile",
        owned=False,
        detect=aws_profile.detect,
        chosen_by=("aws_profile",),
    ),
    Source(
        id=default_chain.ENVIRONMENT,
        title="AWS credentials from the environment, container, or instance",
        owned=False,
        handed_in=True,
        detect=default_chain.detect_handed_in,
    ),
    Source(id=api_key.STORED_KEY, title="API key stored by freshkey", owned=True, interactive=True, pasted=True),
    Source(id=SSO, title="AWS IAM Identity Center sign-in", owned=True, interactive=True, setup=sso_setup),
    Source(
        id=default_chain.DEFAULT_CHAIN,
        title="AWS default chain",
        owned=False,
        detect=default_chain.detect,
    ),
)
SOURCES: Final = tuple(evolve(one, ignores=functools.partial(unused, source_id=one.id)) for one in _SOURCES)


def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    """Get a credential from one of `SOURCES`."""
    return evolve(_acquire(profile, source.id, interaction), source=source.id)


def _acquire(profile: Profile, source_id: str, interaction: Interaction) -> Credential:
    if source_id in _READS_AWS_FILES:
        ensure_own(profile)
    if source_id == api_key.BEARER_KEY:
        return api_key.from_environment(profile)
    if source_id == SSO:
        from freshkey_bedrock.sso.sign_in import sign_in

        return sign_in(profile, interaction)
    return _TAKE[source_id](profile, interaction)


_READS_AWS_FILES: Final = frozenset(
    {mint.ID, credential_export.ID, aws_profile.ID, default_chain.ENVIRONMENT, default_chain.DEFAULT_CHAIN}
)
"""Sources that use botocore, or run a command that does."""


class _Take(Protocol):
    def __call__(self, profile: Profile, interaction: Interaction, /) -> Credential: ...


_TAKE: Final[dict[str, _Take]] = {
    api_key.STORED_KEY: api_key.from_user,
    mint.ID: mint.take,
    credential_export.ID: credential_export.take,
    aws_profile.ID: aws_profile.take,
    default_chain.ENVIRONMENT: default_chain.take_handed_in,
    default_chain.DEFAULT_CHAIN: default_chain.take,
}
