"""The profile lock, with real processes that die, stop, fork and tamper with the file."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from freshkey._files.private import file_name
from freshkey._interprocess.lock import ProfileLock, ThreadLock
from freshkey._stores.encrypted_file.store import store as file_store
from freshkey.errors import StoreBusy, StoreUnavailable
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore, Snapshot
from promises import proves
from raises_code import raises_code
from scripted_items import a_record, an_intent
from waiting import leaving_nothing, until


HOLDER = """
import sys
from pathlib import Path
from freshkey._interprocess.lock import ProfileLock

release = ProfileLock(Path(sys.argv[1]), "me").acquire(10)
print("held", flush=True)
for line in sys.stdin:
    release()
    print("released", flush=True)
"""


class Holder:
    """A process that holds the lock until `release` is called or it dies."""

    def __init__(self, state: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._line() == "held"

    @property
    def pid(self) -> int:
        return self.process.pid

    def release(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self._line() == "released"

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def lock(state: Path) -> ProfileLock:
    return ProfileLock(state, "me")


@pytest.fixture
def holder(state: Path) -> Iterator[Holder]:
    found = Holder(state)
    yield found
    found.process.kill()
    found.process.communicate()


def in_thread(action: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread


def test_waiting_for_another_process_times_out_and_names_it(lock: ProfileLock, holder: Holder) -> None:
    """ROT-1, ROT-9."""
    started = time.monotonic()

    with raises_code(StoreBusy, "store-busy") as caught:
        lock.acquire(0.2)

    assert f"process {holder.pid} " in str(caught.value)
    assert "0.2 s" in str(caught.value)
    assert 0.2 <= time.monotonic() - started < 20
    holder.release()
    lock.acquire(0)()


def test_waiter_gets_the_lock_when_the_holder_is_killed(lock: ProfileLock, holder: Holder) -> None:
    """FAULT-20."""
    got: list[float] = []

    def wait() -> None:
        lock.acquire(20)()
        got.append(time.monotonic())

    waiter = in_thread(wait)
    time.sleep(0.1)

    killed = time.monotonic()
    holder.process.kill()
    waiter.join(20)

    assert got[0] - killed < 10  # about 20 ms, more on a loaded machine


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not stop processes")
def test_stopped_holder_keeps_the_lock_and_can_release_it_later(lock: ProfileLock, holder: Holder) -> None:
    """FAULT-19."""
    os.kill(holder.pid, signal.SIGSTOP)
    with raises_code(StoreBusy, "store-busy") as caught:
        lock.acquire(0.1)
    assert f"process {holder.pid} " in str(caught.value)

    os.kill(holder.pid, signal.SIGCONT)
    holder.release()
    lock.acquire(5)()


def test_lock_excludes_threads_of_the_same_process(lock: ProfileLock, state: Path) -> None:
    """ROT-1."""
    release = lock.acquire(0)

    with raises_code(StoreBusy, "store-busy") as caught:
        ProfileLock(state, "me").acquire(0.05)
    assert f"another thread of this process ({os.getpid()})" in str(caught.value)

    in_thread(release).join(5)
    ProfileLock(state, "me").acquire(0)()


def test_threads_hold_the_lock_one_at_a_time(lock: ProfileLock) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        release = lock.acquire(30)
        inside.append(1)
        time.sleep(0.002)
        most.append(len(inside))
        inside.pop()
        release()

    threads = [in_thread(work) for _ in range(20)]
    for thread in threads:
        thread.join(30)

    assert most == [1] * 20


def test_profiles_have_separate_locks(lock: ProfileLock, state: Path) -> None:
    release = lock.acquire(0)
    ProfileLock(state, "you").acquire(0)()
    release()


def test_lock_file_is_private_contains_the_pid_and_is_not_deleted(lock: ProfileLock) -> None:
    lock.acquire(0)()

    if sys.platform != "win32":
        assert lock.path.stat().st_mode & 0o777 == 0o600
        assert lock.path.parent.stat().st_mode & 0o777 == 0o700
    assert lock.path.read_text("ascii").strip("\0 ") == str(os.getpid())


def test_lock_file_records_its_inode_once_no_predecessor_can_be_held(lock: ProfileLock, tmp_path: Path) -> None:
    release = lock.acquire(0)
    lock.outwait(lambda: False, 0)
    release()
    assert lock.path.read_text("ascii").strip("\0 ") == f"{os.getpid()} {lock.path.stat().st_ino}"

    asked: list[str] = []
    for name in ("the same file", "a copy of it"):
        release = lock.acquire(0)
        lock.outwait(lambda name=name: bool(asked.append(name)), 0)  # type: ignore[func-returns-value,misc]
        release()
        (tmp_path / "copy").write_bytes(lock.path.read_bytes())
        (tmp_path / "copy").replace(lock.path)
        lock.path.chmod(0o600)
    assert asked == ["a copy of it"]


@proves("FAULT-52", "ROT-12")
@pytest.mark.skipif(sys.platform != "linux", reason="Linux lists the descriptors of a process")
def test_lock_timeout_leaks_no_descriptor(lock: ProfileLock, holder: Holder) -> None:
    with leaving_nothing():
        for _ in range(20):
            with raises_code(StoreBusy, "store-busy") as caught:
                lock.acquire(0)
            assert f"process {holder.pid} " in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Wine 8 makes no symbolic links")
@proves("FAULT-21", "ROT-1")
def test_lock_file_that_is_a_symbolic_link_is_refused(lock: ProfileLock, tmp_path: Path) -> None:
    """FAULT-21; the target of the link is unchanged."""
    lock.acquire(0)()
    lock.path.unlink()
    (tmp_path / "target").write_text("precious")
    lock.path.symlink_to(tmp_path / "target")

    with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
        lock.acquire(0)
    assert f"{lock.path} is a symbolic link" in str(caught.value)
    assert (tmp_path / "target").read_text() == "precious"

    lock.path.unlink()
    lock.acquire(0)()


def test_lock_file_with_two_hard_links_is_refused_and_unchanged(lock: ProfileLock, tmp_path: Path) -> None:
    lock.acquire(0)()
    lock.path.unlink()
    (tmp_path / "target").write_text("precious")
    lock.path.hardlink_to(tmp_path / "target")

    with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
        lock.acquire(0)
    assert "hard link" in str(caught.value)
    assert (tmp_path / "target").read_text() == "precious"


@proves("FAULT-21")
def test_directory_instead_of_the_lock_file_is_refused(lock: ProfileLock) -> None:
    """FAULT-21."""
    lock.path.mkdir(parents=True, mode=0o700)
    lock.path.parent.chmod(0o700)
    lock.path.parent.parent.chmod(0o700)

    with raises_code(StoreUnavailable, "store-unavailable") as caught:
        lock.acquire(0)
    assert os.strerror(errno.EISDIR) in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses to remove a lock file that is open")
@proves("FAULT-21", "ROT-12")
@pytest.mark.parametrize("meddle", ["remove", "replace", "link"])
def test_waiter_notices_that_the_lock_file_was_replaced(
    lock: ProfileLock, holder: Holder, tmp_path: Path, meddle: str
) -> None:
    """FAULT-21: deleted, replaced or turned into a link while another process waits."""
    outcome: list[object] = []

    def wait() -> None:
        try:
            outcome.append(lock.acquire(20))
        except StoreUnavailable as error:
            outcome.append(error)

    waiter = in_thread(wait)
    inode = lock.path.stat().st_ino
    until(lambda: lock.path in open_files())
    lock.path.rename(tmp_path / "moved")
    if meddle == "replace":
        lock.path.write_bytes(b"")
        lock.path.chmod(0o600)
    elif meddle == "link":
        lock.path.symlink_to(tmp_path / "moved")
    holder.release()
    waiter.join(20)

    if meddle == "link":
        assert getattr(outcome[0], "code", None) == "unsafe-store-path"
    else:
        assert callable(outcome[0])
        assert lock.path.stat().st_ino != inode
        with pytest.raises(StoreBusy):
            ProfileLock(lock.path.parent.parent, "me").acquire(0.05)
        outcome[0]()


def open_files() -> list[Path]:
    return [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]


def test_acquire_release_and_timeout_leave_no_descriptor(lock: ProfileLock, holder: Holder) -> None:
    with leaving_nothing():
        for _ in range(5):
            with pytest.raises(StoreBusy):
                lock.acquire(0)
        holder.release()
        for _ in range(5):
            lock.acquire(0)()


def test_releasing_twice_is_harmless(lock: ProfileLock, state: Path) -> None:
    release = lock.acquire(0)
    release()
    again = lock.acquire(0)
    release()

    with pytest.raises(StoreBusy):
        ProfileLock(state, "me").acquire(0.05)
    again()


@proves("FAULT-23", "ROT-11")
def test_child_program_does_not_inherit_the_lock(lock: ProfileLock) -> None:
    """FAULT-23."""
    release = lock.acquire(0)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False)
    release()
    try:
        lock.acquire(0)()
    finally:
        child.kill()
        child.wait()


@pytest.mark.skipif(sys.platform != "win32", reason="other systems remove open files, see `DirectoryLock`")
def test_lock_file_cannot_be_removed_or_replaced_while_it_is_held(
    lock: ProfileLock, holder: Holder, tmp_path: Path
) -> None:
    """So nothing but the file itself must tell who has the lock."""
    (tmp_path / "other").write_bytes(b"")
    with pytest.raises(PermissionError):
        lock.path.unlink()
    with pytest.raises(PermissionError):
        (tmp_path / "other").replace(lock.path)
    with pytest.raises(PermissionError):
        lock.path.rename(tmp_path / "moved")
    with raises_code(StoreBusy, "store-busy"):
        lock.acquire(0)
    holder.release()
    lock.acquire(0)()


FORK = """
import os, sys, time, warnings
from pathlib import Path
from freshkey.errors import StoreBusy
from freshkey._interprocess.lock import ProfileLock

warnings.simplefilter("ignore", DeprecationWarning)
lock = ProfileLock(Path(sys.argv[1]), "me")
release = lock.acquire(0)
path = str(lock.path)

def opened():
    return [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]

read, write = os.pipe()
child = os.fork()
if child == 0:
    assert path not in opened(), "the child kept the descriptor"
    assert sys.argv[1] not in opened(), "the child kept its parent's directory lock"
    release()
    try:
        ProfileLock(Path(sys.argv[1]), "me").acquire(0.05)
    except StoreBusy as error:
        assert f"process {os.getppid()}" in str(error), error
    else:
        sys.exit("the child released the parent's lock")
    os.write(write, b"x")
    ProfileLock(Path(sys.argv[1]), "me").acquire(20)()
    os._exit(0)
os.read(read, 1)
try:
    ProfileLock(Path(sys.argv[1]), "me").acquire(0)
except StoreBusy:
    pass
else:
    sys.exit("the parent lost its lock")
release()
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@proves("FAULT-22", "ROT-11")
def test_forked_child_closes_without_unlocking_and_waits_for_the_lock(state: Path) -> None:
    """ROT-11, FAULT-22, FAULT-23."""
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(state)], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


COUNT = """
import sys
from pathlib import Path
from freshkey._interprocess.lock import ProfileLock

counter = Path(sys.argv[1]) / "counter"
lock = ProfileLock(Path(sys.argv[1]) / "state", "me")
for _ in range(25):
    release = lock.acquire(60)
    counter.write_text(str(int(counter.read_text()) + 1))
    release()
"""


def test_processes_that_increment_a_counter_under_the_lock_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path)]) for _ in range(4)]

    assert [process.wait(100) for process in processes] == [0] * 4
    assert (tmp_path / "counter").read_text() == "100"


def test_file_system_without_locks_is_reported(lock: ProfileLock, monkeypatch: pytest.MonkeyPatch) -> None:
    import filelock

    def no_locks(descriptor: int, *, blocking: bool) -> bool:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(filelock, "lock_descriptor", no_locks)
    with raises_code(StoreUnavailable, "locks-not-supported") as caught:
        lock.acquire(1)
    assert os.strerror(95) in str(caught.value)


def test_thread_locks_with_different_keys_are_independent() -> None:
    release = ThreadLock("test/one").acquire(0)
    ThreadLock("test/two").acquire(0)()
    with pytest.raises(StoreBusy):
        ThreadLock("test/one").acquire(-1)
    release()
    ThreadLock("test/one").acquire(0)()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses to remove a lock file that is open")
@proves("FAULT-21", "ROT-1")
@pytest.mark.parametrize("meddle", ["remove", "replace"])
def test_intent_is_refused_if_the_held_lock_file_was_replaced(profile: Profile, meddle: str) -> None:
    """FAULT-21, while this process holds the lock."""
    kept: CredentialStore = file_store(profile)
    lock = profile.state_dir / "locks" / f"{file_name('me')}.lock"
    kept.save(a_record(1))
    with kept.lock(1):
        kept.intend(an_intent(2))
        kept.withdraw(an_intent(2))
        lock.rename(lock.with_suffix(".moved"))
        if meddle == "replace":
            lock.touch(mode=0o600)
        with raises_code(StoreBusy, "lock-file-replaced") as caught:
            kept.intend(an_intent(2))
        assert str(lock) in str(caught.value)
        # A credential that was obtained before is saved anyway.
        kept.save(a_record(2))

    with kept.lock(1):
        kept.intend(an_intent(3))
    assert kept.load() == Snapshot(record=a_record(2), intent=an_intent(3))


def test_confirm_does_nothing_if_the_lock_is_not_held(lock: ProfileLock) -> None:
    lock.confirm()
    lock.acquire(0)()
    lock.path.unlink()

    lock.confirm()
