"""Interaction with the user, and its replacement in a non-interactive session."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from typing import Final, NoReturn, Protocol, TypeGuard

from freshkey.errors import LoginRequired, sign_in_command
from freshkey.model.account import command_word
from freshkey.secret import Secret


log = logging.getLogger(__name__)

Approve = Callable[[str], bool]
"""Asks the user a yes/no question; raises `LoginRequired` in a non-interactive session."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

MAX_TEXT: Final = 1000
"""Maximum characters of an answer to `Interaction.read_text`."""

MAX_SECRET: Final = 16384
"""Maximum characters of an answer to `Interaction.read_secret`: that of a line of a helper command."""

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


def flaw_of_text(answer: str) -> str | None:
    """Return why this cannot be an answer to `Interaction.read_text`; None if it can."""
    from freshkey._text.visible import is_invisible

    if len(answer) > MAX_TEXT:
        return f"it is longer than {MAX_TEXT} characters"
    return "it contains control or invisible characters" if any(map(is_invisible, answer)) else None


def flaw_of_secret(answer: Secret) -> str | None:
    """Return why this cannot be an answer to `Interaction.read_secret`; None if it can."""
    if len(answer.reveal()) > MAX_SECRET:
        return f"it is longer than {MAX_SECRET} characters"
    return "it contains a line break or a control character" if _CONTROL.search(answer.reveal()) else None


class Reporter(Protocol):
    """Shows progress and notices to the user; never asks a question."""

    def progress(self, message: str) -> None:
        """Report what is being done now."""

    def line(self, text: str) -> None:
        """Pass on one line that a helper program printed."""

    def notice(self, message: str) -> None:
        """Show something that the user should know."""


class Interaction(Reporter, Protocol):
    """A user who can be asked; in a non-interactive session each method of this class raises `LoginRequired`.

    A prompt may have several lines. The core removes from it what is not visible and every secret that the plugin
    knows. An answer is one line, without the spaces around it. If the user enters nothing or ends the input (Ctrl-D),
    that is no answer: each method says what it then returns. Ctrl-C ends the whole call with `KeyboardInterrupt`,
    which a plugin lets through. The core raises `LoginRequired` for what cannot be an answer, whoever asked.
    """

    def require_attended(self) -> None:
        """Raise `LoginRequired` at once if nobody can be asked. Call it before anything that has an effect.

        It asks nothing. If it returns, the user can be reached in some way; a question may still be impossible, such as
        one to be typed where there is only a browser, and then raises `LoginRequired` itself.
        """

    def read_text(self, prompt: str) -> str:
        """Read a line that is shown while it is typed, of up to 1,000 visible characters; empty if no answer.

        Not for a secret: the answer is not removed from messages.
        """

    def read_secret(self, prompt: str) -> Secret:
        """Read a line without echo, of up to 16,384 characters without control characters; empty if no answer.

        From then on it is removed from every text of the plugin.
        """

    def choose(self, prompt: str, options: Mapping[str, str]) -> str:
        """Ask the user to choose one of at least one option, and return its value.

        Args:
            prompt: What to choose, and for what.
            options: The label of each value. The user chooses by number or types the value.

        Raises:
            LoginRequired: The user chose none; at a terminal, by an empty line.
        """

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
        account: Which of the profile's accounts it is, for the message; None if there is only one.
    """

    def __init__(
        self, profile: str, reporter: Reporter | None = None, *, attended: bool = True, account: str | None = None
    ) -> None:
        reporter = reporter or LoggingReporter()
        self.attended = attended
        self._profile = profile
        self._account = account
        self.progress = reporter.progress
        self.line = reporter.line
        self.notice = reporter.notice

    def require_attended(self) -> NoReturn:
        """Raise `LoginRequired`."""
        self._refuse()

    def confirm(self, question: str) -> NoReturn:  # noqa: ARG002  protocol
        """Raise `LoginRequired`."""
        self._refuse()

    def read_text(self, prompt: str) -> NoReturn:  # noqa: ARG002  protocol
        """Raise `LoginRequired`."""
        self._refuse()

    def read_secret(self, prompt: str) -> NoReturn:  # noqa: ARG002  protocol
        """Raise `LoginRequired`."""
        self._refuse()

    def choose(self, prompt: str, options: Mapping[str, str]) -> NoReturn:  # noqa: ARG002  protocol
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
            hint=f"Run: {sign_in_command(command_word(self._profile, self._account))}",
            code="not-signed-in",
        )


def is_attended(interaction: Interaction) -> bool:
    """Return whether a caller is waiting for the credential, so that another tool may open a window."""
    return not isinstance(interaction, NonInteractive) or interaction.attended
