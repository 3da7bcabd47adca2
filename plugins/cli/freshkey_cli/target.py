"""What a command is about: a profile, or one of its accounts, written ``mail/ada``."""

from __future__ import annotations

from attrs import frozen

from freshkey.admin import command_word, split_account
from freshkey.errors import subject


@frozen
class Target:
    """A profile or one of its accounts; as text, what messages call it.

    Attributes:
        profile: Name of the profile.
        account: The account, or None.
    """

    profile: str
    account: str | None = None

    def __str__(self) -> str:
        return subject(self.profile, self.account)

    @property
    def word(self) -> str:
        """What a command line calls it."""
        return command_word(self.profile, self.account)

    @property
    def members(self) -> dict[str, object]:
        """What JSON calls it; the account only if there is one."""
        return {"profile": self.profile} if self.account is None else {"profile": self.profile, "account": self.account}


def given(text: str | None) -> tuple[str | None, str | None]:
    """Return the profile and the account that an argument names, each of which may be None.

    Raises:
        ConfigurationError: The account is invalid.
    """
    return (None, None) if text is None else split_account(text)
