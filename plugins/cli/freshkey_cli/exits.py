"""Exit codes, which scripts may rely on, and the error classes that lead to them."""

from __future__ import annotations

from typing import Final

from freshkey import errors


OK: Final = 0
UNWRITABLE: Final = 1
USAGE: Final = 2
SIGN_IN_NEEDED: Final = 3
STORE: Final = 4
FOR_NOW: Final = 5
CONFIGURATION: Final = 6
NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127
"""What a shell reports for a command that it cannot run, and for one that it does not find."""
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
"""What a shell reports for a program that SIGPIPE ended."""


class CommandNotFound(errors.FreshkeyError):
    """The command that was to be run is not there."""


class CommandNotExecutable(errors.FreshkeyError):
    """The command that was to be run is there, and the operating system does not run it."""


_CODES: tuple[tuple[type[errors.FreshkeyError], int], ...] = (
    (CommandNotFound, NOT_FOUND),
    (CommandNotExecutable, NOT_EXECUTABLE),
    (errors.LoginRequired, SIGN_IN_NEEDED),
    (errors.StoreError, STORE),
    (errors.TransientError, FOR_NOW),
    (errors.OutcomeUnknown, FOR_NOW),
    (errors.CredentialExpired, FOR_NOW),
    (errors.KeeperClosed, FOR_NOW),
)


def code_of(error: errors.FreshkeyError) -> int:
    """Return the exit code for an error; what is not for now, for a person or for a store is configuration."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), CONFIGURATION)
