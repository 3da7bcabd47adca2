"""A person whose every answer is written down beforehand, and what such a person does in a browser."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Final, NoReturn, Self

from freshkey import Secret


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

_URL: Final = re.compile(r"https?://[^\s<>\"']+")
_WAIT_TIMEOUT: Final = 10.0
"""Real seconds for which the end of a browser is waited for."""


class UnexpectedQuestion(AssertionError):
    """A scripted person was asked something the script has no answer to."""


class ScriptedUser:
    """Implements `freshkey.model.interaction.Interaction`, answers by script, and records all that was said.

    Without arguments every question raises `UnexpectedQuestion`. With a `browser` the person signs in there and leaves
    the question for a pasted code unanswered; with a `paste` they answer that question; with both, the two race.

    Args:
        browser: Called with each URL that is opened, on a thread of its own, as a browser is another program.
            `freshkey_testing.browser.follow` signs in where no login page has to be filled in.
        paste: What is pasted when a code is asked for, or a function that makes it from all URLs shown so far.
        device: Called on a thread of its own with user code, verification URI and complete URI (or None).
        confirm: What is answered to questions of yes or no, or a function that decides by the question.

    Attributes:
        progress_messages: What was passed to `progress`.
        lines: What was passed to `line`.
        notices: What was passed to `notice`.
        opened: The URLs passed to `open_url`.
        prompts: The prompts of `read_code`.
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
    ) -> None:
        self._browser = browser
        self._paste = paste
        self._device = device
        self._confirm = confirm
        self.questions: list[str] = []
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []
        self.progress_messages: list[str] = []
        self.lines: list[str] = []
        self.notices: list[str] = []
        self.opened: list[str] = []
        self.prompts: list[str] = []
        self.device_codes: list[tuple[str, str, str | None]] = []

    def progress(self, message: str) -> None:
        """Record what is being done."""
        self.progress_messages.append(message)

    def line(self, text: str) -> None:
        """Record a line of a helper program."""
        self.lines.append(text)

    def notice(self, message: str) -> None:
        """Record what a person should know."""
        self.notices.append(message)

    def confirm(self, question: str) -> bool:
        """Record the question and answer it by script.

        Raises:
            UnexpectedQuestion: The script has no answer.
        """
        self.questions.append(question)
        if self._confirm is None:
            self._refuse("a question of yes or no", "confirm=")
        return self._confirm(question) if callable(self._confirm) else self._confirm

    def open_url(self, url: str) -> None:
        """Record the URL and hand it to the scripted browser, if there is one.

        Raises:
            UnexpectedQuestion: Neither browser nor paste is in the script.
        """
        self.opened.append(url)
        if self._browser is None and self._paste is None:
            self._refuse("to open a URL", "browser=… or paste=…")
        if self._browser is not None:
            self._start(self._browser, url)

    def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
        """Answer with the scripted paste; without one wait until `given_up` is set.

        Raises:
            UnexpectedQuestion: Neither paste nor browser is in the script.
        """
        self.prompts.append(prompt)
        if self._paste is None and self._browser is None:
            self._refuse("for a pasted code", "paste=… (or browser=…, to leave the question unanswered)")
        if self._paste is None:
            given_up.wait()
            return None
        return Secret(self._paste if isinstance(self._paste, str) else self._paste(self.urls()))

    def show_device_code(self, user_code: str, verification_uri: str, complete_uri: str | None) -> None:
        """Record the code and hand it to the script.

        Raises:
            UnexpectedQuestion: No device is in the script.
        """
        self.device_codes.append((user_code, verification_uri, complete_uri))
        if self._device is None:
            self._refuse("to enter a code on another device", "device=…")
        self._start(self._device, user_code, verification_uri, complete_uri)

    def urls(self) -> tuple[str, ...]:
        """Return every URL this person has seen: those opened, then those written in notices and prompts."""
        return (*self.opened, *_URL.findall("\n".join([*self.notices, *self.prompts])))

    def finish(self) -> None:
        """Wait until browsers and devices are done, and raise what went wrong in them.

        Raises:
            TimeoutError: One of them is still busy after ten real seconds.
        """
        for thread in self._threads:
            thread.join(_WAIT_TIMEOUT)
            if thread.is_alive():
                raise TimeoutError(f"the scripted person's {thread.name} did not come to an end")
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
        thread.start()

    def _run(self, act: Callable[..., object], arguments: tuple[object, ...]) -> None:
        try:
            act(*arguments)
        except BaseException as error:  # noqa: BLE001  raised again by finish(), on the test's own thread
            self._failures.append(error)

    @staticmethod
    def _refuse(asked: str, mend: str) -> NoReturn:
        raise UnexpectedQuestion(f"the scripted person was asked {asked}, which is not in the script: pass {mend}")


def _name(act: Callable[..., object]) -> str:
    return f"scripted {getattr(act, '__name__', type(act).__name__)}"
