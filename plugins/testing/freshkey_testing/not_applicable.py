"""Checks of a contract that do not apply pass; those that cannot be run, because of another failure, are counted.

The end of the run says how many there were, and why, in one line for each reason. A skip would leave open whether the
author or the description left something out, and have a line for each check. It imports nothing but pytest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, NoReturn

import pytest


_PROPERTY: Final = "freshkey_not_applicable"
_NOT_RUN: Final = "freshkey_not_run"
_PASSED_OVER: Final = pytest.StashKey[bool]()

UNCHECKED: Final = "unchecked"
"""Category of the reports of checks that were not run."""


class NotApplicable(pytest.skip.Exception):  # type: ignore[name-defined,misc]  # pytest makes it at run time
    """Ends a check to which the plugin's own description gives nothing to look at; a skip without the pytest plugin."""


class NotRun(pytest.skip.Exception):  # type: ignore[name-defined,misc]  # pytest makes it at run time
    """Ends a check that cannot be run because of what another one fails for; a skip without the pytest plugin."""


def not_applicable(reason: str) -> NoReturn:
    """End a check, or the fixtures of one, without a failure and without a skip.

    Args:
        reason: What the plugin declares, such as ``the provider cannot revoke``.
    """
    raise NotApplicable(reason)


def not_run(reason: str) -> NoReturn:
    """End a check, or the fixtures of one, that would only fail for what another one fails for.

    Args:
        reason: Which one that is, such as ``see the failure of test_it_fits_the_hooks``.
    """
    raise NotRun(reason)


def leave_to(request: pytest.FixtureRequest, check: str) -> None:
    """Do not run a check, unless it is this one, or this one is not run: then it fails by itself.

    Args:
        request: The check that met something.
        check: The one of the same class that says what is wrong.
    """
    runs = any(
        isinstance(item, pytest.Function) and item.cls is request.cls and item.originalname == check
        for item in request.session.items
    )
    if runs and request.node.originalname != check:
        not_run(f"see the failure of {check}")


def pass_over(item: pytest.Item, report: pytest.TestReport, error: NotApplicable) -> None:
    """Let the report pass, and note the reason in it; but not if the class says that the check fails."""
    if item.get_closest_marker("xfail") is not None:
        report.outcome = "failed"
        report.longrepr = f"[XPASS(strict)] nothing fails here ({error.msg}): remove the line of known_failures"
        return
    report.outcome, report.longrepr = "passed", None
    item.stash[_PASSED_OVER] = True
    noted = (_PROPERTY, str(error.msg))
    item.user_properties.append(noted)
    report.user_properties = list(item.user_properties)


def is_passed_over(item: pytest.Item) -> bool:
    """Return whether the fixtures of a check found that it does not apply."""
    return item.stash.get(_PASSED_OVER, False)


def note_not_run(report: pytest.TestReport, error: NotRun) -> None:
    """Note in the report why the check was not run."""
    report.user_properties.append((_NOT_RUN, str(error.msg)))


def is_not_run(report: pytest.TestReport | pytest.CollectReport) -> bool:
    """Return whether a report is of a check that was not run."""
    return report.skipped and any(name == _NOT_RUN for name, _ in getattr(report, "user_properties", ()))


def summary(passed: Iterable[pytest.TestReport], unchecked: Iterable[pytest.TestReport]) -> list[str]:
    """Return a line for each reason, from the reports of what passed and of what was not run."""
    return [
        *(f"{_checks(count)} had nothing to look at: {reason}" for reason, count in _reasons(passed, _PROPERTY)),
        *(f"{_checks(count)} could not be run: {reason}" for reason, count in _reasons(unchecked, _NOT_RUN)),
    ]


def _reasons(reports: Iterable[pytest.TestReport], noted: str) -> Iterable[tuple[str, int]]:
    return Counter(str(value) for report in reports for name, value in report.user_properties if name == noted).items()


def _checks(count: int) -> str:
    return f"{count} check{'' if count == 1 else 's'} of the contract"
