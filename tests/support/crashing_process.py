"""A process that forks one keeper per command, and causes a fault in it at a named point of a renewal.

`Forge` starts it. It is single-threaded and has imported what this module does, so a repetition does not take the
startup time of an interpreter. A warm one also imports, before the next fork, what children imported when they needed
it: that is most of what a repetition takes. Commands are JSON lines on stdin: what to do, and which fault to cause at
which point. Results are JSON lines: the child's process id, then how it ended and what it reported.

Windows cannot fork. There `Forge` gives each command to a process that already waits for one; see `warm_processes`.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPConnection
from importlib import import_module
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from attrs import frozen

from freshkey import Configuration, FreshkeyError, Keeper, _failpoints
from freshkey._http import client as http_client
from freshkey._renewal import single_flight
from freshkey._renewal.single_flight import process_is_exiting
from freshkey._stores.encrypted_file.store import FileItems
from freshkey._stores.keychain.store import KeyringItems
from freshkey_cli import main
from freshkey_testing import AuthorizationServer, ScriptedUser
from freshkey_testing.browser import follow
from waiting import PATIENCE, until
from warm_processes import HALTING, KILLED, Warm, give_back, kill, take


if sys.platform != "win32":
    import resource


@frozen
class Ended:
    """How a child ended.

    Attributes:
        signal: The signal that killed it, or 0.
        code: Its exit code, or 0.
        said: ``token`` and ``generation``, or ``error``, ``code`` and ``message``; empty if it was killed.
    """

    signal: int
    code: int
    said: dict[str, Any]


ANSWERED = ("login", "refresh", "get", "logout")
"""Commands that end with an answer."""

_reached = threading.Event()
"""Set in a child that is to exit at a point, once that point is reached."""


def works(server: AuthorizationServer, ended: Ended) -> bool:
    """Return whether the process got a token that the protected resource accepts."""
    resource = urlsplit(server.urls.resource)
    # Not httpx, which prepares TLS for each connection: that takes longer than a whole renewal.
    connection = HTTPConnection(resource.netloc, timeout=PATIENCE)
    try:
        connection.request("GET", resource.path, headers={"Authorization": f"Bearer {ended.said['token']}"})
        return connection.getresponse().status == HTTPStatus.OK
    finally:
        connection.close()


def until_halted(pid: int) -> None:
    """Wait until a process that `Forge.begin` started has been halted."""
    if sys.platform == "win32":
        return  # `begin` has waited
    stat = Path(f"/proc/{pid}/stat")
    until(lambda: stat.read_text("ascii").rpartition(")")[2].split()[0] == "T", "the process to halt")


class Forge:
    """Runs one command after the other, each in a separate process; a context manager.

    Args:
        settings: Settings of the profile ``me``.
        home: The directory with their configuration and state.
        warm: Whether processes need not import what others before them have imported. That hides what an import does
            that comes late, such as at exit.
    """

    def __init__(self, settings: dict[str, Any], home: Path, *, warm: bool = False) -> None:
        self._settings, self._home = settings, home
        self._arguments = [json.dumps(settings), str(home), *(["--warm"] if warm else [])]
        self._running: int | None = None
        self._warm: Warm | None = None

    def __enter__(self) -> Self:
        if sys.platform == "win32":
            return self
        command = [sys.executable, __file__, *self._arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._running is not None:
            # A test has failed; a halted process would never end.
            kill(self._running)
        if self._warm is not None:
            self._warm.ended()
        if sys.platform != "win32":
            self._process.communicate(timeout=20)

    def run(
        self,
        verb: str,
        *,
        at: str | None = None,
        act: str = "SIGKILL",
        patience: float | None = None,
        deadline: float | None = None,
    ) -> Ended:
        """Run one command in a new process and wait for it.

        Args:
            verb: ``login``, ``refresh``, ``get`` or ``logout``; ``command`` for ``freshkey refresh``; ``leave`` to
                start a renewal and exit at the point, ``leave-daemon`` to exit there while a daemon thread waits for
                the renewal, and ``leave-late`` to renew in an exit handler.
            at: The point of a renewal at which the fault happens.
            act: The fault: a signal's name, ``leaving`` to wait there until the interpreter is exiting, or
                ``starving`` to forbid any more open files.
            patience: Seconds to wait for the lock, instead of the default.
            deadline: Time limit of a request in seconds, instead of the default.
        """
        plain = at is None and patience is None and deadline is None and verb in ANSWERED
        if sys.platform == "win32" and plain:
            return self._asked(verb)
        self.begin(verb, at=at, act=act, patience=patience, deadline=deadline)
        return self.finish()

    def begin(
        self,
        verb: str,
        *,
        at: str | None = None,
        act: str = "SIGKILL",
        patience: float | None = None,
        deadline: float | None = None,
    ) -> int:
        """Start what `run` does, and return the process id."""
        command = {"verb": verb, "at": at, "act": act, "patience": patience, "deadline": deadline}
        if sys.platform == "win32":
            self._warm = self._ordered(command, last=True)
            self._running = self._warm.pid
            if act == "SIGSTOP":
                self._warm.until_halted()
            return self._warm.pid
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(json.dumps(command) + "\n")
        stdin.flush()
        pid: int = self._answer()["pid"]
        self._running = pid
        return pid

    def finish(self) -> Ended:
        """Wait for what `begin` started."""
        if self._warm is not None:
            said, code = self._warm.answer() or {}, self._warm.ended()
            ended = Ended(KILLED, 0, said) if code == KILLED else Ended(0, code, said)
        else:
            ended = Ended(**self._answer())
        self._running = self._warm = None
        return ended

    def _asked(self, verb: str) -> Ended:
        """Run one command in a process that serves another one afterwards."""
        warm = self._ordered({"verb": verb}, last=False)
        said = warm.answer()
        assert said is not None, "the process has ended"
        give_back(warm)
        return Ended(0, 0, said)

    def _ordered(self, command: dict[str, Any], *, last: bool) -> Warm:
        warm = take()
        warm.order({**command, "settings": self._settings, "home": str(self._home), "last": last})
        return warm

    def _answer(self) -> dict[str, Any]:
        stdout = self._process.stdout
        assert stdout is not None
        answer: dict[str, Any] = json.loads(stdout.readline())
        return answer


def _forge(settings: dict[str, Any], home: Path, *, warm: bool) -> None:
    """Fork a child for each command; only children return."""
    for line in sys.stdin:
        command = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _child(settings, home, writing, **command)
            return
        os.close(writing)
        _say({"pid": child})
        with open(reading) as pipe:  # noqa: PTH123  a file descriptor, not a path
            said = json.loads(pipe.read() or "{}")
        imported = said.pop("imported", ())
        for name in imported if warm else ():
            with suppress(Exception):  # not all that is loaded can be imported by its name
                import_module(name)
        _, status = os.waitpid(child, 0)
        killed_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0
        _say({"signal": killed_by, "code": code, "said": said})
    os._exit(0)


def _serve() -> None:
    """Run commands until the last one, with which the process ends like a forked one."""
    writing = os.dup(1)  # a command closes its standard output
    for line in sys.stdin:
        order = json.loads(line)
        settings, home, last = order.pop("settings"), Path(order.pop("home")), order.pop("last")
        if last:
            _child(settings, home, writing, **order)
            return
        _limit_items()
        with _keeper(settings, home) as keeper:
            os.write(writing, json.dumps(_answer(keeper, order["verb"])).encode() + b"\n")


def _limit_items() -> None:
    """Store several items per record, as in keychains with a size limit, so that one can be written partially."""
    FileItems.item_limit = KeyringItems.item_limit = 400


def _keeper(settings: dict[str, Any], home: Path) -> Keeper:
    return Keeper(configuration=Configuration.of({"me": settings}, state_dir=home / "state", default="me"))


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _child(
    settings: dict[str, Any], home: Path, writing: int, *, verb: str, at: str | None, act: str, **seams: float | None
) -> None:
    _limit_items()
    _shorten(**seams)
    before = set(sys.modules)
    if at:
        _failpoints.at = _once(at, act)
    if verb == "command":
        os.close(1)
        os.open(os.devnull, os.O_WRONLY)
        _configure(settings, home)
        sys.exit(main(["refresh"]))
    keeper = _keeper(settings, home)
    if verb.startswith("leave"):
        keeper.get()
        _leave(keeper, verb, writing)
        return  # without waiting or closing: the interpreter exits during the renewal
    answer = _answer(keeper, verb)
    if sys.platform != "win32":
        answer["imported"] = sorted(set(sys.modules) - before)  # for `_forge`
    os.write(writing, json.dumps(answer).encode())
    _end()


def _end() -> None:
    """End this process, and threads that still work."""
    if sys.platform == "win32":
        # ExitProcess of Wine 8 ends the other threads first, and then may wait for ever for a lock that one of them
        # had: processes that had answered were found waiting for one in their only thread.
        kernel = ctypes.WinDLL("kernel32")
        kernel.TerminateProcess(ctypes.c_void_p(-1), 0)
    os._exit(0)


def _shorten(*, patience: float | None, deadline: float | None) -> None:
    if patience is not None:
        vars(single_flight)["LOCK_TIMEOUT"] = patience
    if deadline is not None:
        exchange = http_client._Exchange
        http_client._Exchange = lambda request, host, _: exchange(request, host, deadline)  # type: ignore[assignment,misc]  # it is only called


def _leave(keeper: Keeper, verb: str, writing: int) -> None:
    if verb == "leave-late":
        atexit.register(lambda: os.write(writing, json.dumps(_answer(keeper, "refresh")).encode()))
    elif verb == "leave-daemon":
        threading.Thread(target=keeper.refresh, daemon=True).start()
        until(_reached.is_set)
    else:
        keeper._open_profile("me").get(by_user=True)
        until(_reached.is_set)


def _once(at: str, act: str) -> Callable[[str], None]:
    """Cause the fault the first time a point is passed; a renewal with a retry passes some points twice."""
    left = [act]

    def hit(point: str) -> None:
        if point == at and left:
            _happen(left.pop())

    return hit


def _happen(act: str) -> None:
    if act == "starving":
        highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        return
    if sys.platform == "win32" and act == "SIGKILL":
        kill(os.getpid())
    if sys.platform == "win32" and act == "SIGSTOP":
        _say(HALTING)
        sys.stdin.readline()
        return
    if act != "leaving":
        # To this thread, not to the process: the main thread would halt first, while this one still runs on.
        signal.pthread_kill(threading.get_ident(), signal.Signals[act])
        return
    _reached.set()
    until(process_is_exiting)


def _configure(settings: dict[str, Any], home: Path) -> None:
    (home / "config").mkdir(mode=0o700, exist_ok=True)
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (home / "config" / "config.toml").write_text("\n".join(['default = "me"', "[profiles.me]", *lines]) + "\n", "utf-8")
    os.environ["FRESHKEY_CONFIG_DIR"] = str(home / "config")
    os.environ["FRESHKEY_STATE_DIR"] = str(home / "state")


def _answer(keeper: Keeper, verb: str) -> dict[str, Any]:
    try:
        if verb == "login":
            keeper.login(interaction=ScriptedUser(browser=follow, confirm=True))
        elif verb == "refresh":
            keeper.refresh()
        elif verb == "logout":
            keeper.logout()
            return {}
        credential = keeper.get()
    except FreshkeyError as error:
        return {"error": type(error).__name__, "code": error.code, "message": str(error)}
    token = credential.token
    assert token is not None
    return {"token": token.reveal(), "generation": keeper.status().generation}


if __name__ == "__main__" and sys.argv[1:] == ["--wait"]:
    _serve()
elif __name__ == "__main__":
    _forge(json.loads(sys.argv[1]), Path(sys.argv[2]), warm="--warm" in sys.argv)
