"""Runs an endurance test: a server, a sign-in, processes that use it, kills, and the results."""

from __future__ import annotations

import json
import math
import os
import random
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from benchmarks.endurance.soak_figures import Figures, Loss, Plan, Seen
from benchmarks.endurance.soak_worker import KILLED, LAST, NOTE, mapped
from freshkey import Configuration, Keeper, expiry
from freshkey_testing.browser import follow
from freshkey_testing.server import AuthorizationServer, Entry, Policy
from freshkey_testing.user import ScriptedUser


ROOT: Final = Path(__file__).parents[2]
"""The directory that contains this package; workers start there, regardless of this process's directory."""

PROVIDER: Final = "claude_oauth"

SPENDING: Final = (3, 4, 5, 6)
"""Points, from the intent to the last item, at which a kill may lose a response of the server."""

ROUND: Final = 0.05
"""Seconds between two checks of the processes."""

CLOCK_STEP: Final = 0.016
"""Seconds between two readings of a clock, on Windows with Python 3.12 and older."""

SLOW_SERVER: Final = 5.0
"""Seconds within which the server has responded to a process that died, on a busy machine."""


@frozen
class _Death:
    """A process that was killed during a renewal.

    Attributes:
        intended: When it had written its intent, in seconds since 1970.
        found: When it was found dead.
    """

    intended: float
    found: float


class _Member:
    """One worker process, as its parent sees it."""

    def __init__(self, orders: dict[str, Any], note: Path) -> None:
        note.write_bytes(bytes(struct.calcsize(NOTE)))
        self._note = note
        command = [sys.executable, "-m", "benchmarks.endurance.soak_worker", json.dumps({**orders, "note": str(note)})]
        self.process = subprocess.Popen(  # noqa: S603  our own command
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.seen = Seen()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            if line.endswith("\n"):
                self.seen = Seen(**json.loads(line))

    def death(self) -> _Death | None:
        """Return how it died, if that was while it used a refresh token."""
        with mapped(str(self._note)) as note:
            point, intended = struct.unpack_from(NOTE, note)
        return _Death(intended, time.time()) if point in SPENDING else None

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        if self.process.poll() is None:
            # It may end right now. On Windows, its process ID stays its own as long as we have its handle.
            with suppress(OSError):
                os.kill(self.process.pid, KILLED)

    def end(self) -> None:
        """Make it finish and report."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait(60)
        self._reader.join(10)
        if self.process.stdout is not None:
            self.process.stdout.close()


class Soak:
    """One run.

    Args:
        plan: The plan of the run.
        folder: A new directory for state and notes.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._shared = folder / "shared"
        self._shared.write_bytes(bytes(struct.calcsize(LAST)))
        self._figures = Figures()
        self._members: list[_Member] = []
        self._deaths: list[_Death] = []
        self._orders: dict[str, Any] = {}
        self._sign_ins = 0
        self._signed_in_until: list[float] = []
        self._began = 0

    def run(self) -> Figures:
        """Run, and return the results."""
        plan = self._plan
        policy = Policy(lifetime=plan.lifetime, grace=plan.grace, access_dies_on_renewal=plan.access_dies)
        began = time.monotonic()
        with AuthorizationServer(policy) as server:
            settings = {**server.settings(), "provider": PROVIDER, "store": plan.store, "source": "oauth"}
            configuration = Configuration.of({"soak": settings}, state_dir=self._folder / "state")
            # A keeper that only looks holds no credential, so that the workers make every renewal.
            with Keeper(configuration=configuration) as onlooker:
                # Loading the store takes seconds on some machines, and could outlast the first credential.
                onlooker.status("soak")
                self._sign_in(configuration)
                try:
                    self._orders = self._orders_for(server, settings)
                    self._endure(server, onlooker)
                    # A renewal in progress at the end must be saved before it is counted.
                    self._dismiss()
                    self._look_after(server, onlooker)
                    self._figures.expiries = onlooker.status("soak").generation - self._sign_ins
                    self._update_deadlines(server)
                finally:
                    self._dismiss()
                    onlooker.logout("soak")
        self._figures.seconds = round(time.monotonic() - began, 1)
        return self._figures

    def _orders_for(self, server: AuthorizationServer, settings: dict[str, Any]) -> dict[str, Any]:
        return {
            "settings": settings,
            "state_dir": str(self._folder / "state"),
            "resource": server.urls.resource,
            "threads": self._plan.threads,
            "pace": self._plan.pace,
            "aim": self._plan.aim,
            "shared": str(self._shared),
        }

    def _endure(self, server: AuthorizationServer, onlooker: Keeper) -> None:
        self._members = [self._start() for _ in range(self._plan.processes)]
        while server.count("grant.refresh_token") < self._plan.expiries:
            time.sleep(ROUND)
            if random.random() < self._plan.kill * ROUND:  # noqa: S311  no secret
                random.choice(self._members).kill()  # noqa: S311  no secret
            self._replace()
            self._look_after(server, onlooker)

    def _start(self) -> _Member:
        self._began += 1
        return _Member(self._orders, self._folder / f"note-{self._began}")

    def _sign_in(self, configuration: Configuration) -> None:
        # What is lost is replaced, even if freshkey is not sure of it.
        with Keeper(configuration=configuration) as keeper, ScriptedUser(browser=follow, confirm=True) as user:
            credential = keeper.login("soak", interaction=user)
        self._sign_ins += 1
        if credential.expires_at is not None:
            self._signed_in_until.append(credential.expires_at.timestamp())

    def _replace(self) -> None:
        for index, member in enumerate(self._members):
            if member.process.poll() is not None:
                self._settle(member)
                self._members[index] = self._start()

    def _dismiss(self) -> None:
        members, self._members = self._members, []
        for member in members:
            self._settle(member)

    def _settle(self, member: _Member) -> None:
        """End a process, if it has not ended yet, and record how it ended and what it saw."""
        member.end()
        seen, code = member.seen, member.process.returncode
        if abs(code) == KILLED:
            self._note_death(member)
        elif code:
            seen.errors[f"exit code {code}"] = 1
        self._figures.seen.add(seen)

    def _note_death(self, member: _Member) -> None:
        self._figures.killed += 1
        death = member.death()
        if death is not None:
            self._figures.killed_spending += 1
            self._deaths.append(death)

    def _look_after(self, server: AuthorizationServer, onlooker: Keeper) -> None:
        """Sign in again if the sign-in was lost, and record why."""
        reason = onlooker.status("soak").sign_in_needed
        if reason is not None:
            # Any process that died before the loss was found is dead by now.
            self._replace()
            self._figures.lost.append(Loss(reason, self._explained(server)))
            self._sign_in(onlooker.configuration)

    def _explained(self, server: AuthorizationServer) -> bool:
        """Return whether a process died between the server's last response to this sign-in and its commit."""
        answers = [entry.time for entry in server.log if entry.kind == "grant.refresh_token"]
        mine = [entry for entry in server.log if entry.grant == self._sign_ins]
        last = max((entry.time for entry in mine if entry.kind == "grant.refresh_token"), default=None)
        if last is None:
            return False
        return any(
            death.intended <= last <= death.found + SLOW_SERVER
            and not any(death.intended <= answer < last for answer in answers)
            for death in self._deaths
        )

    def _update_deadlines(self, server: AuthorizationServer) -> None:
        figures, announced = self._figures, float(server.policy.expires_in)
        figures.refresh_grants = server.count("grant.refresh_token")
        figures.graced = server.count("refresh_token.graced")
        figures.revoked_grants = server.count("refresh_token.reused")
        figures.early = early(server.log, [*figures.seen.ends, *self._signed_in_until], announced)


def early(log: Sequence[Entry], ends: Sequence[float], announced: float) -> int:
    """Return how many renewals were requested before the credential that they replaced was due.

    A lifetime counts from before its request, which takes long to arrive on a busy machine. So the end is the one that
    the process knew, and not when the server logged the request. A credential that no process got is not judged.

    Args:
        log: The log of the server.
        ends: The end of each credential that a process got, in seconds since 1970.
        announced: The lifetime that the server announces, in seconds.
    """
    # A renewal is due at most the lead time plus the longest jitter before the end.
    longest = expiry.effective_lead(announced, None) + expiry.jitter(announced, 1.0) + CLOCK_STEP
    grants = [entry for entry in log if entry.kind.startswith("grant.") and entry.kind != "grant.revoked"]
    replaced = (
        (newer.time, max((end for end in ends if end - announced <= older.time), default=-math.inf))
        for older, newer in pairwise(grants)
        if newer.kind == "grant.refresh_token"
    )
    return sum(arrived < end - longest for arrived, end in replaced)
