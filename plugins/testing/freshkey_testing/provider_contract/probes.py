"""How the checks of a provider run the code under test."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import NoReturn, TypeVar

import pytest

from freshkey.errors import FreshkeyError, PluginBroken


T = TypeVar("T")


def caught(act: Callable[[], object]) -> BaseException | None:
    """Run `act` and return the `FreshkeyError` that it raised, or None."""
    try:
        act()
    except FreshkeyError as error:
        return error
    return None


def tried(act: Callable[[], T]) -> tuple[T | None, FreshkeyError | None]:
    """Run `act` and return its result, or the `FreshkeyError` that it raised."""
    try:
        return act(), None
    except FreshkeyError as error:
        return None, error


def require(fulfilled: object, sentence: str) -> None:
    """Fail with a sentence; unlike `assert`, pytest does not explain it with values, which may be secret."""
    if not fulfilled:
        pytest.fail(sentence, pytrace=False)


def fail_with(sentence: str, cause: BaseException | None) -> NoReturn:
    """Fail with a sentence and the plugin's own traceback, without those of the kit and the core around it."""
    pytest.fail("\n".join([sentence, *getattr(cause, "__notes__", ())]), pytrace=False)


def reject_broken(error: BaseException | None, what: str) -> None:
    """Fail with what is outside the contract, and where the plugin raised it."""
    if isinstance(error, PluginBroken):
        fail_with(
            f"{error}\n{what} must raise one of the errors of freshkey.errors instead, and return what it promises",
            error,
        )


def outcome_name(error: BaseException | None) -> str:
    """Describe an outcome for a failure message."""
    return "no error" if error is None else f"{type(error).__name__} ({error})"


def shown(error: BaseException | None) -> str:
    """Return everything a log would show of an error, including its causes."""
    return "" if error is None else "".join(traceback.format_exception(error))
