"""Checks of a contract that do not apply: they pass, and the end of the run says how many there were, and why.

A skip would leave open whether the author or the description left something out. It imports nothing but pytest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, NoReturn

import pytest


_PROPERTY: Final = "freshkey_not_applicable"
_PASSED_OVER: Final = pytest.StashKey[bool]()


class NotApplicable(pytest.skip.Exception):  # type: ignore[name-defined,misc]  # pytest makes it at run time
    """Ends a check to which the plugin's own description gives nothing to look at; a skip without the pytest plugin."""


def not_applicable(reason: str) -> NoReturn:
    """End a check, or the fixtures of one, without a failure and without a skip.

    Args:
        reason: What the plugin declares, such as ``the provider cannot revoke``.
    """
    raise NotApplicable(reason)


def pass_over(item: pytest.Item, report: pytest.TestReport, error: NotApplicable) -> None:
    """Let the report pass, and note the reason in it."""
    report.outcome, report.longrepr = "passed", None
    item.stash[_PASSED_OVER] = True
    noted = (_PROPERTY, str(error.msg))
    item.user_properties.append(noted)
    report.user_properties = list(item.user_properties)


def is_passed_over(item: pytest.Item) -> bool:
    """Return whether the fixtures of a check found that it does not apply."""
    return item.stash.get(_PASSED_OVER, False)


def summary(passed: Iterable[pytest.TestReport]) -> list[str]:
    """Return a line for each reason, from the reports of what passed."""
    reasons = Counter(value for report in passed for name, value in report.user_properties if name == _PROPERTY)
    return [
        f"{count} check{'' if count == 1 else 's'} of the contract had nothing to look at: {reason}"
        for reason, count in reasons.items()
    ]
