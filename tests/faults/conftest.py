"""A server that outlives the processes that use it, and a signed-in `Forge` that starts such processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crashing_process import Forge, works
from freshkey_testing import AuthorizationServer


collect_ignore = ["test_keychain.py"] if sys.platform == "win32" else []
"""It is about keychains on the session bus, whose library is not on Windows."""


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with AuthorizationServer() as running:
        yield running


@pytest.fixture(params=["file", "keyring"] if sys.platform == "win32" else ["file"])
def forge_store(request: pytest.FixtureRequest) -> str:
    """The store of the profile; only Windows always has a keychain, the Credential Manager."""
    return str(request.param)


@pytest.fixture
def warm() -> bool:
    """Whether processes need not import what others before them have imported; see `Forge`."""
    return False


@pytest.fixture
def forge(server: AuthorizationServer, tmp_path: Path, forge_store: str, warm: bool) -> Iterator[Forge]:
    settings = {**server.settings(), "provider": "claude_oauth", "store": forge_store}
    with Forge(settings, tmp_path, warm=warm) as forge:
        assert works(server, forge.run("login"))
        yield forge
        if forge_store == "keyring":
            forge.run("logout")
