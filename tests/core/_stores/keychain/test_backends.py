"""The keychain that is used: a real one, whatever the environment and installed plugins say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as FailKeyring

from freshkey._stores.keychain import backends
from freshkey._stores.keychain.backends import how_to_get_one, open_backend
from freshkey._stores.keychain.session import allowed
from freshkey.errors import ConfigurationError, StoreUnavailable
from promises import proves
from raises_code import raises_code


class Real(KeyringBackend):
    """Stands in for the platform's keychain."""

    priority = 5
    color = "none"

    def get_password(self, service: str, username: str) -> str | None:
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        """Store nothing; these tests only check which backend is created."""


class Unusable(Real):
    def __init__(self) -> None:
        raise RuntimeError("needs a desktop")


class Disguised(FailKeyring):
    """A forbidden backend under another name."""


def allow(patch: pytest.MonkeyPatch, *kinds: type) -> None:
    patch.setattr(backends, "allowed", lambda: tuple(kind.__name__ for kind in kinds))
    patch.setattr(backends, "_load", {kind.__name__: kind for kind in kinds}.__getitem__)


@proves("FAULT-2", "STO-1")
def test_allow_list_has_only_os_keychains() -> None:
    """STO-1."""
    assert allowed("darwin") == ("keyring.backends.macOS.Keyring",)
    assert allowed("win32") == ("keyring.backends.Windows.WinVaultKeyring",)
    secret_service = ("keyring.backends.SecretService.Keyring", "keyring.backends.libsecret.Keyring")
    kwallet = ("keyring.backends.kwallet.DBusKeyring",)
    assert allowed("linux", {}) == secret_service + kwallet
    assert allowed("linux", {"XDG_CURRENT_DESKTOP": "KDE"}) == kwallet + secret_service
    assert all(isinstance(backends._load(path), type) for path in secret_service + kwallet)


def test_first_working_backend_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, Unusable, Real)

    assert isinstance(open_backend(), Real)


def test_environment_variables_set_no_backend_properties(monkeypatch: pytest.MonkeyPatch) -> None:
    """STO-2."""
    allow(monkeypatch, Real)
    monkeypatch.setenv("KEYRING_PROPERTY_COLOR", "red")

    assert isinstance(backend := open_backend(), Real)
    assert backend.color == "none"


def test_no_keychain_error_has_the_reason_of_the_best_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    """FAULT-1."""
    allow(monkeypatch, Unusable)

    with raises_code(StoreUnavailable, "no-keychain") as caught:
        open_backend()
    assert "needs a desktop" in str(caught.value)


BUS = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1000/bus"}


@pytest.mark.parametrize(
    ("platform", "environ", "fact"),
    [
        ("linux", {}, "D-Bus session bus"),
        ("linux", BUS, "gnome-keyring"),
        ("darwin", {}, "login keychain"),
        ("win32", {}, "Credential Manager"),
    ],
)
def test_no_keychain_hint_fits_the_platform_and_names_the_file_store(
    platform: str, environ: dict[str, str], fact: str
) -> None:
    """FAULT-1."""
    hint = how_to_get_one(platform, environ)

    assert fact in hint
    assert 'store = "file"' in hint
    assert "FRESHKEY_PASSPHRASE" in hint


@proves("FAULT-4", "STO-1")
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
def test_null_and_plaintext_backends_are_refused_by_name(path: str) -> None:
    """STO-1, FAULT-2, FAULT-4."""
    with raises_code(ConfigurationError, "unsafe-keychain-backend") as caught:
        open_backend(path)
    assert path in str(caught.value)


def test_subclasses_of_forbidden_backends_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_load", lambda path: Disguised)

    with raises_code(ConfigurationError, "unsafe-keychain-backend"):
        open_backend("company.keyring.Backend")


@pytest.mark.parametrize("path", ["no.such.module.Keyring", "keyring.backends.SecretService.Absent", "Keyring", ""])
def test_missing_backend_is_a_configuration_error(path: str) -> None:
    with raises_code(ConfigurationError, "invalid-keychain-backend") as caught:
        open_backend(path)
    assert repr(path) in str(caught.value)
    assert "module.Class" in str(caught.value)


def test_class_that_is_not_a_backend_is_a_configuration_error() -> None:
    with raises_code(ConfigurationError, "invalid-keychain-backend") as caught:
        open_backend("pathlib.Path")
    assert "KeyringBackend" in str(caught.value)


def test_environment_variables_may_configure_a_named_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_load", lambda path: Real)
    monkeypatch.setenv("KEYRING_PROPERTY_COLOR", "red")

    assert isinstance(backend := open_backend("company.keyring.Backend"), Real)
    assert backend.color == "red"


HIJACK = """
import os, pathlib, sys
from freshkey.errors import StoreUnavailable
from freshkey.model.profile import Profile
from freshkey._stores.keychain import store as keyring

profile = Profile(name="me", provider="x", settings=None, state_dir=pathlib.Path(sys.argv[1]) / "state")
try:
    keyring.store(profile).probe()
except StoreUnavailable as error:
    print(error.code)
print("imported" if "hijack" in sys.modules else "ignored")
"""


@proves("FAULT-3", "STO-2")
def test_keyring_environment_and_configuration_do_not_choose_the_backend(tmp_path: Path) -> None:
    """STO-2, FAULT-3: the module that they name is not even imported."""
    (tmp_path / "hijack.py").write_text("raise SystemExit('hijacked')\n")
    for place in ("config/python_keyring", "Python Keyring"):
        config = tmp_path / place
        config.mkdir(parents=True)
        (config / "keyringrc.cfg").write_text(f"[backend]\ndefault-keyring=hijack.Keyring\nkeyring-path={tmp_path}\n")
    environment = {
        **({"SYSTEMROOT": os.environ["SYSTEMROOT"]} if sys.platform == "win32" else {}),
        "HOME": str(tmp_path),
        "LOCALAPPDATA": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "PYTHONPATH": str(tmp_path),
        "PYTHON_KEYRING_BACKEND": "hijack.Keyring",
    }

    done = subprocess.run(
        [sys.executable, "-c", HIJACK, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )

    # Credential Manager is there in any session of a user; the keychains of Linux need a session bus.
    found = [] if sys.platform == "win32" else ["no-keychain"]
    assert done.stdout.splitlines() == [*found, "ignored"], done.stderr
