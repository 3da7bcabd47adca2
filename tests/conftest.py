"""Setup and cleanup for all tests."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from second_user import SecondUser, made_user, open_folder
from waiting import end_renewals


USUAL: dict[str, Any] = {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL, "SIGQUIT": signal.SIG_DFL}

MISSING_ON_WINDOWS = {
    "DLL load failed while importing _pydantic_core": "Wine 8 has no bcryptprimitives.dll, which pydantic needs",
    "No module named 'jeepney'": "only Linux has a session bus",
}
"""What keeps a file from being imported there, and why it is skipped."""


settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Hypothesis measures time on the wall clock, and would fail a test because the machine is busy."""


def pytest_configure() -> None:
    """Restore the default signal handlers: a test run in the background inherits that signals are ignored."""
    settings.load_profile("unhurried")
    for name, usual in USUAL.items():
        number = getattr(signal, name, None)  # Windows does not have the last two
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skip files that need what Windows, or Wine, does not have."""
    report = yield
    if sys.platform == "win32" and report.failed:
        for missing, reason in MISSING_ON_WINDOWS.items():
            if missing in str(report.longrepr):
                report.outcome = "skipped"
                report.longrepr = (str(collector.path), 1, reason)
    return report


def pytest_collection_finish() -> None:
    """Exempt what was collected from garbage collection.

    Thousands of tests make millions of objects. To look through all of them stops a process for seconds, which is
    longer than the time limits that some tests set.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """End all renewals after each test, because `freshkey exec` waits for all of them before it runs its command."""
    try:
        yield
    finally:
        end_renewals()


@pytest.fixture(scope="session")
def second_user() -> Iterator[SecondUser]:
    """Another ordinary user of this machine, who attacks us."""
    with made_user() as user:
        yield user


@pytest.fixture
def open_tmp_path() -> Iterator[Path]:
    """Provide a folder of ours that the second user can enter and read."""
    with open_folder() as folder:
        yield folder
