"""How the checks of a provider run what they look at."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Final

from freshkey.errors import FreshkeyError


_AGES: Final = 10.0


def caught(act: Callable[[], object]) -> BaseException | None:
    """Run `act` and return the error of the contract that it raised."""
    try:
        act()
    except FreshkeyError as error:
        return error
    return None


def on_thread(act: Callable[[], object]) -> BaseException | None:
    """Run `act` on a thread of its own and return what it raised; a thread that hangs is a TimeoutError."""
    outcome: list[BaseException | None] = []
    thread = threading.Thread(target=lambda: outcome.append(caught(act)), daemon=True)
    thread.start()
    thread.join(_AGES)
    return outcome[0] if outcome else TimeoutError(f"still busy after {_AGES:.0f} s")


def outcome_name(error: BaseException | None) -> str:
    """Say how something ended."""
    return "an answer" if error is None else f"{type(error).__name__} ({error})"


def shown(error: BaseException | None) -> str:
    """Return all that a log would show of an error, its causes included."""
    return "" if error is None else "".join(traceback.format_exception(error))
