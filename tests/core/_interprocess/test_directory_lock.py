"""The directory lock: it marks a state directory as in use, even if lock files are deleted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import define, evolve

import fake_keychains
from freshkey._files.private import file_name
from freshkey._interprocess.directory_lock import DirectoryLock
from freshkey._interprocess.lock import ProfileLock
from freshkey._stores.keychain.store import store
from freshkey.errors import StoreBusy
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore, Snapshot
from promises import proves
from raises_code import raises_code
from scripted_items import a_record, an_intent
from second_user import SecondUser
from waiting import leaving_nothing, until


if sys.platform != "win32":
    import fcntl


SUPPORT = Path(fake_keychains.__file__).parent

WORKER = """
import sys
from pathlib import Path
from freshkey.model.profile import Profile
from freshkey._stores.keychain.store import store
from scripted_items import a_record, an_intent

profile = Profile(name=sys.argv[2], provider="x", settings=None, state_dir=Path(sys.argv[1]),
                  store_settings={"backend": "fake_keychains.DeleteThenAdd"})
kept = store(profile)
with kept.lock(5):
    kept.save(a_record(1))
    print("held", flush=True)
    sys.stdin.readline()
    kept.intend(an_intent(2))
    print("spent", flush=True)
    sys.stdin.readline()
    kept.save(a_record(2))
print("kept", flush=True)
"""


@define
class Renewing:
    """A process that holds the lock of generation 1, spends its refresh token, and saves the response."""

    process: subprocess.Popen[str]

    def spend(self) -> None:
        """Write the intent, as if the request were sent now."""
        self._proceed("spent")

    def answer(self) -> None:
        """Deliver the response, and wait until its result is saved."""
        self._proceed("kept")

    def _proceed(self, then: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.said() == then

    def said(self) -> str:
        """Return the next line of output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    (tmp_path / "keychain").mkdir()
    monkeypatch.setenv("FAKE_KEYCHAIN", str(tmp_path / "keychain"))
    settings = {"backend": "fake_keychains.DeleteThenAdd"}
    return Profile(name="me", provider="x", settings=None, state_dir=tmp_path / "state", store_settings=settings)


def holding(profile: Profile) -> Renewing:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(profile.state_dir), profile.name],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    found = Renewing(process)
    assert found.said() == "held"
    return found


@pytest.fixture
def elsewhere(profile: Profile) -> Iterator[Renewing]:
    found = holding(profile)
    found.spend()
    yield found
    found.end()


def remove_file(profile: Profile) -> None:
    lock_file(profile).unlink()


def copy_file(profile: Profile) -> None:
    """Replace the file by a copy, as restoring a backup does."""
    shutil.copy2(lock_file(profile), profile.state_dir / "copy")
    (profile.state_dir / "copy").replace(lock_file(profile))


def remove_locks(profile: Profile) -> None:
    shutil.rmtree(profile.state_dir / "locks")


def remove_everything(profile: Profile) -> None:
    shutil.rmtree(profile.state_dir)


def lock_file(profile: Profile) -> Path:
    return profile.state_dir / "locks" / f"{file_name(profile.name)}.lock"


MEDDLING = [remove_file, copy_file, remove_locks, remove_everything]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses to remove a lock file that is open")
@proves("FAULT-21", "ROT-1", "ROT-7")
@pytest.mark.parametrize("meddle", MEDDLING)
def test_token_is_not_sent_twice_if_the_lock_file_is_deleted(
    profile: Profile, elsewhere: Renewing, meddle: Callable[[Profile], None]
) -> None:
    meddle(profile)
    kept: CredentialStore = store(profile)

    for _ in range(2):  # a process that gives up must not make the new lock file look like the old one
        with raises_code(StoreBusy, "lock-file-replaced") as caught, kept.lock(0.2):
            pass
        assert str(lock_file(profile)) in str(caught.value)
    elsewhere.answer()

    with kept.lock(5):
        assert kept.load() == Snapshot(record=a_record(2))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses to remove a lock file that is open")
@proves("FAULT-21", "ROT-1")
@pytest.mark.parametrize("meddle", MEDDLING)
def test_holder_that_has_not_written_its_intent_yet_is_waited_for(
    profile: Profile, meddle: Callable[[Profile], None]
) -> None:
    """It may already have read the store, and would write over what a newcomer saves."""
    holder = holding(profile)
    meddle(profile)
    kept: CredentialStore = store(profile)

    with raises_code(StoreBusy, "lock-file-replaced"), kept.lock(0.2):
        pass
    holder.end()

    with kept.lock(5):
        assert kept.load() == Snapshot(record=a_record(1))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses to remove a lock file that is open")
@proves("FAULT-21", "ROT-7")
@pytest.mark.parametrize("meddle", MEDDLING)
def test_dead_process_is_not_waited_for_and_its_intent_is_found(
    profile: Profile, elsewhere: Renewing, meddle: Callable[[Profile], None]
) -> None:
    elsewhere.end()
    meddle(profile)
    kept: CredentialStore = store(profile)

    started = time.monotonic()
    with kept.lock(50):
        assert kept.load() == Snapshot(record=a_record(1), intent=an_intent(2))
    assert time.monotonic() - started < 40


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses to remove a lock file that is open")
@proves("FAULT-21")
def test_waiter_gets_the_lock_when_the_other_process_is_done(profile: Profile, elsewhere: Renewing) -> None:
    remove_everything(profile)
    kept: CredentialStore = store(profile)
    found: list[Snapshot] = []

    def renew() -> None:
        with kept.lock(30):
            found.append(kept.load())

    waiter = threading.Thread(target=renew)
    waiter.start()
    until(lock_file(profile).exists, "the new lock file")
    assert not found
    elsewhere.answer()
    waiter.join(30)

    assert found == [Snapshot(record=a_record(2))]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses to remove a lock file that is open")
def test_profile_with_nothing_stored_does_not_wait_for_other_profiles(profile: Profile, elsewhere: Renewing) -> None:
    remove_everything(profile)
    other: CredentialStore = store(evolve(profile, name="you"))

    with other.lock(0.2):
        assert other.load() == Snapshot()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses to remove a lock file that is open")
@proves("FAULT-21", "ROT-1")
def test_intent_is_refused_if_the_lock_file_is_deleted_while_it_is_written(profile: Profile) -> None:
    """A process that locks the new file may have read the store before the intent was there."""
    kept: CredentialStore = store(profile)
    with kept.lock(1):
        kept.save(a_record(1))
        write = fake_keychains.DeleteThenAdd.set_password

        def write_and_remove_lock_file(
            backend: fake_keychains.DeleteThenAdd, service: str, username: str, password: str
        ) -> None:
            write(backend, service, username, password)
            lock_file(profile).unlink(missing_ok=True)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fake_keychains.DeleteThenAdd, "set_password", write_and_remove_lock_file)
            with raises_code(StoreBusy, "lock-file-replaced"):
                kept.intend(an_intent(2))

    # Nothing was sent; the intent left behind only makes the next renewal more careful.
    assert kept.load().intent == an_intent(2)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock, and needs no marker")
def test_two_holders_are_not_alone(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    one, other = DirectoryLock(tmp_path / "state"), DirectoryLock(tmp_path / "state")
    assert not one.wait_until_alone(0.05)

    other.leave()
    assert one.wait_until_alone(0)
    # The check excludes no one, and the marker is still set afterwards.
    third = DirectoryLock(tmp_path / "state")
    assert not third.wait_until_alone(0.05)
    one.leave()
    third.leave()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock, and needs no marker")
def test_exclusive_lock_of_a_foreign_program_does_not_block_forever(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        started = time.monotonic()
        directory_lock = DirectoryLock(tmp_path / "state")
        assert time.monotonic() - started < 20
        assert not directory_lock.wait_until_alone(0.05)
    finally:
        os.close(descriptor)
    assert directory_lock.wait_until_alone(5)
    directory_lock.leave()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock, and needs no marker")
def test_file_system_without_directory_locks_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    directory_lock = DirectoryLock(tmp_path)
    assert directory_lock.wait_until_alone(0)
    directory_lock.leave()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock, and needs no marker")
def test_one_lockable_directory_of_the_two_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    flock = fcntl.flock

    for unlockable in (tmp_path, tmp_path / "state"):
        inode = unlockable.stat().st_ino

        def partly(descriptor: int, operation: int, inode: int = inode) -> None:
            if os.fstat(descriptor).st_ino == inode:
                raise OSError(95, "Operation not supported")
            flock(descriptor, operation)

        monkeypatch.setattr(fcntl, "flock", partly)
        one, other = DirectoryLock(tmp_path / "state"), DirectoryLock(tmp_path / "state")
        assert not one.wait_until_alone(0.05)
        other.leave()
        assert one.wait_until_alone(0)
        one.leave()


def test_inherited_descriptor_copies_do_not_keep_the_marker(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    one, other = DirectoryLock(tmp_path / "state"), DirectoryLock(tmp_path / "state")
    copies = [os.dup(descriptor) for descriptor in other._descriptors]
    other.leave()
    try:
        assert one.wait_until_alone(0)
    finally:
        for descriptor in copies:
            os.close(descriptor)
        one.leave()


def test_no_directory_is_opened_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with leaving_nothing():
        monkeypatch.setattr(sys, "platform", "win32")
        directory_lock = DirectoryLock(tmp_path)
        monkeypatch.undo()

    assert directory_lock.wait_until_alone(0)
    directory_lock.leave()


# --- other users --------------------------------------------------------------------------------------------------

LOCK_ALL = """
def try_to_lock(path):
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        print("locked", path, flush=True)
    except OSError:
        pass

for top, folders, files in os.walk(sys.argv[1]):
    for path in [top, *(os.path.join(top, name) for name in files)]:
        try_to_lock(path)
print("done", flush=True)
sys.stdin.readline()
"""


@proves("TRU-9")
def test_lock_of_another_user_on_a_readable_folder_delays_nothing(
    second_user: SecondUser, open_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = open_tmp_path / "state"
    ProfileLock(state, "me").acquire(5)()  # makes all files that can be locked
    pauses: list[float] = []
    with second_user.start(LOCK_ALL, open_tmp_path) as attack:
        assert attack.stdin is not None
        assert attack.stdout is not None
        locked = list(iter(attack.stdout.readline, "done\n"))
        assert locked == [f"locked {open_tmp_path}\n"]
        monkeypatch.setattr(time, "sleep", pauses.append)

        release = (lock := ProfileLock(state, "other")).acquire(5)
        lock.outwait(lambda: True, 0.1)
        release()

        attack.communicate("\n")
    assert pauses == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses to remove a lock file that is open")
@proves("FAULT-21", "ROT-1", "TRU-9")
@pytest.mark.parametrize("meddle", MEDDLING)
def test_holder_of_a_deleted_lock_is_waited_for_below_a_readable_folder(
    profile: Profile, open_tmp_path: Path, meddle: Callable[[Profile], None]
) -> None:
    profile = evolve(profile, state_dir=open_tmp_path / "state")
    holder = holding(profile)
    try:
        meddle(profile)
        with raises_code(StoreBusy, "lock-file-replaced"), store(profile).lock(0.2):
            pass
    finally:
        holder.end()

    with store(profile).lock(5):
        pass


@proves("TRU-9")
def test_file_of_another_user_is_not_locked(second_user: SecondUser, open_tmp_path: Path) -> None:
    """She made it first, in a folder such as /tmp, and holds its lock."""
    open_tmp_path.chmod(0o1777)
    code = """
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o666)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.readline()
"""
    with second_user.start(code, open_tmp_path / ".state.freshkey.lock") as attack:
        assert attack.stdout is not None
        assert attack.stdout.readline() == "locked\n"
        release = (lock := ProfileLock(open_tmp_path / "state", "me")).acquire(5)
        lock.outwait(lambda: True, 0)
        release()
        attack.communicate("\n")
