"""What is set up for workload identity federation, by settings or environment, without any I/O.

The variables, and that all three of rule, organization and identity token are needed, are those of Anthropic's Python
SDK 2.13.0 (``_chain.py``, ``_constants.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from freshkey_claude_oauth.endpoints import api_token_endpoint
from freshkey_claude_oauth.federation import identity_token
from freshkey_claude_oauth.settings import BASE_URL, ClaudeSettings


@frozen(kw_only=True)
class FederationRule:
    """What one exchange needs.

    Attributes:
        rule_id: Id of the federation rule.
        organization_id: Id of the organization.
        service_account_id: Id of the service account, where the rule covers several.
        workspace_id: Id of the workspace, where the rule covers several.
        identity_token_file: Where the identity token is; None takes it from ``ANTHROPIC_IDENTITY_TOKEN``.
        token_endpoint: Where it is exchanged; a checked address.
    """

    rule_id: str
    organization_id: str
    service_account_id: str | None = None
    workspace_id: str | None = None
    identity_token_file: Path | None = None
    token_endpoint: str

    @property
    def fields(self) -> dict[str, str]:
        """The fields of the request beside those of RFC 7523; scopes are the rule's business."""
        known = {
            "federation_rule_id": self.rule_id,
            "organization_id": self.organization_id,
            "service_account_id": self.service_account_id,
            "workspace_id": self.workspace_id,
        }
        return {name: value for name, value in known.items() if value}


def configured(settings: ClaudeSettings, environ: Mapping[str, str]) -> FederationRule | None:
    """Return what settings and environment say; None unless rule, organization and identity token are all there.

    Settings come first, variables fill what they leave out, and an empty variable counts as unset.

    Raises:
        ConfigurationError: ``ANTHROPIC_BASE_URL`` is no address that secrets may be sent to.
    """
    rule = settings.federation_rule_id or environ.get("ANTHROPIC_FEDERATION_RULE_ID")
    organization = settings.organization_id or environ.get("ANTHROPIC_ORGANIZATION_ID")
    file = settings.identity_token_file or environ.get("ANTHROPIC_IDENTITY_TOKEN_FILE")
    if not rule or not organization or not (file or environ.get(identity_token.VARIABLE)):
        return None
    base = settings.base_url or environ.get("ANTHROPIC_BASE_URL") or BASE_URL
    return FederationRule(
        rule_id=rule,
        organization_id=organization,
        service_account_id=settings.service_account_id or environ.get("ANTHROPIC_SERVICE_ACCOUNT_ID"),
        workspace_id=settings.workspace_id or environ.get("ANTHROPIC_WORKSPACE_ID"),
        identity_token_file=Path(file) if file else None,
        token_endpoint=api_token_endpoint(base, insecure=settings.allow_insecure_loopback, what="ANTHROPIC_BASE_URL"),
    )
