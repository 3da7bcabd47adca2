"""freshkey's own sign-in at IAM Identity Center: the user signs in, and role credentials follow without them."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from freshkey.plugin import SYSTEM, Clock, Interaction, NonInteractive, Profile
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.sso import oidc
from freshkey_bedrock.sso.credential import SsoCredential
from freshkey_bedrock.sso.role import Role


def sign_in(
    profile: Profile,
    interaction: Interaction,
    *,
    clock: Clock = SYSTEM,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> SsoCredential:
    """Have the user sign in, and return credentials of the role that the settings name.

    Args:
        profile: The profile.
        interaction: The user.
        clock: Tells the time.
        random: Returns that many random bytes.

    Raises:
        ConfigurationError: Settings are missing.
        TransientError: Try again later.
        OutcomeUnknown: The authorization code may be spent; start over.
        LoginRequired: No one is there, the user declined, or nothing came in time.
        ProviderRefused: The settings cannot work, or the user has no such role.
    """
    if isinstance(interaction, NonInteractive):
        interaction.open_url("")  # refuses, before a client is registered for nothing
    role, flow = Role.of(profile, clock), profile.settings_as(BedrockSettings).sso_flow
    session = oidc.sign_in(role.identity_center, flow, interaction, random=random)
    interaction.progress(f"Signed in; getting credentials of role {role.name}")
    return role.credential(session)
