"""Workload identity federation as a source: whether it is set up, and the token that it brings."""

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
    """Say whether an exchange is set up; the identity token is not read."""
    found = configured(profile.settings_as(ClaudeSettings), os.environ)
    if found is None:
        return None
    where = found.identity_token_file or f"environment variable {identity_token.VARIABLE}"
    return Detected(kind="workload identity", origin=f"federation rule {found.rule_id}, identity token in {where}")


def acquire(profile: Profile, *, clock: Clock = SYSTEM) -> ClaudeToken:
    """Return a token for the identity that settings or environment name.

    Raises:
        ConfigurationError: Something is missing, or there is no identity token.
        ProviderRefused: The federation rule does not accept it.
        TransientError: Try again later.
        OutcomeUnknown: No usable answer; asking again does no harm.
    """
    from freshkey_claude_oauth.federation.exchange import exchange

    settings = profile.settings_as(ClaudeSettings)
    found = configured(settings, os.environ)
    if found is None:
        raise ConfigurationError(
            "workload identity federation is not set up: it needs a rule, an organization and an identity token",
            hint="Set ANTHROPIC_FEDERATION_RULE_ID, ANTHROPIC_ORGANIZATION_ID and ANTHROPIC_IDENTITY_TOKEN_FILE, or "
            "federation_rule_id, organization_id and identity_token_file in the profile",
        )
    return exchange(found, settings, clock=clock)
