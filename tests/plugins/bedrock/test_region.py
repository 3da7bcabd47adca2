"""Which region is used, and how it is read from the shared AWS files."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aws_home import AwsHome
from freshkey.errors import ConfigurationError
from freshkey.model.profile import Profile
from freshkey_bedrock.region import known_region, needed_region
from raises_code import raises_code


@pytest.fixture
def everywhere(aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch) -> None:
    aws_home.config("[default]\nregion = eu-west-3\n[profile team]\nregion = eu-west-4\n")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")


@pytest.mark.usefixtures("everywhere")
def test_region_precedence(make_profile: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch) -> None:
    unset = make_profile(region=None)
    assert known_region(make_profile(region="us-gov-west-1")) == "us-gov-west-1"
    assert known_region(unset) == "eu-west-1"
    monkeypatch.setenv("AWS_REGION", "")
    assert known_region(unset) == "eu-west-2"
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert known_region(unset) == "eu-west-3"
    assert known_region(make_profile(region=None, aws_profile="team")) == "eu-west-4"
    monkeypatch.setenv("AWS_PROFILE", "team")
    assert known_region(unset) == "eu-west-4"


def test_missing_region_raises_and_names_the_profile(make_profile: Callable[..., Profile]) -> None:
    unset = make_profile(region=None)
    assert known_region(unset) is None
    with raises_code(ConfigurationError, "bedrock-no-region") as caught:
        needed_region(unset)
    assert caught.value.profile == "work"
    assert "[profiles.work]" in str(caught.value.hint)


@pytest.mark.parametrize(
    "region",
    ["", "eu", "eu-west", "EU-WEST-1", "eu-west-1.evil.example", "eu-west-1/", "eu-west-1\n", "eu west-1", "@"],
)
def test_malformed_region_is_refused_whatever_its_origin(
    region: str, make_profile: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch, aws_home: AwsHome
) -> None:
    with raises_code(ConfigurationError, "bedrock-invalid-region"):
        make_profile(region=region)
    if region:
        monkeypatch.setenv("AWS_REGION", region)
        with raises_code(ConfigurationError, "bedrock-invalid-region") as caught:
            known_region(make_profile(region=None))
        assert caught.value.profile == "work"
        assert "AWS_REGION" in caught.value.message
    if region.strip() == region and region:
        monkeypatch.delenv("AWS_REGION")
        aws_home.config(f"[default]\nregion = {region}\n")
        with raises_code(ConfigurationError, "bedrock-invalid-region") as caught:
            known_region(make_profile(region=None))
        assert caught.value.profile == "work"
        assert "AWS profile 'default'" in caught.value.message
