"""Which promises of ``docs/promises.md`` a test shows: `@proves("FAULT-14", "ROT-3")`."""

from __future__ import annotations

import pytest


def proves(*promises: str) -> pytest.MarkDecorator:
    """Mark a test with the ids of the promises and faults it is about; ``tests/test_promises.py`` checks them."""
    return pytest.mark.proves(*promises)
