"""freshkey's own sign-in with IAM Identity Center: the user signs in once, then role credentials are fetched."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from freshkey.plugin import Interaction, Profile
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.sso import oidc
from freshkey_bedrock.sso.credential import SsoCredential
from freshkey_bedrock.sso.role import Role


def sign_in(
    profile: Profile,
    interaction: Interaction,
    *,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> SsoCredential:
    """Have the user sign in, and return credentials of the configured role.

    Args:
        profile: The profile.
        interaction: The user.
        random: Returns the given number of random bytes.

    Raises:
        ConfigurationError: Settings are missing.
        TransientError: Try again later.
        OutcomeUnknown: The authorization code may have been used; start over.
        LoginRequired: No user is present, the user declined, or the sign-in timed out.
        ProviderRefused: The settings are rejected, or the user does not have the role.
    """
    interaction.require_attended()  # before a client is registered in vain
    role, flow = Role.of(profile), profile.settings_as(BedrockSettings).sso_flow
    session = oidc.sign_in(role.identity_center, flow, interaction, random=random)
    interaction.progress(f"Signed in; getting credentials for role {role.name}")
    return role.credential(session)
