"""Which row of the fault matrix a test proves, and which requirements: `@row(14, "ROT-3", "ROT-7")`."""

from __future__ import annotations

import pytest


ROWS = range(1, 61)


def row(number: int, *requirements: str) -> pytest.MarkDecorator:
    """Mark a test with its row of the fault matrix and the ids of requirements it proves.

    Raises:
        ValueError: There is no such row.
    """
    if number not in ROWS:
        raise ValueError(f"the fault matrix has no row {number}")
    return pytest.mark.row(number, *requirements)
