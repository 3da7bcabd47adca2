"""What the tests of the keeper and of renewals share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rotating import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """One machine whose clock a test moves: a rotating provider, a store, and any number of keepers."""
    world = World(tmp_path / "state")
    yield world
    world.close()
