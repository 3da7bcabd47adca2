"""Runs a call in a thread, to see whether and when it ends."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future

from freshkey.errors import FreshkeyError


def in_thread(action: Callable[[], object]) -> Future[object]:
    """Run `action` in a thread, in the context of the caller; return a future for its outcome."""
    outcome: Future[object] = Future()

    def run() -> None:
        try:
            outcome.set_result(action())
        except FreshkeyError as error:
            outcome.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=lambda: context.run(run), daemon=True).start()
    return outcome
