"""A server that outlives the processes that use it, and a signed-in `Forge` that starts such processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crashing_process import Forge, works
from freshkey_testing import AuthorizationServer


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with AuthorizationServer() as running:
        yield running


@pytest.fixture
def forge(server: AuthorizationServer, tmp_path: Path) -> Iterator[Forge]:
    settings = {**server.settings(), "provider": "claude_oauth", "store": "file"}
    with Forge(settings, tmp_path) as forge:
        assert works(server, forge.run("login"))
        yield forge
