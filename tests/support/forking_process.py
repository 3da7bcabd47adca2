"""A process that starts child processes during a renewal, or dies during it and leaves one behind.

Arguments: what to do, how, the settings of the profile ``me`` as JSON, and the directory of configuration and state.

``children``: start a renewal, and while it is paused at ``intent_written`` with the lock held, start one child that
ends at once and one that gets a credential, then a newer one. How is ``fork`` for `os.fork`, or ``multiprocessing-``
and one of its start methods. Prints a JSON line with what both got; see `Children`.

``orphan``: start a renewal, at ``intent_written`` start a child that keeps running, print its process id, and die by
SIGKILL. How is ``fork``, or ``program`` for another program with inherited files.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from freshkey import Configuration, Credential, FreshkeyError, Keeper, _failpoints
from freshkey._files.private import file_name
from waiting import PATIENCE, until


KEEPER: Keeper | None = None
"""Inherited by forked children, but not by spawned ones."""


@frozen
class Children:
    """The results of a renewal during which children were started.

    Attributes:
        first: The token that the child got at once.
        kept: Whether the lock was still held after one child had ended and while the other waited for it.
        renewed: The token that the parent got from the renewal.
        second: The newer token that the child got.
    """

    first: str
    kept: bool
    renewed: str
    second: str


def lock_file(home: Path) -> Path:
    """Return the lock file of the profile ``me``."""
    return home / "state" / "locks" / f"{file_name('me')}.lock"


def until_it_has_open(pid: int, path: Path) -> None:
    """Wait until a process has opened a file."""
    until(lambda: path in _open_files(pid), f"process {pid} to open {path}")


def _open_files(pid: int) -> set[Path]:
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(entry.readlink())
        except FileNotFoundError:
            continue
    return found


def _keeper(settings: dict[str, Any], home: Path) -> Keeper:
    return Keeper(configuration=Configuration.of({"me": settings}, state_dir=home / "state", default="me"))


def _text(credential: Credential) -> str:
    assert credential.token is not None
    return credential.token.reveal()


class _Renewal:
    """A renewal that is paused at ``intent_written`` until `go_on`."""

    def __init__(self, keeper: Keeper) -> None:
        self._go = threading.Event()
        self._result: list[Credential] = []
        there = threading.Event()

        def halt(point: str) -> None:
            if point == "intent_written":
                there.set()
                self._go.wait(PATIENCE)

        _failpoints.at = halt
        self._thread = threading.Thread(target=lambda: self._result.append(keeper.refresh()))
        self._thread.start()
        assert there.wait(PATIENCE)

    def go_on(self) -> str:
        self._go.set()
        self._thread.join(PATIENCE)
        (credential,) = self._result
        return _text(credential)


# --- children -------------------------------------------------------------------------------------------------------


def children(how: str, settings: dict[str, Any], home: Path) -> Children:
    """Do what the module's docstring says."""
    global KEEPER  # noqa: PLW0603  inherited by fork
    KEEPER = keeper = _keeper(settings, home)
    keeper.get()
    renewal = _Renewal(keeper)
    _make(how, _end_at_once)[1]()
    ours, theirs = multiprocessing.Pipe()
    pid, wait = _make(how, _interaction, theirs, settings, home)
    first = _receive(ours)
    until_it_has_open(pid, lock_file(home))
    kept = not _can_lock(lock_file(home))
    renewed = renewal.go_on()
    second = _receive(ours)
    wait()
    return Children(first, kept, renewed, second)


def _make(how: str, work: Callable[..., None], *arguments: Any) -> tuple[int, Callable[[], None]]:
    """Start a child; return its process id, and a function that waits for it."""
    if how == "fork":
        pid = os.fork()
        if pid == 0:
            work(*arguments)
            os._exit(0)
        return pid, lambda: _must_be_zero(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    context: BaseContext = multiprocessing.get_context(how.removeprefix("multiprocessing-"))
    process = context.Process(target=work, args=arguments)  # type: ignore[attr-defined]  # each context defines it
    process.start()

    def wait() -> None:
        process.join(PATIENCE)
        _must_be_zero(process.exitcode)

    return process.pid, wait


def _must_be_zero(code: int | None) -> None:
    assert code == 0, f"the child ended with {code}"


def _end_at_once() -> None:
    """Exit, which closes every inherited file."""


def _interaction(connection: Connection, settings: dict[str, Any], home: Path) -> None:
    _failpoints.at = None
    keeper = KEEPER or _keeper(settings, home)
    try:
        first = keeper.get()
        connection.send(_text(first))
        connection.send(_text(keeper.get(refused=first)))
    except FreshkeyError as error:
        connection.send(f"{type(error).__name__}: {error}")
        raise


def _receive(connection: Connection) -> str:
    assert connection.poll(PATIENCE), "the child hangs"
    return str(connection.recv())


def _can_lock(path: Path) -> bool:
    import fcntl

    with path.open("rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


# --- an orphaned child ----------------------------------------------------------------------------------------------


def orphan(how: str, settings: dict[str, Any], home: Path) -> None:
    """Do what the module's docstring says."""
    keeper = _keeper(settings, home)
    keeper.get()
    _Renewal(keeper)
    null = os.open(os.devnull, os.O_RDWR)
    if how == "program":
        pid = subprocess.Popen(["sleep", "60"], close_fds=False, stdin=null, stdout=null, stderr=null).pid
    elif (pid := os.fork()) == 0:
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        time.sleep(60)
        os._exit(0)
    sys.stdout.write(f"{pid}\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def main(what: str, how: str, settings: str, home: str) -> None:
    """Run with these arguments."""
    if what == "orphan":
        orphan(how, json.loads(settings), Path(home))
    else:
        sys.stdout.write(json.dumps(asdict(children(how, json.loads(settings), Path(home)))) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
