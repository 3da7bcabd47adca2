"""The keychain store with a real Secret Service that is locked, stopped, killed and shared by processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from attrs import evolve

from counterparts.keychain import Keychain
from freshkey._stores.keychain.store import store
from freshkey.errors import StoreBusy, StoreUnavailable
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore, Snapshot
from promises import proves
from raises_code import raises_code
from scripted_items import a_record, an_intent
from waiting import leaving_nothing


pytestmark = pytest.mark.counterpart


@pytest.fixture
def keychain(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keychain]:
    with Keychain() as found:
        for name, value in found.variables.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def kept(profile: Profile, keychain: Keychain) -> CredentialStore:
    return store(profile)


def test_credential_of_any_size_is_stored_until_sign_out(kept: CredentialStore, profile: Profile) -> None:
    """STO-4."""
    kept.probe()
    with kept.lock(5):
        kept.save(a_record(1, "x" * 50_000))
        kept.intend(an_intent(2))
        assert store(profile).load() == Snapshot(record=a_record(1, "x" * 50_000), intent=an_intent(2))
        kept.save(a_record(2))
        kept.save(a_record(3, payload=None))

    assert store(profile).load() == Snapshot(record=a_record(3, payload=None))


LIST = """
import secretstorage

bus = secretstorage.dbus_init()
for item in secretstorage.get_default_collection(bus).get_all_items():
    print(item.get_attributes()["service"])
bus.close()
"""


def test_sign_out_deletes_all_secrets(kept: CredentialStore, profile: Profile, keychain: Keychain) -> None:
    kept.save(a_record(1))
    kept.save(a_record(2))
    kept.save(a_record(3, payload=None))

    found = keychain.run(["-c", LIST])

    services = found.stdout.split()
    assert len(services) == 1, found.stderr
    assert services[0].endswith(":me:1.0")


@proves("FAULT-5", "STO-4")
def test_locked_keychain_is_reported_and_works_after_unlocking(kept: CredentialStore, keychain: Keychain) -> None:
    """FAULT-5."""
    kept.save(a_record(1))
    keychain.lock()
    for action in (kept.load, kept.probe, lambda: kept.save(a_record(2))):
        with raises_code(StoreUnavailable, "keychain-locked"):
            action()

    keychain.unlock()
    assert kept.load() == Snapshot(record=a_record(1))


def test_reading_a_locked_keychain_repeatedly_leaks_no_descriptors(kept: CredentialStore, keychain: Keychain) -> None:
    """FAULT-8."""
    keychain.lock()
    with pytest.raises(StoreUnavailable):
        kept.load()

    with leaving_nothing():
        for _ in range(100):
            with pytest.raises(StoreUnavailable):
                kept.load()


@proves("FAULT-7")
def test_stopped_keychain_keeps_the_lock_until_the_late_write_is_done(profile: Profile, keychain: Keychain) -> None:
    """FAULT-7, and an older generation never replaces a newer one."""
    hasty, patient = store(evolve(profile, store_settings={"timeout": 0.3})), store(profile)
    with hasty.lock(5):
        hasty.save(a_record(1))
    keychain.stop()
    try:
        with hasty.lock(5), raises_code(StoreUnavailable, "keychain-timed-out") as caught:
            hasty.save(a_record(2))
        assert "0.3 s" in str(caught.value)
        with pytest.raises(StoreBusy), patient.lock(0.1):
            pass
        with raises_code(StoreUnavailable, "keychain-timed-out") as caught:
            patient.load()
        assert "earlier call" in str(caught.value)
    finally:
        keychain.cont()

    with patient.lock(30):
        generation = patient.load().generation
        patient.save(a_record(generation + 1, "newest"))
    assert patient.load() == Snapshot(record=a_record(generation + 1, "newest"))


@proves("FAULT-8")
def test_killed_keychain_restarts_locked_and_has_lost_nothing(kept: CredentialStore, keychain: Keychain) -> None:
    """FAULT-8."""
    kept.save(a_record(1))
    keychain.kill()
    with pytest.raises(StoreUnavailable):
        kept.load()

    keychain.unlock()
    assert kept.load() == Snapshot(record=a_record(1))


def test_threads_can_share_the_keychain(profile: Profile, keychain: Keychain) -> None:
    patient = {"timeout": 30}
    stores = [store(evolve(profile, name=f"profile-{number}", store_settings=patient)) for number in range(8)]
    found: list[Snapshot] = []

    def use(kept: CredentialStore) -> None:
        with kept.lock(30):
            kept.save(a_record(1))
        found.append(kept.load())

    threads = [threading.Thread(target=use, args=(kept,)) for kept in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert found == [Snapshot(record=a_record(1))] * 8


CLIENT = """
import sys
from pathlib import Path
from freshkey.model.profile import Profile
from freshkey.model.storage import Record
from freshkey.secret import Secret
from freshkey._stores.keychain.store import store

slow = {"timeout": 30}
kept = store(Profile(name="me", provider="x", settings=None, state_dir=Path(sys.argv[1]), store_settings=slow))
for _ in range(5):
    with kept.lock(60):
        generation = kept.load().generation + 1
        kept.save(Record(generation=generation, payload=Secret(f"of {generation}"), written_at=1.0))
"""


@proves("FAULT-24", "ROT-2")
def test_processes_saving_under_the_lock_lose_no_generation(profile: Profile, keychain: Keychain) -> None:
    """ROT-2."""
    clients = [
        subprocess.Popen([sys.executable, "-c", CLIENT, str(profile.state_dir)], env=keychain.environment)
        for _ in range(3)
    ]

    assert [client.wait(100) for client in clients] == [0, 0, 0]
    assert store(profile).load().generation == 15


FORK = """
import os, sys, warnings
from pathlib import Path
from freshkey.errors import StoreBusy
from freshkey.model.profile import Profile
from freshkey.model.storage import Record
from freshkey.secret import Secret
from freshkey._stores.keychain.store import store

warnings.simplefilter("ignore", DeprecationWarning)
kept = store(Profile(name="me", provider="x", settings=None, state_dir=Path(sys.argv[1])))
with kept.lock(5):
    kept.save(Record(generation=1, payload=Secret("one"), written_at=1.0))
    child = os.fork()
    if child == 0:
        assert kept.load().generation == 1
        try:
            with kept.lock(0.05):
                os._exit(3)
        except StoreBusy:
            os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(status)
"""


def test_forked_child_has_its_own_worker_and_no_lock(profile: Profile, keychain: Keychain) -> None:
    """ROT-11, FAULT-22."""
    done = keychain.run(["-c", FORK, str(profile.state_dir)])

    assert (done.returncode, done.stderr) == (0, "")


@proves("FAULT-1", "STO-1")
def test_missing_session_bus_is_reported(
    kept: CredentialStore, monkeypatch: pytest.MonkeyPatch, profile: Profile
) -> None:
    """FAULT-1."""
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")

    with raises_code(StoreUnavailable, "no-keychain") as caught:
        kept.probe()
    assert "D-Bus session" in str(caught.value)
    assert 'store = "file"' in str(caught.value)
