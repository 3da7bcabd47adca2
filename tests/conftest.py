"""What every test run has in common."""

from __future__ import annotations

import signal
from typing import Any


USUAL: dict[str, Any] = {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL, "SIGQUIT": signal.SIG_DFL}


def pytest_configure() -> None:
    """Let signals do what they usually do: a run in the background inherits that they are ignored, and passes it on."""
    for name, usual in USUAL.items():
        number = getattr(signal, name, None)  # Windows has neither of the last two
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
