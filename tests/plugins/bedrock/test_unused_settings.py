"""Settings that the chosen source ignores: each is named, and no source is without a declaration."""

from __future__ import annotations

import sys
from collections.abc import Callable

import attrs
import pytest

from aws_home import AwsHome
from freshkey import Keeper
from freshkey._commands.command import Command
from freshkey.model.interaction import LoggingReporter
from freshkey.model.profile import Profile
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.sources import SOURCES
from freshkey_bedrock.unused_settings import USED, unused


MakeProfile = Callable[..., Profile]

EVERY: dict[str, object] = {
    "aws_profile": "team",
    "deadline": 50.0,
    "auth_refresh": Command.of([sys.executable]),
    "credential_export": Command.of([sys.executable]),
    "credential_export_timeout": 20.0,
    "short_term_key_seconds": 900.0,
    "sso_start_url": "https://corp.awsapps.com/start",
    "sso_region": "eu-west-1",
    "sso_account_id": "123456789012",
    "sso_role_name": "Dev",
    "sso_flow": "device",
    "sso_oidc_url": "https://oidc.example",
    "sso_portal_url": "https://portal.example",
}


class Ear(LoggingReporter):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(message)


def test_every_source_declares_existing_settings() -> None:
    names = {each.name for each in attrs.fields(BedrockSettings)}
    assert set(USED) == {source.id for source in SOURCES}
    assert set().union(*USED.values()) <= names
    assert set(EVERY) == names - {"region", "allow_insecure_loopback"}


@pytest.mark.parametrize("source", USED)
def test_each_source_names_what_it_ignores(make_profile: MakeProfile, source: str) -> None:
    profile = make_profile(source=source, **EVERY)
    expected = set(EVERY) - USED[source] | ({"auth_refresh"} if source == "short-term-key" else set())
    assert set(unused(profile, source)) == expected


def test_default_chain_uses_the_aws_profile_and_the_environment_does_not(make_profile: MakeProfile) -> None:
    profile = make_profile(source="default-chain", aws_profile="team")
    assert unused(profile, "default-chain") == ()
    assert unused(profile, "environment") == ("aws_profile",)


def test_keys_in_the_environment_hide_the_aws_profile_from_the_default_chain(make_profile: MakeProfile) -> None:
    profile = make_profile(source="default-chain", aws_profile="team")
    keys = {"AWS_ACCESS_KEY_ID": "AKIAHERE"}
    assert unused(profile, "default-chain", keys) == ("aws_profile",)
    assert unused(profile, "default-chain", keys | {"AWS_CREDENTIAL_EXPIRATION": "2020-01-01T00:00:00Z"}) == ()


def test_aws_profile_counts_if_only_it_has_the_region(make_profile: MakeProfile) -> None:
    assert unused(make_profile(source="environment", aws_profile="team", region=None), "environment") == ()


def test_profile_without_a_chosen_source_may_have_settings_for_several(make_profile: MakeProfile) -> None:
    assert unused(make_profile(aws_profile="team", sso_role_name="Dev"), "bearer-key") == ()
    assert unused(make_profile(short_term_key_seconds=900.0), "bearer-key") == ("short_term_key_seconds",)


def test_explain_and_the_user_are_told(
    make_keeper: Callable[..., Keeper],
    aws_home: AwsHome,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAHERE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    aws_home.config("[profile team]\nregion = eu-west-1\n")
    settings = {"source": "environment", "aws_profile": "team", "sso_role_name": "Dev"}
    steps = make_keeper(**settings).explain("work").steps
    assert [step.why for step in steps if step.wins] == [
        "set as the profile's source; not used: aws_profile, sso_role_name"
    ]
    ear = Ear()
    with make_keeper(**settings, reporter=ear) as keeper:
        keeper.get("work")
    assert ear.notices == ["Profile 'work': source 'environment': not used: aws_profile, sso_role_name"]
