"""Settings of a sign-in that cannot work are refused, each by its name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from freshkey.errors import ConfigurationError
from freshkey.model.profile import Profile


MakeProfile = Callable[..., Profile]

WRONG = {
    "sso_start_url": ("http://example.com/start", "does not use https"),
    "sso_region": ("eu-west", "is no name of an AWS region"),
    "sso_account_id": ("1234", "has twelve digits"),
    "sso_role_name": ("a role", "is no name of a permission set"),
    "sso_portal_url": ("https://user@example.com", "has a user name in it"),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (value, _) in WRONG.items()])
def test_settings_that_cannot_be_are_refused(make_profile: MakeProfile, name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{name}: .*{WRONG[name][1]}"):
        make_profile(**{name: value})
