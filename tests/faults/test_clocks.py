"""The clocks of a running process are changed: no needless renewals, and no expired credentials."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from counterparts.requires import faketime, require
from freshkey import Configuration, Keeper
from freshkey._renewal import scheduler
from freshkey_testing import AuthorizationServer, Policy, ScriptedUser
from freshkey_testing.browser import follow
from home import Home
from promises import proves
from waiting import until


pytestmark = [
    pytest.mark.counterpart,
    pytest.mark.skipif(sys.platform == "win32", reason="faketime sets clocks only on POSIX"),
]

PROGRAM = Path(__file__).parents[1] / "support" / "clock_watching_process.py"
RENEWAL = "grant.refresh_token"
GLANCE = 0.2
"""Seconds between two checks by the timer; short, because tests often wait for it."""

TICKS = 0.5
"""Seconds in which the timer checks twice."""

FORWARD = ["+2h", "@2100-01-01 00:00:00"]
BACK = ["-2h", "@1970-01-01 00:05:00"]


class Machine:
    """A wall clock that can be changed for running processes; elapsed time is real."""

    def __init__(self, folder: Path, home: Home) -> None:
        self._file = folder / "faketime"
        self._home = home
        self.set("+0")

    def set(self, time: str) -> None:
        """Set the wall clock in the syntax of faketime(1): ``+2h``, ``@2100-01-01 00:00:00``."""
        new = self._file.with_suffix(".new")
        new.write_text(time + "\n", "ascii")
        new.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **self._home.environment,
            "LD_PRELOAD": str(faketime()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            # With a fake monotonic clock, waits with a timeout hang.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


class Watcher:
    """A process that keeps getting a credential; a context manager."""

    def __init__(self, machine: Machine, resource: str = "", *, glance: float = GLANCE) -> None:
        self._command = [sys.executable, str(PROGRAM), "me", resource, str(glance)]
        self._environment = machine.environment

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.changes = [self._line()]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def last(self) -> dict[str, Any]:
        return self.changes[-1]

    def ask(self, zone: str = "") -> dict[str, Any]:
        """Return what was served last and how often since the last question; record changes since then."""
        assert self.process.stdin is not None
        self.process.stdin.write(zone + "\n")
        self.process.stdin.flush()
        while True:
            said = self._line()
            if "served" in said:
                return said
            self.changes.append(said)

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line: dict[str, Any] = json.loads(self.process.stdout.readline())
        return line

    def let_pass(self, seconds: float) -> None:
        """Let this much of the process's elapsed time pass, while it keeps getting the credential."""
        end = self.ask()["elapsed"] + seconds
        while self.ask()["elapsed"] < end:
            time.sleep(0.05)


def until_changed(watcher: Watcher) -> None:
    before = watcher.last
    until(lambda: watcher.ask() and watcher.last != before)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path, "file")
    home.variables["FRESHKEY_CONFIG_DIR"] = str(tmp_path / "config")
    home.variables["FRESHKEY_STATE_DIR"] = str(tmp_path / "state")
    return home


@pytest.fixture
def machine(home: Home, tmp_path: Path) -> Machine:
    require("libfaketime")
    return Machine(tmp_path, home)


Serve = Callable[[Policy], AuthorizationServer]


@pytest.fixture
def serve(home: Home) -> Iterator[Serve]:
    """Start a server with a policy and sign in there; the server's clock is never changed."""
    with ExitStack() as stack:

        def start(policy: Policy) -> AuthorizationServer:
            server = stack.enter_context(AuthorizationServer(policy))
            home.configure(**server.settings())
            with Keeper(configuration=Configuration.load(home.environment)) as keeper:
                keeper.login(interaction=ScriptedUser(browser=follow))
            return server

        yield start


def test_the_wall_clock_really_changes(machine: Machine, serve: Serve) -> None:
    serve(Policy())
    with Watcher(machine) as watcher:
        assert abs(watcher.ask()["wall"] - time.time()) < 60
        machine.set("+2h")
        assert abs(watcher.ask()["wall"] - time.time() - 7200) < 60
        machine.set("@1970-01-01 00:05:00")
        assert watcher.ask()["wall"] < 86400 * 2


@proves("FAULT-44", "TIM-1", "TIM-4")
@pytest.mark.parametrize("step", FORWARD)
def test_wall_clock_set_forward_and_back_again_renews_once(machine: Machine, serve: Serve, step: str) -> None:
    server = serve(Policy())
    with Watcher(machine, server.urls.resource) as watcher:
        first = watcher.last["token"]
        machine.set(step)
        until_changed(watcher)
        second = watcher.last["token"]
        watcher.let_pass(TICKS)
        machine.set("+0")
        watcher.let_pass(TICKS)
        assert {change.get("status") for change in watcher.changes} == {200}
        assert [change["token"] for change in watcher.changes] == [first, second]
    assert server.count(RENEWAL) == 1


@proves("FAULT-44", "TIM-1", "TIM-4")
@pytest.mark.parametrize("step", BACK)
def test_wall_clock_set_back_does_not_renew(machine: Machine, serve: Serve, step: str) -> None:
    server = serve(Policy())
    with Watcher(machine, server.urls.resource) as watcher:
        machine.set(step)
        watcher.let_pass(TICKS)
        machine.set("+0")
        watcher.let_pass(TICKS)
        assert [change["status"] for change in watcher.changes] == [200]
    assert server.count(RENEWAL) == 0


@proves("FAULT-44", "TIM-1", "TIM-4")
@pytest.mark.parametrize("step", [*FORWARD, *BACK])
def test_no_expired_credential_is_served_after_a_clock_change(machine: Machine, serve: Serve, step: str) -> None:
    # Four seconds between announced and real lifetime allow for a slow machine, but not for errors of hours.
    server = serve(Policy(lifetime=5.0, announced=1))
    with Watcher(machine, server.urls.resource) as watcher:
        machine.set(step)
        watcher.let_pass(5.2)
        machine.set("+0")
        watcher.let_pass(1.2)
        assert {change.get("status") for change in watcher.changes} == {200}
    # At most one renewal per second, and one more for each clock change.
    assert 2 <= server.count(RENEWAL) <= 9


@proves("FAULT-44", "TIM-1")
@pytest.mark.parametrize("step", [*FORWARD, *BACK])
def test_process_that_starts_with_a_wrong_clock_and_one_that_starts_after_it_is_corrected(
    machine: Machine, serve: Serve, step: str
) -> None:
    server = serve(Policy())
    machine.set(step)
    with Watcher(machine, server.urls.resource) as watcher:
        assert watcher.last["status"] == 200
        watcher.let_pass(TICKS)
    machine.set("+0")
    with Watcher(machine, server.urls.resource) as watcher:
        assert watcher.last["status"] == 200
        watcher.let_pass(TICKS)
    assert server.count(RENEWAL) == (1 if step in FORWARD else 0)


@proves("FAULT-45", "TIM-2", "ROT-1")
def test_all_processes_together_renew_once_after_a_suspend(machine: Machine, serve: Serve) -> None:
    server = serve(Policy())
    with ExitStack() as stack:
        fleet = [
            stack.enter_context(Watcher(machine, server.urls.resource, glance=scheduler.LISTENING_SLEEP))
            for _ in range(3)
        ]
        for watcher in fleet:
            os.kill(watcher.process.pid, signal.SIGSTOP)
        machine.set("+3h")
        for watcher in fleet:
            os.kill(watcher.process.pid, signal.SIGCONT)
        for watcher in fleet:
            until_changed(watcher)
        for watcher in fleet:
            watcher.let_pass(TICKS)
            assert [change["status"] for change in watcher.changes] == [200, 200]
        assert len({watcher.last["token"] for watcher in fleet}) == 1
    assert server.count(RENEWAL) == 1
    assert server.count("refresh_token.reused") == 0


@proves("FAULT-46", "TIM-1")
def test_time_zone_change_has_no_effect(machine: Machine, serve: Serve) -> None:
    server = serve(Policy())
    with Watcher(machine, server.urls.resource) as watcher:
        seen = set()
        # From UTC+14 to UTC-12, and a zone with daylight saving time.
        for zone in ("Pacific/Kiritimati", "Etc/GMT+12", "Europe/Berlin", "UTC"):
            seen.add(watcher.ask(zone)["zone"])
            watcher.let_pass(TICKS)
        assert len(seen) == 4
        assert len(watcher.changes) == 1
        assert watcher.last["expires_at"].endswith("+00:00")
    assert server.count(RENEWAL) == 0
