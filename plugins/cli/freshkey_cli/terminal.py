"""The person at the terminal, as providers may talk to them."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import urlsplit

from freshkey import Secret
from freshkey.errors import LoginRequired
from freshkey_cli import hidden_input
from freshkey_cli.output import Output, clean


class Terminal:
    """Implements `freshkey.model.interaction.Interaction`; everything is written to standard error.

    Pasting needs a terminal. A browser can be opened without one, by a desktop's launcher. Where neither is possible
    each question raises `LoginRequired` at once.

    Args:
        out: Where to write.
        browser: Whether a browser may be opened; otherwise addresses are printed.
        environ: Tells whether there is a desktop.
    """

    def __init__(self, out: Output, *, browser: bool = True, environ: Mapping[str, str] = os.environ) -> None:
        self._out = out
        self._browser = browser
        self._environ = environ

    @property
    def can_ask(self) -> bool:
        """Whether there is a terminal to ask at."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def progress(self, message: str) -> None:
        """Say what is being done."""
        self._out.say(clean(message))

    def line(self, text: str) -> None:
        """Pass on a line of a helper program."""
        self._out.say(f"  {clean(text)}")

    def notice(self, message: str) -> None:
        """Say what the person should know."""
        self._out.instruct(clean(message))

    def confirm(self, question: str) -> bool:
        """Ask at the terminal; the answer is read as a line."""
        if not self.can_ask:
            self._refuse("there is no terminal to ask at")
        self._out.instruct(f"{clean(question)} [y/N]")
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def open_url(self, url: str) -> None:
        """Open the browser, or print the address."""
        from freshkey import oauth

        self._needs_somebody()
        # http to this machine is for test servers; a provider only gets that far with its own settings' leave.
        oauth.safe_url(url, allow_insecure_loopback=True)
        if self._can_open():
            self._out.instruct(f"Opening a browser at {urlsplit(url).hostname} …")
            if oauth.open_browser(url, allow_insecure_loopback=True, environ=self._environ):
                self._out.instruct(f"If it does not show, open this address yourself:\n  {url}")
                return
        self._out.instruct(f"Open this address in a browser:\n  {url}")

    def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
        """Read a pasted line; without a terminal nobody can paste, and the browser alone can bring the answer."""
        self._needs_somebody()
        if sys.stdin.isatty():
            pasted = hidden_input.read_line(sys.stdin.fileno(), clean_lines(prompt), given_up, self._out.instruct)
            if pasted is not None:
                self._out.instruct("Received.")
                return pasted
        given_up.wait()
        return None

    def show_device_code(self, user_code: str, verification_uri: str, complete_uri: str | None) -> None:
        """Print where to go and what to enter."""
        if not (sys.stdin.isatty() or sys.stderr.isatty()):
            self._refuse("there is no terminal to show a code on")
        self._out.instruct(f"On any device, open {clean(verification_uri)} and enter the code {clean(user_code)}")
        if complete_uri:
            self._out.instruct(f"or open {clean(complete_uri)}")
        self._out.instruct("Only go on if you started this sign-in yourself.")

    def _can_open(self) -> bool:
        from freshkey.oauth import browser_program

        return self._browser and (sys.platform == "win32" or browser_program(self._environ) is not None)

    def _needs_somebody(self) -> None:
        if not sys.stdin.isatty() and not self._can_open():
            self._refuse("there is no terminal to paste into and no browser to open")

    @staticmethod
    def _refuse(reason: str) -> NoReturn:
        raise LoginRequired(
            f"a person has to sign in, but {reason}", hint="Run freshkey login in a terminal or on a desktop"
        )


def clean_lines(text: str) -> str:
    """Return text of several lines without anything that a terminal would obey."""
    return "\n".join(clean(line) for line in text.splitlines())
