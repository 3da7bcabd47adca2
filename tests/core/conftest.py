"""Fixtures for the tests of stores, keepers and renewals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from freshkey.model.profile import Profile
from rotating import Telling, World


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile(name="me", provider="example", settings=None, state_dir=tmp_path / "state")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """One machine with a manual clock: a rotating provider, a store, and any number of keepers."""
    world = World(tmp_path / "state")
    yield world
    world.close()


@pytest.fixture
def telling(world: World) -> Telling:
    """Make the provider of that machine report the profile; request this fixture before creating a keeper."""
    world.provider = telling = Telling(world.clock, world.journal, world.store)
    return telling
