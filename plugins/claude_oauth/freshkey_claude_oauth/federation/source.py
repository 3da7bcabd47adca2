"""Workload identity federation as a source: detects the configuration and gets a token."""

from __future__ import annotations

import os
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.plugin import SYSTEM, Clock, Detected, Profile
from freshkey_claude_oauth.federation import identity_token
from freshkey_claude_oauth.federation.rule import configured
from freshkey_claude_oauth.formats import ClaudeToken
from freshkey_claude_oauth.settings import ClaudeSettings


SOURCE: Final = "federation"


def detect(profile: Profile) -> Detected | None:
    """Report a configured exchange; the identity token is not read."""
    found = configured(profile.settings_as(ClaudeSettings), os.environ)
    if found is None:
        return None
    where = found.identity_token_file or f"environment variable {identity_token.VARIABLE}"
    origin = f"federation rule {found.rule_id}, identity token in {where}"
    return Detected(kind="workload identity", origin=origin, version=found.version(os.environ))


def acquire(profile: Profile, *, clock: Clock = SYSTEM) -> ClaudeToken:
    """Return a token for the identity configured by settings or environment.

    Raises:
        ConfigurationError: The configuration is incomplete, or the identity token is missing or invalid.
        ProviderRefused: The federation rule does not accept the identity token.
        TransientError: Try again later.
        OutcomeUnknown: There is no usable response; it is safe to try again.
    """
    from freshkey_claude_oauth.federation.exchange import exchange

    settings = profile.settings_as(ClaudeSettings)
    found = configured(settings, os.environ)
    if found is None:
        raise ConfigurationError(
            "workload identity federation is not configured: it requires a rule, an organization and an identity token",
            hint="Set ANTHROPIC_FEDERATION_RULE_ID, ANTHROPIC_ORGANIZATION_ID and ANTHROPIC_IDENTITY_TOKEN_FILE, or "
            "federation_rule_id, organization_id and identity_token_file in the profile",
            code="claude-federation-not-configured",
        )
    return exchange(found, settings, clock=clock)
