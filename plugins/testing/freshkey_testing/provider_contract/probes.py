"""How the checks of a provider run the code under test."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Final

from freshkey.errors import FreshkeyError


_AGES: Final = 10.0


def caught(act: Callable[[], object]) -> BaseException | None:
    """Run `act` and return the `FreshkeyError` that it raised, or None."""
    try:
        act()
    except FreshkeyError as error:
        return error
    return None


def on_thread(act: Callable[[], object]) -> BaseException | None:
    """Run `act` on a separate thread and return what it raised, or a TimeoutError if it hangs."""
    outcome: list[BaseException | None] = []
    thread = threading.Thread(target=lambda: outcome.append(caught(act)), daemon=True)
    thread.start()
    thread.join(_AGES)
    return outcome[0] if outcome else TimeoutError(f"still running after {_AGES:.0f} s")


def outcome_name(error: BaseException | None) -> str:
    """Describe an outcome for a failure message."""
    return "no error" if error is None else f"{type(error).__name__} ({error})"


def shown(error: BaseException | None) -> str:
    """Return everything a log would show of an error, including its causes."""
    return "" if error is None else "".join(traceback.format_exception(error))
