"""A private keychain: gnome-keyring on its own D-Bus session bus, in its own home directory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from counterparts.requires import require
from waiting import until


if TYPE_CHECKING:
    from counterparts.secret_service import SecretService


PASSWORD: Final = b"the password of a test's keychain"
# When the test's process is killed, stdin closes; then the bus and every daemon end, and the home directory is removed.
BUS_SCRIPT: Final = """
dbus-daemon --session --nofork --nopidfile --address="unix:path=$1/bus" &
cat > /dev/null
kill $!
wait
rm -r "$1"
"""
FOREIGN: Final = ("XDG_", "DBUS_", "GNOME_KEYRING", "PYTHON_KEYRING", "DISPLAY", "WAYLAND_")


class Keychain:
    """A private, unlocked gnome-keyring; a context manager.

    `environment` is a complete process environment that uses it, without a display and without anything of the user who
    runs the tests. For code in the test's own process, set `variables` with monkeypatch.
    """

    def __init__(self) -> None:
        self._cleanup = ExitStack()
        self._service: SecretService
        self.variables: dict[str, str] = {}

    def __enter__(self) -> Self:
        require("gnome-keyring")
        # Imported here, because it needs packages that exist only on Linux.
        from counterparts.secret_service import SecretService

        with ExitStack() as stack:
            # A socket's path can have at most 107 characters, and pytest's temporary directories are longer.
            home = Path(stack.enter_context(TemporaryDirectory(prefix="fk-", ignore_cleanup_errors=True)))
            self.variables = _private_variables(home)
            self._service = SecretService(self.variables["DBUS_SESSION_BUS_ADDRESS"])
            group = stack.enter_context(_session_bus(home, self.environment))
            stack.enter_context(_daemon(group, self.environment))
            until(lambda: self._service.is_there() and self._service.is_unlocked())
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    @property
    def environment(self) -> dict[str, str]:
        """The environment for a process that uses this keychain."""
        return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)} | self.variables

    def run(self, arguments: Sequence[str], *, seconds: float = 30) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments (`["-c", code]`) with this keychain, and wait for it."""
        return subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    @property
    def pid(self) -> int:
        """The process id of the daemon that currently serves this keychain."""
        return self._service.pid()

    def lock(self) -> None:
        """Lock the default collection: reading and writing it raises until `unlock`."""
        self._service.lock()

    def unlock(self) -> None:
        """Unlock the default collection, even in a daemon that the bus started after `kill`."""
        self._service.unlock(PASSWORD)

    def kill(self) -> None:
        """Kill the daemon. The bus starts another one at the next call, and it is locked."""
        os.kill(self.pid, signal.SIGKILL)
        until(lambda: not self._service.is_there())

    def stop(self) -> None:
        """Halt the daemon with SIGSTOP: calls to it get no response until `cont`."""
        os.kill(self.pid, signal.SIGSTOP)

    def cont(self) -> None:
        """Let a halted daemon continue."""
        os.kill(self.pid, signal.SIGCONT)


@contextmanager
def bus_without_keychain() -> Iterator[dict[str, str]]:
    """Run a private session bus without a keychain; yield the environment variables for using it."""
    require("gnome-keyring")
    with TemporaryDirectory(prefix="fk-", ignore_cleanup_errors=True) as home:
        variables = _private_variables(Path(home))
        with _session_bus(Path(home), {**os.environ, **variables}):
            yield variables


def _private_variables(home: Path) -> dict[str, str]:
    folders = {
        "HOME": home,
        "XDG_RUNTIME_DIR": home / "run",
        "XDG_DATA_HOME": home / "data",
        "XDG_CONFIG_HOME": home / "config",
        "XDG_CACHE_HOME": home / "cache",
        "XDG_STATE_HOME": home / "state",
    }
    for folder in folders.values():
        folder.mkdir(mode=0o700, exist_ok=True)
    address = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={home / 'bus'}"}
    return address | {name: str(path) for name, path in folders.items()}


@contextmanager
def _session_bus(home: Path, environment: dict[str, str]) -> Iterator[int]:
    """Run a bus; yield the process group of the bus and of every daemon it starts."""
    process = _start(["sh", "-c", BUS_SCRIPT, "sh", str(home)], environment, group=0)
    try:
        until(lambda: _listens(home / "bus"))
        yield process.pid
    finally:
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=5)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _daemon(group: int, environment: dict[str, str]) -> Iterator[None]:
    command = ["gnome-keyring-daemon", "--unlock", "--foreground", "--components=secrets"]
    process = _start(command, environment, group)
    try:
        assert process.stdin is not None
        process.stdin.write(PASSWORD)
        process.stdin.close()
        yield
    finally:
        process.kill()
        process.wait()


def _start(command: list[str], environment: dict[str, str], group: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=group,
    )


def _listens(path: Path) -> bool:
    """Return whether connections are accepted at a path; the socket file exists slightly earlier."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
