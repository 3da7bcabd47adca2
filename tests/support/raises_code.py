"""Expects an error by its code, which is stable, instead of by its message, which can change at any time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from freshkey.errors import FreshkeyError


E = TypeVar("E", bound=FreshkeyError)


@contextmanager
def raises_code(kind: type[E], code: str) -> Iterator[pytest.ExceptionInfo[E]]:
    """Expect an error of this class (or a subclass) with this code, like `pytest.raises`.

    Args:
        kind: The error class.
        code: The expected `FreshkeyError.code`.
    """
    with pytest.raises(kind) as caught:
        yield caught
    assert caught.value.code == code, f"raised {caught.value.code!r}: {caught.value}"
