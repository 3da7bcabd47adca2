"""The endpoints of IAM Identity Center, and that no other host is contacted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from freshkey.model.profile import Profile
from freshkey_bedrock.description import description


MakeProfile = Callable[..., Profile]


def test_only_configured_hosts_are_allowed(profile: Profile) -> None:
    assert description(profile).hosts == ("127.0.0.1",)


@pytest.mark.parametrize(
    ("region", "hosts"),
    [
        ("eu-west-1", ("oidc.eu-west-1.amazonaws.com", "portal.sso.eu-west-1.amazonaws.com")),
        ("cn-north-1", ("oidc.cn-north-1.amazonaws.com.cn", "portal.sso.cn-north-1.amazonaws.com.cn")),
        ("us-gov-west-1", ("oidc.us-gov-west-1.amazonaws.com", "portal.sso.us-gov-west-1.amazonaws.com")),
    ],
)
def test_hosts_of_a_region(make_profile: MakeProfile, region: str, hosts: tuple[str, ...]) -> None:
    here = make_profile(sso_region=region, sso_oidc_url=None, sso_portal_url=None)
    assert description(here).hosts == hosts
