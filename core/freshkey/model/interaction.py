"""Talking to the user: what a provider may say and ask, and what stands in where nobody can answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import NoReturn, Protocol

from freshkey.errors import LoginRequired, sign_in_command
from freshkey.secret import Secret


log = logging.getLogger("freshkey")

Approve = Callable[[str], bool]
"""Asks a person a question that is answered with yes or no; raises `LoginRequired` where there is nobody."""


class Reporter(Protocol):
    """Tells a person what happens; never asks."""

    def progress(self, message: str) -> None:
        """Say what is being done now."""

    def line(self, text: str) -> None:
        """Pass on one line that a helper program printed."""

    def notice(self, message: str) -> None:
        """Say something the person should know."""


class Interaction(Reporter, Protocol):
    """A person who can be asked; where nobody is there, each method of this class raises `LoginRequired` instead."""

    def confirm(self, question: str) -> bool:
        """Ask a question that is answered with yes or no; anything but a clear yes is a no."""

    def open_url(self, url: str) -> None:
        """Show a URL to the person, in a browser where that is possible."""

    def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
        """Read a pasted line without echo, 4 KiB at the most; None soon after the caller has set `given_up`."""

    def show_device_code(self, user_code: str, verification_uri: str, complete_uri: str | None) -> None:
        """Show the code that the person types on another device (RFC 8628, section 3.3)."""


class LoggingReporter:
    """A reporter that writes to the logger ``freshkey`` at DEBUG."""

    def progress(self, message: str) -> None:
        """Log what is being done."""
        log.debug("%s", message)

    def line(self, text: str) -> None:
        """Drop the line: what helper programs print may be secret."""

    def notice(self, message: str) -> None:
        """Log what a person should know."""
        log.info("%s", message)


class NonInteractive:
    """An interaction without a person: every question raises `LoginRequired`.

    Args:
        profile: Name of the profile, for the message.
        reporter: Hears what is not a question; None logs it.
        attended: Somebody waits for the answer; otherwise a timer renews ahead of time, and nothing may open a window.
    """

    def __init__(self, profile: str, reporter: Reporter | None = None, *, attended: bool = True) -> None:
        reporter = reporter or LoggingReporter()
        self.attended = attended
        self._profile = profile
        self.progress = reporter.progress
        self.line = reporter.line
        self.notice = reporter.notice

    def confirm(self, question: str) -> NoReturn:  # noqa: ARG002  protocol
        """Refuse."""
        self._refuse()

    def open_url(self, url: str) -> None:  # noqa: ARG002  protocol
        """Refuse."""
        self._refuse()

    def read_code(self, prompt: str, given_up: threading.Event) -> NoReturn:  # noqa: ARG002  protocol
        """Refuse."""
        self._refuse()

    def show_device_code(self, user_code: str, verification_uri: str, complete_uri: str | None) -> None:  # noqa: ARG002
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise LoginRequired("nobody is signed in", profile=self._profile, hint=f"Run: {sign_in_command(self._profile)}")


def is_attended(interaction: Interaction) -> bool:
    """Tell whether somebody waits for what is being acquired, so that another tool may open its window for them."""
    return not isinstance(interaction, NonInteractive) or interaction.attended
