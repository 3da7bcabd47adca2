"""Whose credential it is, as far as the provider tells."""

from __future__ import annotations

from typing import TypeVar

from attrs import asdict, evolve, frozen


S = TypeVar("S")


@frozen(kw_only=True)
class Identity:
    """Whose credential it is, as far as the provider tells; display text, never a reason to trust.

    Attributes:
        account: Stable id of the account or user.
        email: The account's address.
        organization: Stable id of the organisation, tenant or cloud account.
        organization_name: Its name.
        plan: What was bought, such as ``max``.
        rate_limit_tier: The provider's word for the limits that apply.
        arn: Amazon resource name.
        project: Google Cloud project.
    """

    account: str | None = None
    email: str | None = None
    organization: str | None = None
    organization_name: str | None = None
    plan: str | None = None
    rate_limit_tier: str | None = None
    arn: str | None = None
    project: str | None = None

    def completed_by(self, earlier: Identity) -> Identity:
        """Return this identity, its gaps filled from an earlier one of the same account and organisation."""
        same = all(
            getattr(self, name) in (None, getattr(earlier, name)) or getattr(earlier, name) is None
            for name in ("account", "organization")
        )
        if not same:
            return self
        gaps = {name: value for name, value in asdict(earlier).items() if getattr(self, name) is None}
        return evolve(self, **gaps)

    @property
    def label(self) -> str | None:
        """The most readable name there is."""
        return self.email or self.arn or self.account or self.organization_name or self.project
