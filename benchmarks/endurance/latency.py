"""How long `Keeper.get` takes with a valid credential, with and without trouble in the background.

Run it as ``python -m benchmarks.endurance.latency``.

Each kind of trouble gets its own sign-in. Calls are timed twice: while the credential is fresh, and once it is due and
a renewal hangs or fails in the background. The control run has no trouble, only a renewal in progress that takes longer
than the calls. POSIX only: a process is halted, and a file size limit stands for a full disk.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, cast

from attrs import frozen

from benchmarks.endurance.soak import NOT_INSTALLED, PACKAGE
from benchmarks.endurance.soak_run import PROVIDER
from freshkey import Configuration, Credential, Keeper, expiry
from freshkey._stores.keychain import store as keychain_store
from freshkey.admin import find
from freshkey.clock import SYSTEM
from freshkey_testing.browser import follow
from freshkey_testing.server import AuthorizationServer, Policy
from freshkey_testing.user import ScriptedUser


if TYPE_CHECKING:
    from keyring.backend import KeyringBackend


PROFILE: Final = "me"
BACKEND: Final = "benchmarks.Keychain"
"""The configured keychain; `replacing_the_real_one` provides it."""

LIFETIME: Final = 6.0
"""Lifetime of a credential in seconds; it is due after half of it."""

SETTLED: Final = 0.2
"""Seconds that the timer gets to start a renewal that is due; the measurement ends this long before the expiry."""

HOLD: Final = """
import sys, time
from pathlib import Path
from freshkey._files.private import file_name
from freshkey._interprocess.lock import ProfileLock
ProfileLock(Path(sys.argv[1]), file_name(sys.argv[2])).acquire(10)
print("holds", flush=True)
time.sleep(3600)
"""


# --- troubles ---------------------------------------------------------------------------------------------------------


class Keychain:
    """A keychain in memory that responds only while `answers` is set; stands in for the OS keychain."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.answers.set()
        self._values: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        """Return the value, or None."""
        self.answers.wait()
        return self._values.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Save the value."""
        self.answers.wait()
        self._values[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        """Delete the value."""
        self.answers.wait()
        del self._values[service, username]


@frozen
class Stage:
    """What trouble can affect: the server, the state directory and the keychain."""

    server: AuthorizationServer
    state_dir: Path
    keychain: Keychain


@contextmanager
def slow_server(stage: Stage) -> Iterator[None]:
    """Make the server hold its response."""
    stage.server.hold()
    try:
        yield
    finally:
        stage.server.release()


@contextmanager
def halted_holder(stage: Stage) -> Iterator[None]:
    """Start a process that takes the profile's lock, and halt it."""
    command = [sys.executable, "-c", HOLD, str(stage.state_dir), PROFILE]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603  our own command
        if process.stdout is not None:
            process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.kill()


@contextmanager
def hung_keychain(stage: Stage) -> Iterator[None]:
    """Make the keychain hang."""
    stage.keychain.answers.clear()
    try:
        yield
    finally:
        stage.keychain.answers.set()


@contextmanager
def full_disk(stage: Stage) -> Iterator[None]:  # noqa: ARG001  affects the whole process
    """Make every write to a file fail."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def dead_server(stage: Stage) -> Iterator[None]:
    """Make the server respond to everything with 503, like a gateway whose server is down."""
    stage.server.fail_with(503)
    try:
        yield
    finally:
        stage.server.recover()


CONTROL: Final = "none (control run)"
TROUBLES: dict[str, Callable[[Stage], AbstractContextManager[None]]] = {
    CONTROL: slow_server,
    "halted lock holder": halted_holder,
    "hung keychain": hung_keychain,
    "full disk": full_disk,
    "server down": dead_server,
}


# --- measuring --------------------------------------------------------------------------------------------------------


@frozen
class Spread:
    """Durations of calls in seconds: median, 99th percentile and maximum."""

    median: float
    p99: float
    longest: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Self:
        """Return the spread of some samples."""
        ordered = sorted(samples)
        return cls(ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], ordered[-1])


@frozen
class Row:
    """Durations of calls in one kind of trouble, while the credential was fresh and while it was due."""

    trouble: str
    fresh: Spread
    due: Spread


def measure(trouble: str, calls: int, folder: Path, lifetime: float = LIFETIME) -> Row:
    """Time calls in one kind of trouble.

    Args:
        trouble: One of `TROUBLES`.
        calls: Maximum number of calls; fewer if the credential becomes due or expires first.
        folder: A new directory for the state.
        lifetime: Lifetime of a credential in seconds.

    Raises:
        RuntimeError: The credential was renewed in spite of the trouble.
    """
    keychain = Keychain()
    with AuthorizationServer(Policy(lifetime=lifetime)) as server, replacing_the_real_one(keychain):
        settings = {**server.settings(), "provider": PROVIDER, "source": "oauth", "lead": lifetime / 2}
        store = "keyring" if trouble == "hung keychain" else "file"
        profiles, stores = {PROFILE: {**settings, "store": store}}, {"keyring": {"backend": BACKEND}}
        configuration = Configuration.of(profiles, state_dir=folder, stores=stores)
        with (
            Keeper(configuration=configuration, random=lambda: 0.0) as keeper,
            ScriptedUser(browser=follow) as user,
        ):
            credential = keeper.login(PROFILE, interaction=user)
            with TROUBLES[trouble](Stage(server, folder, keychain)):
                fresh = _time(keeper, calls, _left(credential) - lifetime / 2)
                time.sleep(max(0.0, _left(credential) - lifetime / 2) + SETTLED)
                due = _time(keeper, calls, _left(credential) - SETTLED)
                if keeper.get(PROFILE) != credential:
                    raise RuntimeError(f"{trouble}: the credential was renewed in spite of the trouble")
    return Row(trouble, fresh, due)


@contextmanager
def replacing_the_real_one(keychain: Keychain) -> Iterator[None]:
    """Make this process use only `keychain`."""
    before = dict(keychain_store._opened)  # noqa: SLF001  the only way to use a keychain that is not installed
    keychain_store._opened[BACKEND] = cast("KeyringBackend", keychain)  # noqa: SLF001
    try:
        yield
    finally:
        keychain_store._opened.clear()  # noqa: SLF001
        keychain_store._opened.update(before)  # noqa: SLF001


def _left(credential: Credential) -> float:
    return expiry.seconds_left(credential.obtained, credential.lifetime, SYSTEM.now())


def _time(keeper: Keeper, calls: int, seconds: float) -> Spread:
    samples = []
    end = time.perf_counter() + seconds
    while True:
        began = time.perf_counter()
        keeper.get(PROFILE)
        done = time.perf_counter()
        samples.append(done - began)
        if len(samples) == calls or done >= end:
            return Spread.of(samples)


# --- reporting --------------------------------------------------------------------------------------------------------


def report(rows: Sequence[Row]) -> str:
    """Return a table in microseconds, with each 99th percentile as a multiple of the first row's, the control run."""
    head = "".join(f" | {name:^39}" for name in ("fresh", "due, with a renewal hanging or failed"))
    units = " | {:>8} {:>8} {:>10} {:>10}".format("p50 µs", "p99 µs", "max µs", "p99 ratio")
    lines = [f"{'trouble':<20}{head}", f"{'':<20}{units}{units}"]
    for row in rows:
        cells = _cells(row.fresh, rows[0].fresh) + _cells(row.due, rows[0].due)
        lines.append(f"{row.trouble:<20}{cells}")
    return "\n".join(lines)


def _cells(spread: Spread, control: Spread) -> str:
    median, p99, longest = (seconds * 1e6 for seconds in (spread.median, spread.p99, spread.longest))
    return f" | {median:8.2f} {p99:8.2f} {longest:10.1f} {spread.p99 / control.p99:10.2f}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; exit code 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance.latency", description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=50_000, help="calls to time, twice per kind of trouble")
    calls = parser.parse_args(argv).calls
    if PROVIDER not in {plugin.name for plugin in find()}:
        sys.stderr.write(f"The measurement needs {PACKAGE}; install it first\n")
        return NOT_INSTALLED
    with tempfile.TemporaryDirectory(prefix="freshkey-latency-") as folder:
        rows = [measure(trouble, calls, Path(folder) / str(number)) for number, trouble in enumerate(TROUBLES)]
    sys.stdout.write(report(rows) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
