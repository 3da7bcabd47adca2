"""Renewal and revocation of credentials that are not a sign-in at IAM Identity Center."""

from __future__ import annotations

import pytest

from freshkey.errors import LoginRequired, ProviderRefused
from freshkey.model.credential import Credential
from freshkey.model.interaction import LoggingReporter
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_bedrock.formats import AwsCredential, BedrockApiKey
from freshkey_bedrock.renewal import renew, revoke
from freshkey_testing import ManualClock
from raises_code import raises_code


@pytest.fixture(params=[AwsCredential, BedrockApiKey])
def credential(request: pytest.FixtureRequest, clock: ManualClock) -> Credential:
    if request.param is BedrockApiKey:
        return BedrockApiKey(obtained=clock.now(), key=Secret("ABSK-made-up"))
    return AwsCredential(
        obtained=clock.now(), access_key_id="AKIA", secret_access_key=Secret("made up"), region="eu-west-1"
    )


def test_credential_without_a_refresh_token_cannot_be_renewed(profile: Profile, credential: Credential) -> None:
    with raises_code(LoginRequired, "not-renewable") as caught:
        renew(profile, credential, LoggingReporter())
    assert caught.value.profile == "work"
    assert "freshkey login work" in str(caught.value.hint)


def test_only_a_sign_in_can_be_revoked(profile: Profile, credential: Credential) -> None:
    with raises_code(ProviderRefused, "revocation-not-supported"):
        revoke(profile, credential)
