"""A user whose sign-in is stored in a private keychain, or in the encrypted file store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from counterparts.keychain import Keychain
from home import Home


@pytest.fixture(params=["keyring", "file"])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """Return the configuration and state of a user, with one store and then the other."""
    with ExitStack() as stack:
        home = Home(tmp_path, request.param)
        if request.param == "keyring":
            home.variables |= stack.enter_context(Keychain()).variables
        home.variables["FRESHKEY_CONFIG_DIR"] = str(tmp_path / "config")
        home.variables["FRESHKEY_STATE_DIR"] = str(tmp_path / "state")
        for name, value in home.variables.items():
            monkeypatch.setenv(name, value)
        for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "FRESHKEY_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        yield home
