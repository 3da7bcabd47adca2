"""The provider meets the contract of all providers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import attrs
import pytest

import freshkey_bedrock
from aws_home import AwsHome
from freshkey.model.profile import Profile
from freshkey_bedrock.sso.credential import SsoCredential
from freshkey_bedrock.sso.sign_in import sign_in
from freshkey_testing import Lender, ProviderContract, ScriptedUser
from freshkey_testing.browser import follow
from sso_double import SsoDouble


class TestBedrock(ProviderContract):
    """With a sign-in at IAM Identity Center, a Bedrock API key, and AWS credentials in environment and files."""

    @pytest.fixture
    def provider(self) -> object:
        return freshkey_bedrock

    @pytest.fixture
    def double(self) -> Iterator[SsoDouble]:
        with SsoDouble() as running:
            yield running

    @pytest.fixture
    def profile(
        self,
        make_profile: Callable[..., Profile],
        double: SsoDouble,
        aws_home: AwsHome,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Profile:
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "ABSKQmVkcm9ja0FQSUtleS1tYWRlLXVw")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMADEUP")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-made-up-secret-access-key")
        program = aws_home.rotating_process("another-made-up-secret-access-key", seconds=3600)
        aws_home.config(f"[profile team]\ncredential_process = {program}\n")
        return make_profile(aws_profile="team", **double.settings())

    @pytest.fixture
    def users(self) -> Mapping[str, ScriptedUser]:
        key = ScriptedUser(secret="ABSKQmVkcm9ja0FQSUtleS1hbm90aGVy")
        return {"sso": ScriptedUser(browser=follow), "stored-api-key": key}

    @pytest.fixture
    def lenders(self, aws_home: AwsHome) -> Mapping[str, Lender]:
        # The program of the profile prints another secret each time.
        return {"aws-profile": Lender(renew=lambda: None, remove=lambda: aws_home.config(""))}

    @pytest.fixture
    def signed_in(self, profile: Profile) -> SsoCredential:
        with ScriptedUser(browser=follow) as user:
            return sign_in(profile, user)

    @pytest.fixture
    def not_renewable(self, signed_in: SsoCredential) -> SsoCredential:
        session = attrs.evolve(signed_in.session, refresh_token=None, expires=0.0)
        return attrs.evolve(signed_in, session=session)

    @pytest.fixture
    def revocable(self, signed_in: SsoCredential) -> SsoCredential:
        return signed_in
