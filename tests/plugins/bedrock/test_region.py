"""Which region is used, and how AWS's shared files are read for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aws_home import AwsHome
from freshkey.errors import ConfigurationError
from freshkey.model.profile import Profile
from freshkey_bedrock.region import known_region, needed_region


@pytest.fixture
def everywhere(aws_home: AwsHome, monkeypatch: pytest.MonkeyPatch) -> None:
    aws_home.config("[default]\nregion = eu-west-3\n[profile team]\nregion = eu-west-4\n")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")


@pytest.mark.usefixtures("everywhere")
def test_the_order_in_which_a_region_is_looked_for(
    make_profile: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_no_region_anywhere_is_said_with_the_profile(make_profile: Callable[..., Profile]) -> None:
    unset = make_profile(region=None)
    assert known_region(unset) is None
    with pytest.raises(ConfigurationError, match=r"^work: no AWS region is set.*\[profiles\.work\]"):
        needed_region(unset)


@pytest.mark.parametrize(
    "region",
    ["", "eu", "eu-west", "EU-WEST-1", "eu-west-1.evil.example", "eu-west-1/", "eu-west-1\n", "eu west-1", "@"],
)
def test_what_is_no_name_of_a_region_never_gets_into_a_host(
    region: str, make_profile: Callable[..., Profile], monkeypatch: pytest.MonkeyPatch, aws_home: AwsHome
) -> None:
    with pytest.raises(ConfigurationError, match="is no name of an AWS region"):
        make_profile(region=region)
    if region:
        monkeypatch.setenv("AWS_REGION", region)
        with pytest.raises(ConfigurationError, match=r"^work: the environment variable AWS_REGION: "):
            known_region(make_profile(region=None))
    if region.strip() == region and region:
        monkeypatch.delenv("AWS_REGION")
        aws_home.config(f"[default]\nregion = {region}\n")
        with pytest.raises(ConfigurationError, match=r"^work: the region of AWS profile 'default': "):
            known_region(make_profile(region=None))
