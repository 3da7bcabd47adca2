"""Interaction with the user, and its replacement in a non-interactive session."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from typing import Final, NoReturn, Protocol, TypeGuard

from freshkey.errors import LoginRequired, sign_in_command
from freshkey.secret import Secret


log = logging.getLogger(__name__)

Approve = Callable[[str], bool]
"""Asks the user a yes/no question; raises `LoginRequired` in a non-interactive session."""

_USER_CODE: Final = re.compile(
    r"(?=.{1,32}\Z)(?:[A-Za-z0-9]+(?:-[A-Za-z0-9]+){0,4}"
    r"|[A-Z0-9]{2}(?: [A-Z0-9]{2}){1,4}|[A-Z0-9]{3}(?: [A-Z0-9]{3}){1,4}|[A-Z0-9]{4}(?: [A-Z0-9]{4}){1,4})"
)


def is_user_code(value: object) -> TypeGuard[str]:
    """Return whether this can be the code that a user enters on another device (RFC 8628, section 6.1).

    At most 32 letters and digits, perhaps in groups. A sentence is not one, because the user would follow it: spaces
    only join groups of one length without lowercase letters.
    """
    return isinstance(value, str) and _USER_CODE.fullmatch(value) is not None


class Reporter(Protocol):
    """Shows progress and notices to the user; never asks a question."""

    def progress(self, message: str) -> None:
        """Report what is being done now."""

    def line(self, text: str) -> None:
        """Pass on one line that a helper program printed."""

    def notice(self, message: str) -> None:
        """Show something that the user should know."""


class Interaction(Reporter, Protocol):
    """A user who can be asked; in a non-interactive session each method of this class raises `LoginRequired`."""

    def confirm(self, question: str) -> bool:
        """Ask a yes/no question; anything but a clear yes counts as no."""

    def open_url(self, url: str) -> None:
        """Show a URL to the user, in a browser if possible.

        A browser's argument list can be read by other users of the machine. So for a sign-in this is an http address of
        the machine itself, which is good for one browser and leads to the authorization server
        (`freshkey.oauth.open_browser` opens it with ``allow_insecure_loopback=True``).
        """

    def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
        """Read a pasted line of up to 4 KiB without echo; return None soon after the caller sets `given_up`."""

    def show_device_code(self, user_code: str, verification_uri: str, complete_uri: str | None) -> None:
        """Show the code that the user enters on another device (RFC 8628, section 3.3)."""


def _clean(message: str) -> str:
    from freshkey._text.redact import redacted

    return redacted(message)


class LoggingReporter:
    """A reporter that logs: notices at INFO, progress at DEBUG."""

    def progress(self, message: str) -> None:
        """Log what is being done."""
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s", _clean(message))

    def line(self, text: str) -> None:
        """Discard the line: the output of a helper program may contain secrets."""

    def notice(self, message: str) -> None:
        """Log the notice."""
        log.info("%s", _clean(message))


class NonInteractive:
    """An interaction without a user: every question raises `LoginRequired`.

    Args:
        profile: Name of the profile, for the message.
        reporter: Receives everything that is not a question; None logs it.
        attended: Whether a caller is waiting for the result; if not, a timer is renewing, and no window may open.
    """

    def __init__(self, profile: str, reporter: Reporter | None = None, *, attended: bool = True) -> None:
        reporter = reporter or LoggingReporter()
        self.attended = attended
        self._profile = profile
        self.progress = reporter.progress
        self.line = reporter.line
        self.notice = reporter.notice

    def confirm(self, question: str) -> NoReturn:  # noqa: ARG002  protocol
        """Raise `LoginRequired`."""
        self._refuse()

    def open_url(self, url: str) -> None:  # noqa: ARG002  protocol
        """Raise `LoginRequired`."""
        self._refuse()

    def read_code(self, prompt: str, given_up: threading.Event) -> NoReturn:  # noqa: ARG002  protocol
        """Raise `LoginRequired`."""
        self._refuse()

    def show_device_code(self, user_code: str, verification_uri: str, complete_uri: str | None) -> None:  # noqa: ARG002
        """Raise `LoginRequired`."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise LoginRequired(
            "not signed in",
            profile=self._profile,
            hint=f"Run: {sign_in_command(self._profile)}",
            code="not-signed-in",
        )


def is_attended(interaction: Interaction) -> bool:
    """Return whether a caller is waiting for the credential, so that another tool may open a window."""
    return not isinstance(interaction, NonInteractive) or interaction.attended
