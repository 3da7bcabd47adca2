"""What every test run has in common."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from waiting import end_renewals


USUAL: dict[str, Any] = {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL, "SIGQUIT": signal.SIG_DFL}


def pytest_configure() -> None:
    """Let signals do what they usually do: a run in the background inherits that they are ignored, and passes it on."""
    for name, usual in USUAL.items():
        number = getattr(signal, name, None)  # Windows has neither of the last two
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Leave no renewal to the tests that come after: freshkey exec waits for all of them before it becomes another."""
    try:
        yield
    finally:
        end_renewals()
