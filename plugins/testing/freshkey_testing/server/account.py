"""The account that a test signs in with, and the response fields that describe it."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Account:
    """The account that approves sign-ins at the authorization server, and its plan.

    Attributes:
        email: Email address.
        id: Stable id of the account.
        name: Full name.
        organization: Name of the organization.
        organization_id: Stable id of the organization.
        plan: ``max``, ``pro``, ``team``, ``enterprise``, or None for an organization without a plan.
        rate_limit_tier: The provider's name for the rate limits that apply.
    """

    email: str = "ada@example.com"
    id: str = "a1b2c3d4-0000-4000-8000-000000000001"
    name: str = "Ada"
    organization: str = "Example Works"
    organization_id: str = "0f0e0d0c-0000-4000-8000-000000000002"
    plan: str | None = "max"
    rate_limit_tier: str | None = "default_claude_max_5x"

    def claims(self) -> dict[str, object]:
        """Return the claims of ID tokens and of the userinfo endpoint (OpenID Connect Core 1.0, section 5.1)."""
        return {
            "sub": self.id,
            "email": self.email,
            "email_verified": True,
            "name": self.name,
            "org_id": self.organization_id,
        }

    def token_fields(self) -> dict[str, object]:
        """Return the fields about the account in a token response, in addition to those of RFC 6749, section 5.1."""
        return {
            "organization": {"uuid": self.organization_id, "name": self.organization},
            "account": {"uuid": self.id, "email_address": self.email},
        }

    def profile(self) -> dict[str, object]:
        """Return the response of the profile endpoint, where the email field has a different name than in tokens."""
        return {
            "account": {
                "uuid": self.id,
                "email": self.email,
                "full_name": self.name,
                "display_name": self.name,
                "has_claude_max": self.plan == "max",
                "has_claude_pro": self.plan == "pro",
            },
            "organization": {
                "uuid": self.organization_id,
                "name": self.organization,
                "organization_type": f"claude_{self.plan}" if self.plan else "api_individual",
                "rate_limit_tier": self.rate_limit_tier,
            },
        }
