"""The names of accounts: opaque texts of an application, each of which is one of several identities of a profile.

See docs/decisions.md, "An account is named by its bytes, and kept by their hash".
"""

from __future__ import annotations

import hashlib
from typing import Final

from freshkey._text.shell_words import shell_quoted
from freshkey.errors import ConfigurationError, subject


MAX_ACCOUNT: Final = 256
"""Maximum length of an account in bytes of UTF-8."""

SEPARATOR: Final = "/"
"""What comes between profile and account where people type both; no name of a profile contains it."""


def checked_account(account: object) -> str:
    """Return an account if it is valid; what is compared and kept are the bytes of its UTF-8, unchanged.

    Raises:
        ConfigurationError: It is not a string, empty, too long, or not text at all (an unpaired surrogate).
    """
    if not isinstance(account, str):
        raise _invalid(f"it must be a string, not {type(account).__name__}")
    # Plugins and applications may pass subclasses, whose comparison need not be that of a string.
    plain = str.__str__(account) if type(account) is str else "".join(str.__iter__(account))
    try:
        length = len(plain.encode())
    except UnicodeEncodeError:
        length = -1
    if length < 0:
        raise _invalid("it contains an unpaired surrogate, which is not text")
    if length == 0:
        raise _invalid("it is empty")
    if length > MAX_ACCOUNT:
        raise _invalid(f"it has {length} bytes in UTF-8, and may have {MAX_ACCOUNT}")
    return plain


def account_digest(account: str) -> str:
    """Return what an account is kept by: 64 digits and lowercase letters, the same on every file system."""
    return hashlib.sha256(account.encode()).hexdigest()


def split_account(text: str) -> tuple[str, str | None]:
    """Return profile and account of a text such as ``mail/ada``: the first slash separates them.

    Raises:
        ConfigurationError: The account is invalid, or no profile is named before it.
    """
    profile, slash, account = text.partition(SEPARATOR)
    if slash and not profile:
        raise _invalid("no profile is named before the slash")  # else the selected profile's own sign-in would be used
    return profile, checked_account(account) if slash else None


def command_word(profile: str, account: str | None) -> str:
    """Return a profile, or one of its accounts, as a command line names it, quoted for the shell."""
    return profile if account is None else shell_quoted(subject(profile, account))


def _invalid(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"invalid account: {why}",
        hint="Use an identifier of your application, such as the ID of its user",
        code="invalid-account",
    )
