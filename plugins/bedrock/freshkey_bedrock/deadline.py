"""Runs what botocore does on a thread of its own: with a deadline, and without a word in the program's log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from freshkey.errors import TransientError


T = TypeVar("T")

THREAD_NAME: Final = "freshkey aws"

_LOGGERS: Final = ("auth", "client", "credentials", "endpoint", "hooks", "httpsession", "parsers", "tokens", "utils")
"""Those of botocore that may not exist yet when its work begins."""


def call_with_deadline(seconds: float, call: Callable[[], T], what: str) -> T:
    """Return what a call returns, or raise what it raises, if it does so in time.

    botocore bounds neither a credential process nor a look-up as a whole. A call that is given up goes on and is
    forgotten: it writes nothing but what AWS's tools do too when they renew a sign-in of theirs.

    Args:
        seconds: How long it may take.
        call: What to do.
        what: What did not come, for the message.

    Raises:
        TransientError: It takes too long, or the process may start no more threads.
    """
    _silence_botocore()
    run = _Run(call)
    try:
        run.thread.start()
    except RuntimeError:
        raise TransientError("no thread can be started to look for AWS credentials") from None
    run.thread.join(seconds)
    if run.thread.is_alive():
        raise TransientError(f"{what} within {seconds:g} s", hint="Look at what AWS's configuration names")
    return run.result()


class _Run(Generic[T]):
    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._answers: list[T] = []
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)

    def _run(self) -> None:
        try:
            self._answers.append(self._call())
        except BaseException as error:  # noqa: BLE001  raised again by whoever waits
            self._error = error

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._answers[0]


def _elsewhere(record: logging.LogRecord) -> bool:  # noqa: ARG001  a filter is asked about a record
    return threading.current_thread().name != THREAD_NAME


def _silence_botocore() -> None:
    """Keep botocore's log of what happens here from everyone: it quotes answers of STS, secret keys included."""
    known = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in {"botocore", "urllib3"}]
    for name in {*known, *(f"botocore.{name}" for name in _LOGGERS)}:
        logging.getLogger(name).addFilter(_elsewhere)
