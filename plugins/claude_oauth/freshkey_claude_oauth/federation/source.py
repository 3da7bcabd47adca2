"""Workload identity federation as a source: detects the configuration and gets a token."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.plugin import Detected, Profile, shown_name
from freshkey_claude_oauth.federation import identity_token
from freshkey_claude_oauth.federation.rule import FederationRule, configured
from freshkey_claude_oauth.formats import ClaudeToken


SOURCE: Final = "federation"


def detect(profile: Profile) -> Detected | None:
    """Report a configured exchange; the identity token is not read."""
    found = configured(profile, os.environ)
    if found is None:
        return None
    where = f"environment variable {identity_token.VARIABLE}"
    if found.identity_token_file is not None:
        where = identity_token.shown(found.identity_token_file)
    origin = f"federation rule {shown_name(found.rule_id) or '(not shown)'}, identity token in {where}"
    return Detected(kind="workload identity", origin=origin, version=found.version(os.environ))


def ensure_own(profile: Profile, rule: FederationRule, environ: Mapping[str, str]) -> None:
    """Raise unless an identity token file that a variable names is the user's own or trusted.

    Raises:
        TrustNeeded: It is in the current project.
    """
    if rule.identity_token_file is not None and str(rule.identity_token_file) == environ.get(identity_token.FILE):
        profile.ensure_own(identity_token.FILE, rule.identity_token_file)


def acquire(profile: Profile) -> ClaudeToken:
    """Return a token for the identity configured by settings or environment.

    Raises:
        ConfigurationError: The configuration is incomplete, or the identity token is missing or invalid.
        ProviderRefused: The federation rule does not accept the identity token.
        TransientError: Try again later.
        OutcomeUnknown: There is no usable response; it is safe to try again.
    """
    from freshkey_claude_oauth.federation.exchange import exchange

    found = configured(profile, os.environ)
    if found is None:
        raise ConfigurationError(
            "workload identity federation is not configured: it requires a rule, an organization and an identity token",
            hint="Set ANTHROPIC_FEDERATION_RULE_ID, ANTHROPIC_ORGANIZATION_ID and ANTHROPIC_IDENTITY_TOKEN_FILE, or "
            "federation_rule_id, organization_id and identity_token_file in the profile",
            code="claude-federation-not-configured",
        )
    ensure_own(profile, found, os.environ)
    return exchange(found, profile)
