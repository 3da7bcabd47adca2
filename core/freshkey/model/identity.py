"""The account that a credential belongs to, as reported by the provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import evolve, field, frozen

from freshkey._text.visible import MAX_NAME, escaped, visible


_MAX_DETAILS: Final = 50


def _compared(text: str | None) -> str | None:
    return escaped(text, MAX_NAME) if isinstance(text, str) else text


def _shown(text: str | None) -> str | None:
    return visible(text, MAX_NAME) if isinstance(text, str) else text


def _details(extra: Mapping[str, str]) -> Mapping[str, str]:
    if not isinstance(extra, Mapping):
        return extra
    kept = list(extra.items())[:_MAX_DETAILS]
    return {_shown(name) or "": _shown(text) or "" for name, text in kept}


@frozen(kw_only=True)
class Identity:
    """The account that a credential belongs to: for display, never for access decisions.

    What cannot be seen in its texts is replaced or, where two values are compared, written as an escape; each has at
    most 256 characters.

    Attributes:
        account: Stable ID of the account or user.
        email: The account's email address.
        organization: Stable ID of the organization, tenant or cloud account.
        display_name: A readable name, if the provider has one.
        extra: Anything else the provider reports, under the provider's own names, such as a plan or a resource name.
    """

    account: str | None = field(default=None, converter=_compared)
    email: str | None = field(default=None, converter=_compared)
    organization: str | None = field(default=None, converter=_compared)
    display_name: str | None = field(default=None, converter=_shown)
    # Only for display, so a new kind of detail needs no new field here.
    # See docs/decisions.md, "An identity has no provider-specific fields".
    extra: Mapping[str, str] = field(factory=dict, hash=False, converter=_details)

    def differs_from(self, other: Identity) -> bool:
        """Whether the two have different accounts or organizations; a field that either lacks is not compared."""
        pairs = ((self.account, other.account), (self.organization, other.organization))
        return any(None not in pair and pair[0] != pair[1] for pair in pairs)

    def completed_by(self, earlier: Identity) -> Identity:
        """Return this identity, with gaps filled from an earlier one of the same account and organization."""
        if self.differs_from(earlier):
            return self
        # If the email or account ID is known now, an earlier display name adds nothing and may be outdated.
        named = self.email is not None or self.account is not None
        names = ("account", "email", "organization", *(() if named else ("display_name",)))
        gaps = {name: getattr(earlier, name) for name in names if getattr(self, name) is None}
        return evolve(self, **gaps, extra={**earlier.extra, **self.extra})

    @property
    def label(self) -> str | None:
        """The most readable name available, or None."""
        return self.email or self.display_name or self.account or self.organization
