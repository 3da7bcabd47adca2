"""Invalid sign-in settings are refused, and the error names the setting."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from freshkey.errors import ConfigurationError
from freshkey.model.profile import Profile
from raises_code import raises_code


MakeProfile = Callable[..., Profile]

WRONG = {
    "sso_start_url": ("http://example.com/start", "invalid-url"),
    "sso_region": ("eu-west", "bedrock-invalid-region"),
    "sso_account_id": ("1234", "invalid-setting"),
    "sso_role_name": ("a role", "invalid-setting"),
    "sso_portal_url": ("https://user@example.com", "invalid-url"),
}


@pytest.mark.parametrize(("name", "value", "code"), [(name, *case) for name, case in WRONG.items()])
def test_invalid_setting_is_refused(make_profile: MakeProfile, name: str, value: str, code: str) -> None:
    with raises_code(ConfigurationError, code) as caught:
        make_profile(**{name: value})
    assert caught.value.message.startswith(f"{name}: ")
