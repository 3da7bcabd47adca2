"""What the tests of stores share."""

from __future__ import annotations

from pathlib import Path

import pytest

from freshkey.model import Profile


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile(name="me", provider="example", settings=None, state_dir=tmp_path / "state")
