"""Reads the configuration of workload identity federation from settings and environment, without any I/O.

The variables come from Anthropic's Python SDK 2.13.0 (``_chain.py``, ``_constants.py``), which also requires rule,
organization and identity token.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from freshkey.plugin import Profile, Secret
from freshkey_claude_oauth.endpoints import api_token_endpoint
from freshkey_claude_oauth.federation import identity_token
from freshkey_claude_oauth.settings import BASE_URL, ClaudeSettings


@frozen(kw_only=True)
class FederationRule:
    """The parameters of a token exchange.

    Attributes:
        rule_id: ID of the federation rule.
        organization_id: ID of the organization.
        service_account_id: ID of the service account, if the rule covers several.
        workspace_id: ID of the workspace, if the rule covers several.
        identity_token_file: The identity token file; None reads ``ANTHROPIC_IDENTITY_TOKEN``.
        token_endpoint: Where the token is exchanged; an already checked URL.
    """

    rule_id: str
    organization_id: str
    service_account_id: str | None = None
    workspace_id: str | None = None
    identity_token_file: Path | None = None
    token_endpoint: str

    @property
    def fields(self) -> dict[str, str]:
        """The fields of the request besides those of RFC 7523; the rule decides the scopes."""
        known = {
            "federation_rule_id": self.rule_id,
            "organization_id": self.organization_id,
            "service_account_id": self.service_account_id,
            "workspace_id": self.workspace_id,
        }
        return {name: value for name, value in known.items() if value}

    def version(self, environ: Mapping[str, str]) -> str:
        """Return a text that changes with the request, for `Detected.version`: any of its fields may be a variable."""
        token = identity_token.version(self.identity_token_file, environ)
        return Secret(f"{self} {token}").fingerprint()


def configured(profile: Profile, environ: Mapping[str, str]) -> FederationRule | None:
    """Return the configured rule; None unless rule, organization and identity token are all set.

    Settings override variables, and an empty variable counts as unset.

    Raises:
        ConfigurationError: Secrets must not be sent to ``ANTHROPIC_BASE_URL``.
    """
    settings = profile.settings_as(ClaudeSettings)
    rule = settings.federation_rule_id or environ.get("ANTHROPIC_FEDERATION_RULE_ID")
    organization = settings.organization_id or environ.get("ANTHROPIC_ORGANIZATION_ID")
    file = settings.identity_token_file or environ.get(identity_token.FILE)
    if not rule or not organization or not (file or environ.get(identity_token.VARIABLE)):
        return None
    base = settings.base_url or environ.get("ANTHROPIC_BASE_URL") or BASE_URL
    return FederationRule(
        rule_id=rule,
        organization_id=organization,
        service_account_id=settings.service_account_id or environ.get("ANTHROPIC_SERVICE_ACCOUNT_ID"),
        workspace_id=settings.workspace_id or environ.get("ANTHROPIC_WORKSPACE_ID"),
        identity_token_file=Path(file) if file else None,
        token_endpoint=api_token_endpoint(base, insecure=profile.allow_insecure_loopback, what="ANTHROPIC_BASE_URL"),
    )
