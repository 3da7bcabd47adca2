"""Keychains that do not report their prompts: macOS, played by a double, is told to fail instead of showing one."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from counterparts.keychain import Keychain
from freshkey._stores.keychain import prompts
from freshkey._stores.keychain import unreported as module
from freshkey._stores.keychain.dismissals import Dismissals
from freshkey._stores.keychain.prompts import Asker, Policy, PromptRefused
from freshkey._stores.keychain.unreported import unreported


class KeyringLocked(Exception):
    """Like keyring's: the user canceled."""


class KeyringError(Exception):
    """Like keyring's."""


@define
class Security:
    """The switch of Keychain Services for windows of this process."""

    allowed: int = 1
    windows: int = 0
    seen: list[int] = field(factory=list)

    def SecKeychainGetUserInteractionAllowed(self, state: Any) -> int:  # noqa: N802  Apple's name
        state._obj.value = self.allowed
        return 0

    def SecKeychainSetUserInteractionAllowed(self, state: int) -> int:  # noqa: N802  Apple's name
        self.allowed = state
        return 0

    def read(self, *, canceled: bool = False) -> str:
        """Read from a locked keychain."""
        if not self.allowed:
            raise KeyringError("Can't get password") from OSError(-25308, "Unknown Error")
        self.windows += 1
        if canceled:
            raise KeyringLocked
        return "secret"


@pytest.fixture
def security(monkeypatch: pytest.MonkeyPatch) -> Security:
    found = Security()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(module, "_security", lambda: found)
    return found


def test_call_for_no_one_opens_no_window_on_macos(security: Security) -> None:
    with pytest.raises(PromptRefused), unreported(Policy(Asker(background=True))):
        security.read()
    assert security.windows == 0
    assert security.allowed == 1

    with unreported(Policy()):
        assert security.read() == "secret"


@pytest.mark.skipif(sys.platform == "win32", reason="macOS, with the owners of files that POSIX has")
def test_window_that_the_user_canceled_is_not_opened_again_at_once_on_macos(security: Security, tmp_path: Path) -> None:
    policy = Policy(Asker(), Dismissals(tmp_path))
    with pytest.raises(KeyringLocked), unreported(policy):
        security.read(canceled=True)
    for _ in range(3):
        with pytest.raises(PromptRefused), unreported(policy):
            security.read()
    assert security.windows == 1


def test_setting_of_the_application_is_restored_on_macos(security: Security) -> None:
    security.allowed = 0
    with pytest.raises(PromptRefused), unreported(Policy(Asker(background=True))):
        security.read()
    assert security.allowed == 0


def test_other_systems_have_no_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(module, "_security", None)
    with unreported(Policy(Asker(background=True))):
        assert not prompts.expected()
    with prompts.user_present(), unreported(Policy()):
        assert prompts.expected()


@pytest.mark.skipif(sys.platform == "win32", reason="libsecret is only on Linux")
@pytest.mark.parametrize("locked", [True, False])
def test_libsecret_is_not_called_for_no_one_while_it_would_prompt(
    monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    monkeypatch.setattr("freshkey._stores.keychain.libsecret.would_prompt", lambda: locked)
    backend = type("Keyring", (), {"__module__": "keyring.backends.libsecret"})()
    refused = pytest.raises(PromptRefused) if locked else nullcontext()
    with refused, unreported(Policy(Asker(background=True)), backend):
        pass
    with unreported(Policy(), backend):
        pass


@pytest.mark.counterpart
@pytest.mark.skipif(sys.platform == "win32", reason="libsecret is only on Linux")
def test_libsecret_would_prompt_only_if_the_secret_service_is_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    from freshkey._stores.keychain import libsecret

    with Keychain() as keychain:
        for name, value in keychain.variables.items():
            monkeypatch.setenv(name, value)
        assert not libsecret.would_prompt()
        keychain.lock()
        assert libsecret.would_prompt()
