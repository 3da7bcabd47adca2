"""Exit codes, which scripts may rely on, and the error classes that map to them."""

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
"""What a shell reports for a command that it cannot execute, and for one that it cannot find."""
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
"""What a shell reports for a program killed by SIGPIPE."""


class UsageError(errors.FreshkeyError):
    """The command line is invalid.

    Args:
        message: What is wrong.
        usage: The usage line of the command.
        hint: What to do instead.
    """

    code = "usage"

    def __init__(self, message: str, usage: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.usage = usage


class UnwritableError(errors.FreshkeyError):
    """Standard output cannot be written, for example because the disk is full."""

    code = "output-not-writable"


class CommandNotFound(errors.FreshkeyError):
    """The command to run does not exist."""

    code = "command-not-found"


class CommandNotExecutable(errors.FreshkeyError):
    """The command to run exists, but the operating system refuses to execute it."""

    code = "command-not-executable"


_CODES: tuple[tuple[type[errors.FreshkeyError], int], ...] = (
    (UsageError, USAGE),
    (UnwritableError, UNWRITABLE),
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
    """Return the exit code of an error; any class not listed above counts as a configuration error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), CONFIGURATION)
