"""Validation of settings."""

from __future__ import annotations

import pytest

from freshkey.errors import ConfigurationError
from freshkey_bedrock.settings import BedrockSettings, checked_region
from raises_code import raises_code


@pytest.mark.parametrize("region", ["eu-west-1", "us-gov-east-1", "ap-southeast-7", "us-iso-east-1", "eusc-de-east-1"])
def test_region_name_is_accepted(region: str) -> None:
    assert checked_region(region, "region") == region


@pytest.mark.parametrize(
    ("name", "value"), [("aws_profile", " "), ("deadline", 0), ("deadline", 601), ("credential_export_timeout", 601)]
)
def test_invalid_setting_is_refused_by_name(name: str, value: object) -> None:
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        BedrockSettings(**{name: value})  # type: ignore[arg-type]  # the types match the names
    assert name in caught.value.message
