"""Which settings a sign-in with IAM Identity Center still needs."""

from __future__ import annotations

from typing import Final

from freshkey.plugin import Profile
from freshkey_bedrock.settings import BedrockSettings


_NEEDED: Final = ("sso_start_url", "sso_region", "sso_account_id", "sso_role_name")


def setup(profile: Profile) -> str | None:
    """Return which settings to add before a sign-in is possible, as a hint; None if they are all set."""
    settings = profile.settings_as(BedrockSettings)
    missing = [name for name in _NEEDED if not getattr(settings, name)]
    if missing == ["sso_region"] and settings.sso_oidc_url and settings.sso_portal_url:
        return None
    return f"Under [profiles.{profile.name}] in config.toml, set: {', '.join(missing)}" if missing else None
