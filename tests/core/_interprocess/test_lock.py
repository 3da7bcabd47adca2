"""The profile's lock, against real processes that die, stop, fork and meddle with the file."""

from __future__ import annotations

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
from matrix import row
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
    """A process that holds the lock until it is told to release it, or dies."""

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


def test_another_process_is_kept_out_for_a_bounded_time_and_told_by_whom(lock: ProfileLock, holder: Holder) -> None:
    """ROT-1, ROT-9."""
    started = time.monotonic()

    with pytest.raises(StoreBusy, match=rf"process {holder.pid} did not finish .* within 0\.2 s"):
        lock.acquire(0.2)

    assert 0.2 <= time.monotonic() - started < 20
    holder.release()
    lock.acquire(0)()


def test_a_waiter_proceeds_at_once_when_the_holder_is_killed(lock: ProfileLock, holder: Holder) -> None:
    """Row 20."""
    got: list[float] = []

    def wait() -> None:
        lock.acquire(20)()
        got.append(time.monotonic())

    waiter = in_thread(wait)
    time.sleep(0.1)

    killed = time.monotonic()
    holder.process.kill()
    waiter.join(20)

    assert got[0] - killed < 10  # some 20 ms; a loaded machine gets more


def test_a_stopped_holder_keeps_the_lock_and_gets_to_release_it(lock: ProfileLock, holder: Holder) -> None:
    """Row 19."""
    os.kill(holder.pid, signal.SIGSTOP)
    with pytest.raises(StoreBusy, match=f"process {holder.pid}"):
        lock.acquire(0.1)

    os.kill(holder.pid, signal.SIGCONT)
    holder.release()
    lock.acquire(5)()


def test_a_thread_of_the_same_process_is_kept_out_too(lock: ProfileLock, state: Path) -> None:
    """ROT-1."""
    release = lock.acquire(0)

    with pytest.raises(StoreBusy, match=f"another thread of this process .{os.getpid()}"):
        ProfileLock(state, "me").acquire(0.05)

    in_thread(release).join(5)
    ProfileLock(state, "me").acquire(0)()


def test_many_threads_get_it_one_after_the_other(lock: ProfileLock) -> None:
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


def test_profiles_do_not_wait_for_each_other(lock: ProfileLock, state: Path) -> None:
    release = lock.acquire(0)
    ProfileLock(state, "you").acquire(0)()
    release()


def test_the_file_is_private_holds_the_pid_and_stays(lock: ProfileLock) -> None:
    lock.acquire(0)()

    assert lock.path.stat().st_mode & 0o777 == 0o600
    assert lock.path.parent.stat().st_mode & 0o777 == 0o700
    assert lock.path.read_text("ascii").strip("\0 ") == str(os.getpid())


def test_the_file_names_its_inode_once_nobody_can_hold_an_older_one(lock: ProfileLock, tmp_path: Path) -> None:
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


@row(52, "ROT-12")
@pytest.mark.skipif(sys.platform != "linux", reason="Linux lists the descriptors of a process")
def test_waiting_in_vain_costs_no_descriptor(lock: ProfileLock, holder: Holder) -> None:
    with leaving_nothing():
        for _ in range(20):
            with pytest.raises(StoreBusy, match=f"process {holder.pid} "):
                lock.acquire(0)


@row(21, "ROT-1")
def test_a_lock_file_that_is_a_link_is_refused_and_its_target_untouched(lock: ProfileLock, tmp_path: Path) -> None:
    """Row 21."""
    lock.acquire(0)()
    lock.path.unlink()
    (tmp_path / "target").write_text("precious")
    lock.path.symlink_to(tmp_path / "target")

    with pytest.raises(StoreUnavailable, match="symbolic link"):
        lock.acquire(0)
    assert (tmp_path / "target").read_text() == "precious"

    lock.path.unlink()
    lock.acquire(0)()


def test_a_lock_file_with_a_second_name_is_refused_and_untouched(lock: ProfileLock, tmp_path: Path) -> None:
    lock.acquire(0)()
    lock.path.unlink()
    (tmp_path / "target").write_text("precious")
    lock.path.hardlink_to(tmp_path / "target")

    with pytest.raises(StoreUnavailable, match="second name"):
        lock.acquire(0)
    assert (tmp_path / "target").read_text() == "precious"


@row(21)
def test_a_directory_in_the_place_of_the_lock_file_is_refused(lock: ProfileLock) -> None:
    """Row 21."""
    lock.path.mkdir(parents=True, mode=0o700)
    lock.path.parent.chmod(0o700)
    lock.path.parent.parent.chmod(0o700)

    with pytest.raises(StoreUnavailable, match="Is a directory"):
        lock.acquire(0)


@row(21, "ROT-12")
@pytest.mark.parametrize("meddle", ["remove", "replace", "link"])
def test_a_waiter_never_keeps_the_lock_of_a_file_that_nobody_else_sees(
    lock: ProfileLock, holder: Holder, tmp_path: Path, meddle: str
) -> None:
    """Row 21: removed, replaced or linked away while somebody waits."""
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
        assert "symbolic link" in str(outcome[0])
    else:
        assert callable(outcome[0])
        assert lock.path.stat().st_ino != inode
        with pytest.raises(StoreBusy):
            ProfileLock(lock.path.parent.parent, "me").acquire(0.05)
        outcome[0]()


def open_files() -> list[Path]:
    return [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]


def test_no_descriptor_is_left_by_waiting_failing_or_releasing(lock: ProfileLock, holder: Holder) -> None:
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


@row(23, "ROT-11")
def test_a_child_program_does_not_inherit_the_lock(lock: ProfileLock) -> None:
    """Row 23."""
    release = lock.acquire(0)
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    release()
    try:
        lock.acquire(0)()
    finally:
        child.kill()
        child.wait()


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
    assert sys.argv[1] not in opened(), "the child kept its parent's sign"
    release()
    try:
        ProfileLock(Path(sys.argv[1]), "me").acquire(0.05)
    except StoreBusy as error:
        assert f"process {os.getppid()}" in str(error), error
    else:
        sys.exit("the child freed the parent's lock")
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


@row(22, "ROT-11")
def test_a_forked_child_closes_and_never_unlocks_and_waits_like_everybody_else(state: Path) -> None:
    """ROT-11, rows 22 and 23."""
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


def test_processes_that_read_and_write_under_the_lock_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, str(tmp_path)]) for _ in range(4)]

    assert [process.wait(100) for process in processes] == [0] * 4
    assert (tmp_path / "counter").read_text() == "100"


def test_a_file_system_without_locks_is_explained(lock: ProfileLock, monkeypatch: pytest.MonkeyPatch) -> None:
    import filelock

    def no_locks(descriptor: int, *, blocking: bool) -> bool:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(filelock, "lock_descriptor", no_locks)
    with pytest.raises(StoreUnavailable, match=r"has no locks .Operation not supported.*local disk"):
        lock.acquire(1)


def test_a_thread_lock_is_known_by_its_key() -> None:
    release = ThreadLock("test/one").acquire(0)
    ThreadLock("test/two").acquire(0)()
    with pytest.raises(StoreBusy):
        ThreadLock("test/one").acquire(-1)
    release()
    ThreadLock("test/one").acquire(0)()


@row(21, "ROT-1")
@pytest.mark.parametrize("meddle", ["remove", "replace"])
def test_a_holder_whose_lock_file_is_gone_finds_out_before_it_spends_anything(profile: Profile, meddle: str) -> None:
    """Row 21, while somebody holds it."""
    kept: CredentialStore = file_store(profile)
    lock = profile.state_dir / "locks" / f"{file_name('me')}.lock"
    kept.save(a_record(1))
    with kept.lock(1):
        kept.intend(an_intent(2))
        kept.withdraw(an_intent(2))
        lock.rename(lock.with_suffix(".moved"))
        if meddle == "replace":
            lock.touch(mode=0o600)
        with pytest.raises(StoreBusy, match="removed or replaced"):
            kept.intend(an_intent(2))
        # What was obtained before is kept all the same.
        kept.save(a_record(2))

    with kept.lock(1):
        kept.intend(an_intent(3))
    assert kept.load() == Snapshot(record=a_record(2), intent=an_intent(3))


def test_a_lock_that_is_not_held_has_nothing_to_confirm(lock: ProfileLock) -> None:
    lock.confirm()
    lock.acquire(0)()
    lock.path.unlink()

    lock.confirm()
