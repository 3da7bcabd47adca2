"""Runs botocore calls on a separate thread, with a deadline, and without botocore's log messages and key log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

from freshkey.errors import TransientError
from freshkey_bedrock.botocore_tls import use_own_tls


T = TypeVar("T")

THREAD_NAME: Final = "freshkey aws"

GRACE: Final = 5.0
"""Seconds beyond the deadline that a program which missed it gets to end, so that the error names the program."""

_LOGGERS: Final = ("auth", "client", "credentials", "endpoint", "hooks", "httpsession", "parsers", "tokens", "utils")
"""botocore's loggers that may not exist yet when the call starts."""


def call_with_deadline(seconds: float, call: Callable[[], T], what: str) -> T:
    """Run a call on a separate thread, and return or raise what it does, unless it exceeds the deadline.

    botocore has no time limit for a credential process or for a whole lookup. A call that misses the deadline keeps
    running and its result is discarded; the only thing that it may write is AWS's own token cache, as the AWS CLI does.

    Args:
        seconds: How long it may take.
        call: What to run.
        what: What failed, to begin the message.

    Raises:
        TransientError: It took too long, or the process cannot start another thread.
    """
    _silence_botocore()
    use_own_tls(THREAD_NAME)
    run = _Run(call)
    try:
        run.start()
    except RuntimeError:
        raise TransientError("cannot start a thread to look up AWS credentials", code="out-of-threads") from None
    run.join(seconds)
    if run.is_alive() and run.ends_by_itself:
        run.join(GRACE)
    if run.is_alive():
        raise TransientError(
            f"{what} within {seconds:g} s",
            hint="Check the network and the AWS configuration, or increase the setting deadline",
            code="bedrock-aws-timed-out",
        )
    return run.result()


@contextmanager
def ends_by_itself() -> Iterator[None]:
    """Within a call: what happens here meets the deadline by itself, with an error that says more than the caller's.

    Both time limits end at the same moment, and killing a program takes a while on a busy machine.
    """
    run = threading.current_thread()
    if not isinstance(run, _Run):
        yield
        return
    run.ends_by_itself = True
    yield
    # Not after an error: the caller still waits for it.
    run.ends_by_itself = False


class _Run(threading.Thread, Generic[T]):
    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__(name=THREAD_NAME, daemon=True)
        self._call = call
        self._answers: list[T] = []
        self._error: BaseException | None = None
        self.ends_by_itself = False

    def run(self) -> None:
        try:
            self._answers.append(self._call())
        except BaseException as error:  # noqa: BLE001  raised again in the waiting thread
            self._error = error

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._answers[0]


def _elsewhere(record: logging.LogRecord) -> bool:  # noqa: ARG001  the signature of a logging filter
    return threading.current_thread().name != THREAD_NAME


def _silence_botocore() -> None:
    """Suppress botocore's log messages on this thread: they quote STS responses, including secret keys."""
    known = [name for name in [*logging.root.manager.loggerDict] if name.partition(".")[0] in {"botocore", "urllib3"}]
    for name in {*known, *(f"botocore.{name}" for name in _LOGGERS)}:
        logging.getLogger(name).addFilter(_elsewhere)
