"""Interactions for when nobody is there: one that refuses to ask, and one that reports to the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NoReturn

from freshkey.errors import LoginRequired


if TYPE_CHECKING:
    import threading

    from freshkey.model import Interaction, Reporter

log = logging.getLogger("freshkey")


class Quiet:
    """A reporter that writes to the logger ``freshkey`` at DEBUG."""

    def progress(self, message: str) -> None:
        """Log what is being done."""
        log.debug("%s", message)

    def line(self, text: str) -> None:
        """Drop the line: what helper programs print may be secret."""

    def notice(self, message: str) -> None:
        """Log what a person should know."""
        log.info("%s", message)


class Nobody:
    """An interaction without a person: every question raises `LoginRequired`.

    Args:
        profile: Name of the profile, for the message.
        report: Hears what is not a question; None logs it.
        attended: Somebody waits for the answer; otherwise a timer renews ahead of time, and nothing may open a window.
    """

    def __init__(self, profile: str, report: Reporter | None = None, *, attended: bool = True) -> None:
        reporter = report or Quiet()
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
        message = "nobody is signed in"
        raise LoginRequired(message, profile=self._profile, hint=f"Run: freshkey login {self._profile}")


def is_attended(ask: Interaction) -> bool:
    """Tell whether somebody waits for what is being acquired, so that another tool may open its window for them."""
    return not isinstance(ask, Nobody) or ask.attended
