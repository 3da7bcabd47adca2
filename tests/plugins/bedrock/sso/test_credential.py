"""The binding of a sign-in to its directory and role."""

from __future__ import annotations

import attrs

from freshkey.model.profile import Profile
from freshkey_bedrock.description import description
from freshkey_bedrock.sso.credential import SsoCredential


def test_binding_is_the_directory_and_the_role(profile: Profile, signed_in: SsoCredential) -> None:
    assert dict(signed_in.binding) == description(profile).binding
    assert dict(attrs.evolve(signed_in, role_name="Other").binding) != description(profile).binding
