"""Which keychain is used: a real one, whatever the environment and installed plugins say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import secretstorage
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as FailKeyring
from keyring.errors import KeyringLocked

from freshkey._stores.keychain import backends
from freshkey._stores.keychain.backends import allowed, open_backend
from freshkey.errors import ConfigurationError, StoreUnavailable
from matrix import row


class Real(KeyringBackend):
    """Stands in for the platform's keychain."""

    priority = 5
    colour = "none"

    def get_password(self, service: str, username: str) -> str | None:
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep nothing; these tests only look at what is built."""


class Unusable(Real):
    def __init__(self) -> None:
        raise RuntimeError("needs a desktop")


class Disguised(FailKeyring):
    """A forbidden backend behind another name."""


def allow(patch: pytest.MonkeyPatch, *kinds: type) -> None:
    patch.setattr(backends, "allowed", lambda: tuple(kind.__name__ for kind in kinds))
    patch.setattr(backends, "_load", {kind.__name__: kind for kind in kinds}.__getitem__)


@row(2, "STO-1")
def test_the_allow_list_names_only_keychains_of_operating_systems() -> None:
    """STO-1."""
    assert allowed("darwin") == ("keyring.backends.macOS.Keyring",)
    assert allowed("win32") == ("keyring.backends.Windows.WinVaultKeyring",)
    assert allowed("linux") == (
        "keyring.backends.SecretService.Keyring",
        "keyring.backends.kwallet.DBusKeyring",
        "keyring.backends.libsecret.Keyring",
    )
    assert all(isinstance(backends._load(path), type) for path in allowed("linux"))


def test_the_first_that_works_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, Unusable, Real)

    assert isinstance(open_backend(), Real)


def test_variables_set_no_properties(monkeypatch: pytest.MonkeyPatch) -> None:
    """STO-2."""
    allow(monkeypatch, Real)
    monkeypatch.setenv("KEYRING_PROPERTY_COLOUR", "red")

    assert isinstance(backend := open_backend(), Real)
    assert backend.colour == "none"


def test_no_keychain_is_explained_with_the_reason_of_the_best_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 1."""
    allow(monkeypatch, Unusable)

    with pytest.raises(StoreUnavailable, match=r"needs a desktop.*store = .file"):
        open_backend()


@row(4, "STO-1")
@pytest.mark.parametrize(
    "path",
    [
        "keyring.backends.null.Keyring",
        "keyring.backends.fail.Keyring",
        "keyring.backends.chainer.ChainerBackend",
        "keyrings.alt.file.PlaintextKeyring",
        "keyrings.alt.file.EncryptedKeyring",
    ],
)
def test_backends_that_keep_nothing_or_keep_it_in_the_open_are_refused_by_name(path: str) -> None:
    """STO-1, rows 2 and 4."""
    with pytest.raises(ConfigurationError, match="where others can read it"):
        open_backend(path)


def test_they_are_refused_behind_another_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_load", lambda path: Disguised)

    with pytest.raises(ConfigurationError, match="keeps nothing"):
        open_backend("company.keyring.Backend")


@pytest.mark.parametrize("path", ["no.such.module.Keyring", "keyring.backends.SecretService.Absent", "Keyring", ""])
def test_a_backend_that_does_not_exist_is_a_configuration_error(path: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be imported.*module\.Class"):
        open_backend(path)


def test_something_else_than_a_backend_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="no keyring backend"):
        open_backend("pathlib.Path")


def test_a_named_backend_may_be_set_up_by_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_load", lambda path: Real)
    monkeypatch.setenv("KEYRING_PROPERTY_COLOUR", "red")

    assert isinstance(backend := open_backend("company.keyring.Backend"), Real)
    assert backend.colour == "red"


HIJACK = """
import os, pathlib, sys
from freshkey.errors import StoreUnavailable
from freshkey.model.profile import Profile
from freshkey._stores.keychain import store as keyring

profile = Profile(name="me", provider="x", settings=None, state_dir=pathlib.Path(sys.argv[1]) / "state")
try:
    keyring.store(profile).probe()
except StoreUnavailable as error:
    print(error)
print("imported" if "hijack" in sys.modules else "ignored")
"""


@row(3, "STO-2")
def test_neither_a_variable_nor_keyrings_own_configuration_chooses_the_backend(tmp_path: Path) -> None:
    """STO-2, row 3: the module that they name is not even imported."""
    (tmp_path / "hijack.py").write_text("raise SystemExit('hijacked')\n")
    config = tmp_path / "config" / "python_keyring"
    config.mkdir(parents=True)
    (config / "keyringrc.cfg").write_text(f"[backend]\ndefault-keyring=hijack.Keyring\nkeyring-path={tmp_path}\n")
    environment = {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PYTHONPATH": str(tmp_path),
        "PYTHON_KEYRING_BACKEND": "hijack.Keyring",
    }

    done = subprocess.run(
        [sys.executable, "-c", HIJACK, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines()[-1] == "ignored", done.stderr
    assert "no keychain" in done.stdout


class LockedCollection:
    """A locked collection of the Secret Service whose prompt ends in one way or another."""

    def __init__(self, *, answered: bool) -> None:
        self.answered = answered
        self.locked = True
        self.deadlines: list[float | None] = []

    def is_locked(self) -> bool:
        return self.locked

    def unlock(self, timeout: float | None = None) -> None:
        self.deadlines.append(timeout)
        if not self.answered:
            raise TimeoutError
        self.locked = False


@pytest.mark.parametrize(("version", "deadline"), [((3, 3, 3), None), ((3, 5, 0), backends.PROMPT_SECONDS)])
@row(9, "STO-3")
def test_a_prompt_has_a_deadline_where_the_library_knows_one(
    version: tuple[int, int, int], deadline: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secretstorage, "__version_tuple__", version)
    collection: Any = LockedCollection(answered=True)

    backends._unlock(collection)

    assert collection.deadlines == [deadline]


def test_a_prompt_that_is_given_up_leaves_the_keychain_locked() -> None:
    collection: Any = LockedCollection(answered=False)

    with pytest.raises(KeyringLocked):
        backends._unlock(collection)
