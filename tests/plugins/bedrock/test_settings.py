"""What a setting may be."""

from __future__ import annotations

import pytest

from freshkey_bedrock.settings import checked_region


@pytest.mark.parametrize("region", ["eu-west-1", "us-gov-east-1", "ap-southeast-7", "us-iso-east-1", "eusc-de-east-1"])
def test_names_of_regions(region: str) -> None:
    assert checked_region(region, "region") == region
