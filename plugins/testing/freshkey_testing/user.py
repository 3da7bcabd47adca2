"""A user whose answers are scripted by a test, and what this user does in a browser."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Final, NoReturn, Self

from freshkey import Secret
from freshkey_testing import browser as scripted_browser
from freshkey_testing.guard import unwatched


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

_URL: Final = re.compile(r"https?://[^\s<>\"']+")
_WAIT_TIMEOUT: Final = 10.0
"""Real seconds to wait for a browser to finish."""


class UnexpectedQuestion(AssertionError):
    """The scripted user was asked a question that the script does not answer."""


class ScriptedUser:
    """Implements `freshkey.model.interaction.Interaction`, gives scripted answers, and records every call.

    Without arguments every question raises `UnexpectedQuestion`. With a `browser` the user signs in there and leaves
    the prompt for a pasted code unanswered; with a `paste` the user answers that prompt; with both, the two race.

    Args:
        browser: Called with each of `opened`, on a separate thread, because a browser is a separate program.
            `freshkey_testing.browser.follow` signs in where no login page needs to be filled in.
        paste: The text to paste when prompted for a code, or a function that makes it from all URLs shown so far; in
            the contract kit, from those of that sign-in.
        device: Called on a separate thread with user code, verification URI and complete URI (or None).
        confirm: The answer to yes-or-no questions, or a function that takes the question and returns the answer.
        text: The answer to `read_text`, or a function that takes the prompt and returns the answer.
        secret: The answer to `read_secret`, or a function that takes the prompt and returns the answer.
        choice: The value to choose, or a function that takes the prompt and the options and returns the value.

    Attributes:
        progress_messages: The messages passed to `progress`.
        lines: The lines passed to `line`.
        notices: The messages passed to `notice`.
        started: The URLs passed to `open_url`.
        opened: The same, but where a sign-in starts at a local address, the authorization URL that this redirects to.
        prompts: The prompts of `read_code`, `read_text`, `read_secret` and `choose`.
        entered: The answers of `read_code` and `read_secret`.
        offered: The options of each `choose`.
        device_codes: The arguments of each `show_device_code`.
        questions: The questions of `confirm`.
    """

    def __init__(
        self,
        *,
        browser: Callable[[str], object] | None = None,
        paste: str | Callable[[Sequence[str]], str] | None = None,
        device: Callable[[str, str, str | None], object] | None = None,
        confirm: bool | Callable[[str], bool] | None = None,
        text: str | Callable[[str], str] | None = None,
        secret: str | Callable[[str], str] | None = None,
        choice: str | Callable[[str, Mapping[str, str]], str] | None = None,
    ) -> None:
        self._browser = browser
        self._paste = paste
        self._device = device
        self._confirm = confirm
        self._text = text
        self._secret = secret
        self._choice = choice
        self.offered: list[Mapping[str, str]] = []
        self.questions: list[str] = []
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []
        self.progress_messages: list[str] = []
        self.lines: list[str] = []
        self.notices: list[str] = []
        self.started: list[str] = []
        self.opened: list[str] = []
        self.prompts: list[str] = []
        self.entered: list[Secret] = []
        self.device_codes: list[tuple[str, str, str | None]] = []
        self._before = 0, 0, 0

    def progress(self, message: str) -> None:
        """Record a progress message."""
        self.progress_messages.append(message)

    def line(self, text: str) -> None:
        """Record an output line of a helper program."""
        self.lines.append(text)

    def notice(self, message: str) -> None:
        """Record a message to the user."""
        self.notices.append(message)

    def require_attended(self) -> None:
        """Return: there is a user, who may still be asked something unexpected."""

    def confirm(self, question: str) -> bool:
        """Record the question and return the scripted answer.

        Raises:
            UnexpectedQuestion: The script has no `confirm`.
        """
        self.questions.append(question)
        if self._confirm is None:
            self._refuse("a yes-or-no question", "confirm=…")
        return self._confirm(question) if callable(self._confirm) else self._confirm

    def open_url(self, url: str) -> None:
        """Record the URL and pass it to the scripted browser, if there is one.

        Raises:
            UnexpectedQuestion: The script has neither `browser` nor `paste`.
        """
        self.started.append(url)
        if self._browser is None and self._paste is None:
            self.opened.append(url)
            self._refuse("to open a URL", "browser=… or paste=…")
        url = scripted_browser.start(url)
        self.opened.append(url)
        if self._browser is not None:
            self._start(self._browser, url)

    def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
        """Return the scripted paste; without one, wait until `given_up` is set and return None.

        Raises:
            UnexpectedQuestion: The script has neither `paste` nor `browser`.
        """
        self.prompts.append(prompt)
        if self._paste is None and self._browser is None:
            self._refuse("for a pasted code", "paste=… (or browser=…, to leave the prompt unanswered)")
        if self._paste is None:
            given_up.wait()
            return None
        return self._enter(self._paste if isinstance(self._paste, str) else self._paste(self.urls()))

    def read_text(self, prompt: str) -> str:
        """Record the prompt and return the scripted text.

        Raises:
            UnexpectedQuestion: The script has no `text`.
        """
        self.prompts.append(prompt)
        if self._text is None:
            self._refuse(f"for a text ({prompt!r})", "text=…")
        return self._text if isinstance(self._text, str) else self._text(prompt)

    def read_secret(self, prompt: str) -> Secret:
        """Record the prompt and return the scripted secret.

        Raises:
            UnexpectedQuestion: The script has no `secret`.
        """
        self.prompts.append(prompt)
        if self._secret is None:
            self._refuse(f"for a secret ({prompt!r})", "secret=…")
        return self._enter(self._secret if isinstance(self._secret, str) else self._secret(prompt))

    def _enter(self, text: str) -> Secret:
        self.entered.append(Secret(text))
        return self.entered[-1]

    def choose(self, prompt: str, options: Mapping[str, str]) -> str:
        """Record prompt and options, and return the scripted choice.

        Raises:
            UnexpectedQuestion: The script has no `choice`, or it is none of the options.
        """
        self.prompts.append(prompt)
        self.offered.append(dict(options))
        if self._choice is None:
            self._refuse(f"to choose ({prompt!r})", "choice=…")
        chosen = self._choice if isinstance(self._choice, str) else self._choice(prompt, options)
        if chosen not in options:
            self._refuse(f"to choose ({prompt!r}) one of {', '.join(options)}", "one of them as choice=…")
        return chosen

    def show_device_code(self, user_code: str, verification_uri: str, complete_uri: str | None) -> None:
        """Record the code and pass it to the scripted device.

        Raises:
            UnexpectedQuestion: The script has no `device`.
        """
        self.device_codes.append((user_code, verification_uri, complete_uri))
        if self._device is None:
            self._refuse("to enter a code on another device", "device=…")
        self._start(self._device, user_code, verification_uri, complete_uri)

    def urls(self) -> tuple[str, ...]:
        """Return every URL this user has seen in this sign-in: those opened, then those in notices and prompts."""
        opened, notices, prompts = self._before
        texts = [*self.notices[notices:], *self.prompts[prompts:]]
        return (*self.opened[opened:], *_URL.findall("\n".join(texts)))

    def begin_again(self) -> None:
        """Begin another sign-in: `urls`, and a function for `paste`, see only what is shown from here on."""
        self._before = len(self.opened), len(self.notices), len(self.prompts)

    def finish(self) -> None:
        """Wait until browsers and devices are done, and raise the first exception raised in them.

        Raises:
            TimeoutError: One of them is still running after ten real seconds.
        """
        for thread in self._threads:
            thread.join(_WAIT_TIMEOUT)
            if thread.is_alive():
                raise TimeoutError(f"the scripted user's {thread.name} did not finish within {_WAIT_TIMEOUT:g} s")
        if self._failures:
            raise self._failures[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()

    def _start(self, act: Callable[..., object], *arguments: object) -> None:
        thread = threading.Thread(target=self._run, args=(act, arguments), name=_name(act), daemon=True)
        self._threads.append(thread)
        with unwatched():  # a browser is another program
            thread.start()

    def _run(self, act: Callable[..., object], arguments: tuple[object, ...]) -> None:
        try:
            act(*arguments)
        except BaseException as error:  # noqa: BLE001  finish() raises it on the test's own thread
            self._failures.append(error)

    @staticmethod
    def _refuse(asked: str, fix: str) -> NoReturn:
        raise UnexpectedQuestion(f"the scripted user was asked {asked}, which the script does not answer: pass {fix}")


def _name(act: Callable[..., object]) -> str:
    return f"scripted {getattr(act, '__name__', type(act).__name__)}"
