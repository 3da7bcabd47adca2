"""The behavior of a private gnome-keyring that freshkey's tests rely on, checked with only the keyring library."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from keyring.backend import KeyringBackend
from keyring.backends.SecretService import Keyring

from counterparts.keychain import Keychain
from counterparts.requires import require
from python_program import killed_at_the_end
from waiting import until


pytestmark = pytest.mark.counterpart

KEYRING = "from keyring.backends.SecretService import Keyring; Keyring()."
READ = "from keyring.backends.SecretService import Keyring; print(Keyring().get_password('service', 'name'))"


@pytest.fixture
def keychain() -> Iterator[Keychain]:
    with Keychain() as keychain:
        yield keychain


@pytest.fixture
def keyring(keychain: Keychain, monkeypatch: pytest.MonkeyPatch) -> KeyringBackend:
    for name, value in keychain.variables.items():
        monkeypatch.setenv(name, value)
    return Keyring()  # type: ignore[no-untyped-call]


def test_value_is_written_read_and_deleted(keyring: KeyringBackend) -> None:
    keyring.set_password("service", "name", "line one\nline two")
    assert keyring.get_password("service", "name") == "line one\nline two"
    keyring.delete_password("service", "name")
    assert keyring.get_password("service", "name") is None


def test_another_process_reads_it(keychain: Keychain, keyring: KeyringBackend) -> None:
    keyring.set_password("service", "name", "from the test")
    assert keychain.run(["-c", READ]).stdout == "from the test\n"


@pytest.mark.parametrize(
    "call",
    ["get_password('service', 'name')", "set_password('service', 'name', 'x')", "delete_password('service', 'name')"],
)
def test_locked_keychain_raises_and_works_again_once_unlocked(
    keychain: Keychain, keyring: KeyringBackend, call: str
) -> None:
    keyring.set_password("service", "name", "kept")
    keychain.lock()
    # In a separate process, because keyring leaves its connection open when it raises.
    assert "keyring.errors.KeyringLocked" in keychain.run(["-c", KEYRING + call]).stderr
    keychain.unlock()
    assert keyring.get_password("service", "name") == "kept"


def test_killed_daemon_comes_back_locked_with_its_content(keychain: Keychain, keyring: KeyringBackend) -> None:
    keyring.set_password("service", "name", "kept")
    before = keychain.pid
    keychain.kill()
    assert "keyring.errors.KeyringLocked" in keychain.run(["-c", READ]).stderr
    assert keychain.pid != before
    keychain.unlock()
    assert keyring.get_password("service", "name") == "kept"


def test_halted_daemon_makes_callers_wait_until_it_continues(keychain: Keychain, keyring: KeyringBackend) -> None:
    keyring.set_password("service", "name", "kept")
    keychain.stop()
    reader = subprocess.Popen([sys.executable, "-c", READ], env=keychain.environment, stdout=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        reader.wait(1.5)
    keychain.cont()
    assert reader.communicate(timeout=20)[0] == "kept\n"


def test_two_keychains_share_nothing(keychain: Keychain, keyring: KeyringBackend) -> None:
    keyring.set_password("service", "name", "mine")
    with Keychain() as other:
        assert other.run(["-c", READ]).stdout == "None\n"
        assert other.pid != keychain.pid


def test_nothing_of_the_user_running_the_tests_is_used(keychain: Keychain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("XDG_SESSION_ID", "1")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    environment = keychain.environment
    assert not {"DISPLAY", "XDG_SESSION_ID", "PYTHON_KEYRING_BACKEND"} & environment.keys()
    home = environment["HOME"]
    assert home != os.path.expanduser("~")  # noqa: PTH111 - the home directory of the account, regardless of what pathlib caches
    private = [
        environment[name] for name in environment if name.startswith("XDG_") or name == "DBUS_SESSION_BUS_ADDRESS"
    ]
    assert len(private) == 6
    assert all(home in value for value in private)


def test_everything_ends_with_the_keychain() -> None:
    with Keychain() as keychain:
        pid, home = keychain.pid, Path(keychain.variables["HOME"])
        keychain.stop()
    assert not home.exists()
    until(lambda: not _lives(pid))


HOLDER = """
import time
from counterparts.keychain import Keychain

with Keychain() as keychain:
    print(keychain.pid, keychain.variables["HOME"], flush=True)
    time.sleep(60)
"""


def test_the_daemon_and_its_home_end_with_a_killed_test() -> None:
    require("gnome-keyring")
    with killed_at_the_end(HOLDER) as line:
        pid, home = line.split()
    until(lambda: not _lives(int(pid)) and not Path(home).exists())


def _lives(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
