"""Describes this provider to the core."""

from __future__ import annotations

from typing import Final

from freshkey.plugin import Credential, Description, Profile
from freshkey_claude_oauth import endpoints
from freshkey_claude_oauth.formats import FORMATS
from freshkey_claude_oauth.settings import ClaudeSettings
from freshkey_claude_oauth.sources import SOURCES


VARIABLES: Final = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BETAS",
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_FEDERATION_RULE_ID",
    "ANTHROPIC_IDENTITY_TOKEN",
    "ANTHROPIC_IDENTITY_TOKEN_FILE",
    "ANTHROPIC_ORGANIZATION_ID",
    "ANTHROPIC_PROFILE",
    "ANTHROPIC_SERVICE_ACCOUNT_ID",
    "ANTHROPIC_WORKSPACE_ID",
    "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
    "CLAUDE_CODE_OAUTH_REFRESH_TOKEN",
    "CLAUDE_CODE_OAUTH_SCOPES",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_MANTLE",
    "CLAUDE_CODE_USE_VERTEX",
)
"""What Anthropic's SDKs and Claude Code read to find a credential, or to select another provider."""

MOVED_BY: Final = (
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_CONFIG_DIR",
    "ANTHROPIC_FEDERATION_RULE_ID",
    "ANTHROPIC_IDENTITY_TOKEN_FILE",
    "ANTHROPIC_ORGANIZATION_ID",
    "ANTHROPIC_PROFILE",
    "ANTHROPIC_SERVICE_ACCOUNT_ID",
    "ANTHROPIC_WORKSPACE_ID",
)
"""Variables that move an endpoint or a file, or choose an identity."""


def description(profile: Profile | None) -> Description:
    """Return the description; with a profile, it includes what depends on settings."""
    settings = profile.settings_as(ClaudeSettings) if profile else None
    return Description(
        title="Claude",
        settings=ClaudeSettings,
        formats=FORMATS,
        sources=SOURCES,
        single_use=True,
        repeats_for=settings.repeats_for if settings else None,
        variables=VARIABLES,
        moved_by=MOVED_BY,
        hosts=endpoints.hosts(settings) if settings else (),
        binding=endpoints.binding(settings) if settings else {},
        revoke=_revoke if settings is None or _can_revoke(settings) else None,
        revokes_alone=settings is None or settings.revoke_replaced,
    )


def _can_revoke(settings: ClaudeSettings) -> bool:
    """Return whether there is, or may be, a revocation endpoint; an issuer's metadata is not fetched here."""
    return bool(settings.issuer or endpoints.revoke_url(settings))


def _revoke(profile: Profile, credential: Credential) -> None:
    from freshkey_claude_oauth.signout import revoke

    revoke(profile, credential)
