"""The user's terminal, as the interaction that providers use."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import urlsplit

from freshkey import Secret, admin
from freshkey.errors import ConfigurationError, LoginRequired
from freshkey_cli import hidden_input
from freshkey_cli.output import Output
from freshkey_cli.streams import in_mintty, is_terminal


class Terminal:
    """Implements `freshkey.model.interaction.Interaction`; everything is written to standard error.

    Pasting requires a terminal. A browser can be opened without one, by a desktop's launcher. If neither is possible,
    each question raises `LoginRequired` immediately.

    Args:
        out: Where to write.
        browser: Whether a browser may be opened; otherwise URLs are printed.
        environ: Environment variables, used to detect a desktop.
    """

    def __init__(self, out: Output, *, browser: bool = True, environ: Mapping[str, str] = os.environ) -> None:
        self._out = out
        self._browser = browser
        self._environ = environ

    @property
    def can_ask(self) -> bool:
        """Whether there is a terminal in which the user can answer questions."""
        return is_terminal(sys.stdin) and is_terminal(sys.stderr)

    @property
    def watched(self) -> bool:
        """Whether a user sees what is printed, and so has probably typed the command."""
        return is_terminal(sys.stderr)

    def progress(self, message: str) -> None:
        """Print what is being done."""
        self._out.say(message)

    def line(self, text: str) -> None:
        """Print a line of a helper command's output."""
        self._out.say(f"  {text}")

    def notice(self, message: str) -> None:
        """Print a notice to the user."""
        self._out.instruct(message)

    def require_attended(self) -> None:
        """Raise `LoginRequired` if no one reads what is printed, and there is no browser either."""
        if not (is_terminal(sys.stdin) or is_terminal(sys.stderr) or self._can_open()):
            self._refuse("there is neither a terminal nor a browser")

    def confirm(self, question: str) -> bool:
        """Ask a yes/no question; the answer is one line."""
        self._needs_terminal()
        self._out.instruct(f"{question} [y/N]")
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def open_url(self, url: str) -> None:
        """Open the browser, or print the URL."""
        from freshkey import oauth

        self._needs_user()
        # A sign-in starts at an http address of this machine, so that no argument list has its state.
        oauth.safe_url(url, allow_insecure_loopback=True)
        here = urlsplit(url).scheme == "http"
        where = " on this machine" if here else ""
        if self._can_open():
            self._out.instruct(
                "Opening your browser…" if here else f"Opening {urlsplit(url).hostname} in your browser…"
            )
            if oauth.open_browser(url, allow_insecure_loopback=True, environ=self._environ):
                self._out.instruct(f"If the browser does not open, go to this URL{where}:", f"  {url}")
                return
        self._out.instruct(f"Open this URL in a browser{where}:", f"  {url}")

    def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
        """Read a pasted line; without a terminal, only the browser can deliver the response."""
        self._needs_user()
        if is_terminal(sys.stdin):
            pasted = hidden_input.read_line(sys.stdin.fileno(), prompt, given_up, self.show_prompt)
            if pasted is not None:
                self._out.instruct("Received.")
                return pasted
        given_up.wait()
        return None

    def read_text(self, prompt: str) -> str:
        """Read a line that is shown, again until it can be an answer."""
        self._needs_terminal()
        while True:
            self.show_prompt(prompt)
            entered = sys.stdin.readline().strip()
            flaw = admin.flaw_of_text(entered)
            if flaw is None:
                return entered
            self._out.instruct(f"The answer cannot be used: {flaw}")

    def read_secret(self, prompt: str) -> Secret:
        """Read a line without echo; without a terminal, nothing is read.

        Raises:
            ConfigurationError: Several lines were pasted.
        """
        self._needs_terminal()
        return self._read_hidden(prompt, threading.Event())

    def choose(self, prompt: str, options: Mapping[str, str]) -> str:
        """Print the options and read the number of one, or its value; again until it is one of them.

        Raises:
            LoginRequired: An empty line was entered, or the input ended.
        """
        self._needs_terminal()
        answers = _answers(options)
        self.show_prompt(prompt)
        names = {value: name for name, value in reversed(answers.items())}
        demand = f"Enter one of: {', '.join(names[value] for value in options)}; or nothing, to choose none"
        self._out.instruct(*(f"  {names[value]}) {label}" for value, label in options.items()), demand)
        while line := sys.stdin.readline().strip():
            if (value := answers.get(line)) is not None:
                return value
            self._out.instruct(f"That is none of them. {demand}")
        hint = "Run the command again, and enter what stands before one of the options"
        raise LoginRequired("none of the options was chosen", hint=hint, code="no-answer")

    def show_device_code(self, user_code: str, verification_uri: str, complete_uri: str | None) -> None:
        """Print the URL and the code to enter there."""
        if not (is_terminal(sys.stdin) or is_terminal(sys.stderr)):
            self._refuse("there is no terminal to display the code")
        self._out.instruct(f"On any device, open {verification_uri} and enter the code {user_code}")
        if complete_uri:
            self._out.instruct(f"Or open {complete_uri}")
        self._out.instruct("Continue only if you started this sign-in yourself.")

    def show_prompt(self, prompt: str) -> None:
        """Print a prompt, which may have several lines."""
        self._out.instruct(*prompt.splitlines())

    def _read_hidden(self, prompt: str, given_up: threading.Event) -> Secret:
        entered = hidden_input.read_line(sys.stdin.fileno(), prompt, given_up, self.show_prompt)
        if entered is not None and "\n" in entered.reveal():
            flaw = "the pasted text has more than one line, as if it had been wrapped"
            raise unusable_secret(flaw, "Copy only the key")
        return entered or Secret("")

    def _needs_terminal(self) -> None:
        if not self.can_ask:
            self._refuse("there is no terminal")

    def _can_open(self) -> bool:
        from freshkey.oauth import browser_program

        return self._browser and (sys.platform == "win32" or browser_program(self._environ) is not None)

    def _needs_user(self) -> None:
        if not is_terminal(sys.stdin) and not self._can_open():
            self._refuse("there is no terminal to paste into and no browser to open")

    @staticmethod
    def _refuse(reason: str) -> NoReturn:
        hint = "Run freshkey login in a terminal or in a desktop session"
        if in_mintty():
            hint = "In Git Bash, run the command through winpty, such as: winpty freshkey login"
        raise LoginRequired(
            f"user interaction is required, but {reason}",
            hint=hint,
            code="no-terminal",
        )


def unusable_secret(flaw: str, hint: str) -> ConfigurationError:
    """Return the error for what was entered or piped in and cannot be a secret."""
    return ConfigurationError(flaw, hint=hint, code="invalid-secret-input")


def _answers(options: Mapping[str, str]) -> dict[str, str]:
    """Return which value each answer stands for, the one to show first: a number, unless a value is such a number."""
    numbers = {str(number): value for number, value in enumerate(options, 1)}
    typed = {value.strip(): value for value in options}
    return typed if numbers.keys() & typed.keys() else {**numbers, **typed}
