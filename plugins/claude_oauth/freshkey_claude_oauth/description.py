"""What this provider is, for the core to read."""

from __future__ import annotations

from freshkey.model import Credential, Description, Profile
from freshkey_claude_oauth import addresses
from freshkey_claude_oauth.formats import FORMATS
from freshkey_claude_oauth.settings import ClaudeSettings
from freshkey_claude_oauth.sources import SOURCES


def description(profile: Profile | None) -> Description:
    """Return the description, with what depends on settings where there is a profile."""
    settings = profile.settings_as(ClaudeSettings) if profile else None
    return Description(
        title="Claude by OAuth sign-in",
        settings=ClaudeSettings,
        formats=FORMATS,
        sources=SOURCES,
        single_use=True,
        hosts=addresses.hosts(settings) if settings else (),
        binding=addresses.binding(settings) if settings else {},
        revoke=_revoke if settings is None or _can_revoke(settings) else None,
    )


def _can_revoke(settings: ClaudeSettings) -> bool:
    """Whether there is, or may be, a revocation endpoint; an issuer's metadata are not asked here."""
    return bool(settings.issuer or addresses.revoke_url(settings))


def _revoke(profile: Profile, credential: Credential) -> None:
    from freshkey_claude_oauth.renewal import revoke

    revoke(profile, credential)
