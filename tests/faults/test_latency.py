"""A caller with a valid credential does exactly the same in trouble as without trouble, and none of it blocks.

Times depend on the machine, so the tests compare what callers do: every function that Python calls on their thread.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import pytest
from attrs import evolve, frozen

from counterparts.keychain import Keychain
from crashing_process import Forge, until_halted
from disks import filled, small_disk
from freshkey import Configuration, Keeper
from freshkey._interprocess import lock
from freshkey._renewal.single_flight import SharedFuture
from freshkey._stores.keychain import store as keychain_store
from freshkey._stores.keychain.worker import SerialWorker
from freshkey.clock import SYSTEM, Moment
from freshkey.model.credential import Credential
from freshkey_testing import AuthorizationServer, ScriptedUser
from freshkey_testing.browser import follow
from freshkey_testing.deadline import frames_of_threads
from promises import proves
from waiting import end_renewals, until


# --- recording calls --------------------------------------------------------------------------------------------------

OPAQUE = ("Thread.__init__", "Thread.start", "Watched.__enter__", "Watched.__exit__")
"""Functions whose calls are not recorded: starting a thread includes waiting until the system has started it."""

BLOCKING = ("_io.", "io.", "_socket.", "select.", "_ssl.", "_queue.", "time.sleep") + (
    ("nt.", "msvcrt.", "_winapi.", "_overlapped.") if sys.platform == "win32" else ("posix.", "fcntl.")
)
"""Modules written in C whose functions may wait for something outside this thread."""


class Steps:
    """Records each function that is called on this thread; a context manager."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._inside = 0

    def __enter__(self) -> Self:
        gc.disable()  # otherwise unrelated finalizers could run on this thread
        sys.setprofile(self._note)
        return self

    def __exit__(self, *exc: object) -> None:
        sys.setprofile(None)
        gc.enable()
        del self.names[-2:]  # this function and sys.setprofile

    @property
    def blocking(self) -> list[str]:
        """The recorded functions that may block."""
        return [name for name in self.names if name.startswith(BLOCKING) or name.endswith(".acquire")]

    def _note(self, frame: FrameType, event: str, function: Any) -> None:
        if event == "return":
            self._inside = max(0, self._inside - 1)
        elif event == "call" and self._inside:
            self._inside += 1
        elif event == "call":
            name = frame.f_code.co_qualname
            self.names.append(name)
            self._inside = int(name in OPAQUE)
        elif event == "c_call" and not self._inside:
            self.names.append(f"{function.__module__ or type(function.__self__).__module__}.{function.__qualname__}")


class Watched:
    """A lock that the thread that created this object must never wait for.

    Args:
        lock: The real lock.
    """

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._caller = threading.get_ident()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=threading.get_ident() != self._caller):
            raise AssertionError("a caller with a valid credential waits for a lock")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


def asking(keeper: Keeper) -> None:
    keeper.get("me")


def authorizing(keeper: Keeper) -> None:
    keeper.headers("me", "GET", "https://api.example.com/")


def awaiting(keeper: Keeper) -> None:
    """Run one step of `aget`; with a valid credential it must be the only one."""
    try:
        keeper.aget("me").send(None)
    except StopIteration:
        return
    raise AssertionError("a caller with a valid credential waits")


Ask = Callable[[Keeper], None]
ASKS = (asking, authorizing, awaiting)


def steps(keeper: Keeper, interaction: Ask) -> Steps:
    with Steps() as noted:
        interaction(keeper)
    return noted


def test_blocking_calls_are_recorded(tmp_path: Path) -> None:
    """Otherwise the tests below would pass no matter what callers do."""
    path = tmp_path / "file"
    lock = threading.Lock()
    with Steps() as noted:
        path.touch()
        threading.Event().wait(0.001)
        lock.acquire()
    assert {f"{os.name}.open", "_thread.lock.acquire"} <= set(noted.blocking)
    assert noted.names.count("Event.wait") == 1
    watched = Watched(lock)
    with pytest.raises(AssertionError), watched:
        pass


# --- machines in trouble ----------------------------------------------------------------------------------------------


class Ahead:
    """The clocks of this machine, set ahead; waiting takes no time, but moves them further ahead."""

    def __init__(self) -> None:
        self.by = 0.0

    def elapsed(self) -> float:
        return SYSTEM.elapsed() + self.by

    def now(self) -> Moment:
        moment = SYSTEM.now()
        return evolve(moment, wall=moment.wall + self.by, elapsed=moment.elapsed + self.by)

    def wait(self, event: threading.Event, timeout: float) -> bool:
        self.by += timeout
        return event.is_set()


@frozen
class Machine:
    """A signed-in user's machine: a server, a state directory and possibly a keychain."""

    server: AuthorizationServer
    home: Path
    store: str
    keychain: Keychain | None
    clock: Ahead

    @property
    def settings(self) -> dict[str, Any]:
        return {**self.server.settings(), "provider": "claude_oauth", "store": self.store}

    @contextmanager
    def keeper(self) -> Iterator[Keeper]:
        """Yield a keeper that holds the credential. Its timer does not run, so that only callers start renewals."""
        configuration = Configuration.of(
            {"me": self.settings},
            state_dir=self.home / "state",
            default="me",
            stores={"keyring": {"timeout": 60.0}} if self.store == "keyring" else {},
        )
        self.clock.by = 0.0
        with Keeper(configuration=configuration) as keeper:
            keeper.login(interaction=ScriptedUser(browser=follow, confirm=True))
        with Keeper(configuration=configuration, clock=self.clock, random=lambda: 0.0) as keeper:
            keeper._scheduler.wake = lambda: None  # type: ignore[method-assign]
            keeper.get("me")
            until(lambda: future(keeper) is None, "rest")
            managed = keeper._open_profile("me")
            real = keeper._profiles._mutex, managed._mutex
            keeper._profiles._mutex, managed._mutex = map(Watched, real)  # type: ignore[assignment]
            yield keeper
            # Closing may wait for the renewal, which holds them now and then.
            keeper._profiles._mutex, managed._mutex = real


def future(keeper: Keeper) -> SharedFuture[Credential] | None:
    """Return the renewal in progress, or None."""
    return keeper._open_profile("me")._future


@contextmanager
def slow_answer(machine: Machine) -> Iterator[None]:
    """No trouble, for the control run: the response takes a while, as usual."""
    machine.server.hold()
    yield
    machine.server.release()


@contextmanager
def halted_holder(machine: Machine) -> Iterator[None]:
    with Forge(machine.settings, machine.home) as forge:
        until_halted(forge.begin("refresh", at="lock_held", act="SIGSTOP"))
        yield


@contextmanager
def halted_keychain(machine: Machine) -> Iterator[None]:
    assert machine.keychain is not None
    machine.keychain.stop()
    yield
    machine.keychain.cont()


@contextmanager
def full_disk(machine: Machine) -> Iterator[None]:
    with filled(machine.home):
        yield


@contextmanager
def dead_server(machine: Machine) -> Iterator[None]:
    machine.server.__exit__(None, None, None)
    yield


@frozen
class Trouble:
    """A kind of trouble.

    Attributes:
        cause: Causes the trouble for the duration of the context.
        wait: Waits until a renewal hangs or has failed.
        hangs: Whether the renewal hangs.
    """

    cause: Callable[[Machine], AbstractContextManager[None]]
    wait: Callable[[Machine, Keeper], object]
    hangs: bool = True


def wait_for_the_lock(machine: Machine, keeper: Keeper) -> None:
    until(lambda: any(map(waits_for_a_lock, frames_of_threads().values())), "a thread to wait for the lock")


def waits_for_a_lock(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is lock._wait_for.__code__:
            return True
        frame = frame.f_back
    return False


def wait_for_the_keychain(machine: Machine, keeper: Keeper) -> None:
    until(lambda: keychain_store.WORKER._call is not None, "a call to the keychain")


def wait_for_the_server(machine: Machine, keeper: Keeper) -> None:
    machine.server.wait_until_held()


def wait_for_the_failure(machine: Machine, keeper: Keeper) -> None:
    end_renewals()  # not only its future: its thread may still hold the mutex for a moment
    assert future(keeper) is None
    assert keeper._open_profile("me")._failure is not None


CONTROL = Trouble(slow_answer, wait_for_the_server)
TROUBLES = {
    "a halted lock holder": Trouble(halted_holder, wait_for_the_lock),
    "a halted keychain": Trouble(halted_keychain, wait_for_the_keychain),
    "a silent server": CONTROL,
    "a server that is down": Trouble(dead_server, wait_for_the_failure, hangs=False),
    "a full disk": Trouble(full_disk, wait_for_the_failure, hangs=False),
}
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="needs gnome-keyring, or to mount a disk")
MARKS: dict[object, list[pytest.MarkDecorator]] = {
    halted_keychain: [pytest.mark.counterpart, on_posix],
    full_disk: [on_posix],
}
in_every_trouble = pytest.mark.parametrize(
    "trouble",
    [pytest.param(trouble, id=name, marks=MARKS.get(trouble.cause, [])) for name, trouble in TROUBLES.items()],
)


@pytest.fixture
def machine(
    request: pytest.FixtureRequest, server: AuthorizationServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machine]:
    """A machine with everything that the test's trouble needs."""
    cause = request.getfixturevalue("trouble").cause
    keychain: Keychain | None = None
    with ExitStack() as stack:
        if cause is halted_keychain:
            keychain = stack.enter_context(Keychain())
            for name, value in keychain.variables.items():
                monkeypatch.setenv(name, value)
            monkeypatch.setattr(keychain_store, "WORKER", SerialWorker("freshkey-keychain"))
            monkeypatch.setattr(keychain_store, "_opened", {})
        if cause is full_disk:
            stack.enter_context(small_disk(tmp_path, 128))
        yield Machine(server, tmp_path, "keyring" if keychain else "file", keychain, Ahead())


# --- callers ----------------------------------------------------------------------------------------------------------

DUE = 3310.0
"""Seconds after which a credential with a lifetime of one hour is due."""

LONG_EXPIRED = 3700.0
"""Seconds after which it has long expired."""


def lived_through(machine: Machine, trouble: Trouble, interaction: Ask) -> tuple[Steps, Steps]:
    """Return the steps of the caller that starts a renewal, and those of a later caller, in that trouble."""
    with machine.keeper() as keeper:
        machine.clock.by += DUE
        with trouble.cause(machine):
            starting = steps(keeper, interaction)
            trouble.wait(machine, keeper)
            under_way = future(keeper)
            later = steps(keeper, interaction)
            assert (future(keeper) is under_way is not None) == trouble.hangs
    return starting, later


@proves("FAULT-7", "ROT-9", "STO-3")
@proves("FAULT-19", "ROT-9")
@proves("FAULT-48", "ROT-9")
@in_every_trouble
def test_caller_with_a_fresh_credential_only_looks_it_up_and_compares_the_time(
    machine: Machine, trouble: Trouble
) -> None:
    with machine.keeper() as keeper:
        usual = {interaction: steps(keeper, interaction).names for interaction in ASKS}
        with trouble.cause(machine):
            keeper._open_profile("me").get(by_user=True)
            trouble.wait(machine, keeper)
            for interaction in ASKS:
                now = steps(keeper, interaction)
                assert now.names == usual[interaction]
                assert now.blocking == []
                assert "Watched.__enter__" not in now.names
            assert (future(keeper) is not None) == trouble.hangs
    # Elsewhere, the clock is not a function that Python tells of: see `freshkey.clock`.
    clock = ["time.monotonic"] if sys.platform == "win32" else []
    assert usual[asking] == ["asking", "Keeper.get", "builtins.dict.get", "Ahead.elapsed", *clock]


@proves("FAULT-7", "ROT-9", "STO-3")
@proves("FAULT-19", "ROT-9")
@proves("FAULT-48", "ROT-9")
@in_every_trouble
@pytest.mark.parametrize("interaction", ASKS)
def test_caller_whose_credential_is_due_does_the_same_in_trouble_as_without(
    machine: Machine, trouble: Trouble, interaction: Ask
) -> None:
    with machine.keeper() as keeper:
        fresh = steps(keeper, interaction)
    usual_start, usual_later = lived_through(machine, CONTROL, interaction)

    starting, later = lived_through(machine, trouble, interaction)

    assert starting.names == usual_start.names
    assert starting.names.count("Thread.start") == 1
    assert later.names == (usual_later if trouble.hangs else fresh).names
    assert starting.blocking == later.blocking == []


@proves("FAULT-7", "ROT-9")
@proves("FAULT-19", "ROT-9")
@in_every_trouble
def test_awaiting_an_expired_credential_does_not_block_the_event_loop(machine: Machine, trouble: Trouble) -> None:
    async def first_step(keeper: Keeper) -> Steps:
        awaited = keeper.aget("me")
        with Steps() as noted:
            waits_for = awaited.send(None)
        assert asyncio.isfuture(waits_for)
        awaited.close()
        return noted

    with machine.keeper() as keeper:
        machine.clock.by += LONG_EXPIRED
        with trouble.cause(machine):
            noted = asyncio.run(first_step(keeper))
            trouble.wait(machine, keeper)
    assert noted.names.count("Thread.start") == 1
    assert noted.blocking == []
