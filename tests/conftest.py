"""What every test run has in common."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Let signals do what they usually do: a run in the background inherits that they are ignored, and passes it on."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
