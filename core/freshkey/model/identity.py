"""Whose credential it is, as far as the provider tells."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, field, frozen


@frozen(kw_only=True)
class Identity:
    """Display text, never a reason to trust.

    Attributes:
        account: Stable id of the account or user.
        email: The account's address.
        organization: Stable id of the organization, tenant or cloud account.
        display_name: What people call it, where the provider knows something more readable than an id.
        extra: What else the provider tells, in its own words, such as a plan or a resource name.
    """

    account: str | None = None
    email: str | None = None
    organization: str | None = None
    display_name: str | None = None
    extra: Mapping[str, str] = field(factory=dict, hash=False)

    def differs_from(self, other: Identity) -> bool:
        """Whether the two are of different people or organizations, as far as both say."""
        pairs = ((self.account, other.account), (self.organization, other.organization))
        return any(None not in pair and pair[0] != pair[1] for pair in pairs)

    def completed_by(self, earlier: Identity) -> Identity:
        """Return this identity, its gaps filled from an earlier one of the same account and organization."""
        if self.differs_from(earlier):
            return self
        # What was more readable than an id says nothing beside an address or an account that is known now.
        named = self.email is not None or self.account is not None
        names = ("account", "email", "organization", *(() if named else ("display_name",)))
        gaps = {name: getattr(earlier, name) for name in names if getattr(self, name) is None}
        return evolve(self, **gaps, extra={**earlier.extra, **self.extra})

    @property
    def label(self) -> str | None:
        """The most readable name there is."""
        return self.email or self.display_name or self.account or self.organization
