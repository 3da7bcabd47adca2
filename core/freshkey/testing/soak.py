"""An endurance run that anyone can repeat: ``python -m freshkey.testing.soak``.

Several processes with several threads share one sign-in with a rotating, single-use refresh token, at a server on this
machine that logs every grant and ends a sign-in whose refresh token is used twice. Processes may be killed at any time.
It needs a provider with an OAuth sign-in, as the demonstration does: ``freshkey-claude-oauth``.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from freshkey import Configuration, Keeper
from freshkey.plugins import find
from freshkey.testing.browser import follow
from freshkey.testing.person import ScriptedPerson
from freshkey.testing.server import AuthorizationServer, Policy


PROVIDER, PACKAGE = "claude_oauth", "freshkey-claude-oauth"

SPENDING = (3, 4, 5, 6)
"""Points after which a process that is killed takes an answer of the server with it: intent to last item."""


@frozen(kw_only=True)
class Plan:
    """What to do.

    Attributes:
        processes: How many processes share the sign-in.
        threads: Threads of each.
        expiries: Renewals to see before it ends.
        lifetime: Seconds an access token lives.
        grace: Seconds for which the server gives a spent refresh token its answer again; 0 ends the sign-in.
        access_dies: The server ends an access token as soon as it is renewed.
        pace: Seconds between two requests of one thread, on average.
        kill: Kill a random process about this many times a second.
        aim: Probability of a process to die between the sending of a refresh token and the commit of its answer.
        store: Where the sign-in is kept.
    """

    processes: int = 8
    threads: int = 4
    expiries: int = 300
    lifetime: float = 2.0
    grace: float = 0.0
    access_dies: bool = False
    pace: float = 0.1
    kill: float = 0.0
    aim: float = 0.0
    store: str = "file"


@define
class Figures:
    """What came out.

    Attributes:
        expiries: Generations that were saved beyond the sign-ins.
        refresh_grants: Renewals that the server granted.
        graced: Answers that the server gave once more.
        revoked_grants: Sign-ins that the server ended because a refresh token came twice.
        killed: Processes killed.
        killed_spending: Those killed between the intent and the commit of a renewal.
        lost: The reason of each sign-in that was lost.
        lost_unexplained: Losses without a process killed in that window since the sign-in.
        told: How the workers' figures add up; see `soak_worker.Seen`.
        seconds: How long it took.
    """

    expiries: int = 0
    refresh_grants: int = 0
    graced: int = 0
    revoked_grants: int = 0
    killed: int = 0
    killed_spending: int = 0
    lost: list[str] = field(factory=list)
    lost_unexplained: int = 0
    told: dict[str, Any] = field(factory=dict)
    seconds: float = 0.0

    def holds(self, plan: Plan) -> bool:
        """Tell whether what freshkey promises came true."""
        clean = self.told["expired"] == 0 and self.told["refused_again"] == 0 and self.lost_unexplained == 0
        if plan.grace or not (plan.kill or plan.aim):
            clean = clean and not self.lost and self.revoked_grants == 0
        if not (plan.kill or plan.aim):
            clean = clean and self.refresh_grants == self.expiries and not self.told["errors"]
        return bool(clean)


class _Member:
    """One worker process, as its parent sees it."""

    def __init__(self, orders: dict[str, Any], point_file: Path) -> None:
        point_file.write_bytes(b"\0")
        self._point_file = point_file
        command = [
            sys.executable,
            "-m",
            "freshkey.testing.soak_worker",
            json.dumps({**orders, "point_file": str(point_file)}),
        ]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603  ours
        self.told: dict[str, Any] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            if line.endswith("\n"):
                self.told = json.loads(line)

    def was_spending(self) -> bool:
        """Tell whether it was killed while a refresh token was being spent."""
        return self._point_file.read_bytes()[0] in SPENDING

    def end(self) -> None:
        """Let it finish and report."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait(60)
        self._reader.join(10)
        if self.process.stdout is not None:
            self.process.stdout.close()


class Soak:
    """One run.

    Args:
        plan: What to do.
        folder: A new directory for state and notes.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._figures = Figures()
        self._members: list[_Member] = []
        self._ended: list[_Member] = []
        self._sign_ins = 0
        self._spending_since_sign_in = 0
        self._began = 0

    def run(self) -> Figures:
        """Do it and return the figures."""
        plan = self._plan
        policy = Policy(lifetime=plan.lifetime, grace=plan.grace, access_dies_on_renewal=plan.access_dies)
        began = time.monotonic()
        with AuthorizationServer(policy) as server:
            settings = {**server.settings(), "provider": PROVIDER, "store": plan.store, "source": "oauth"}
            configuration = Configuration.of({"soak": settings}, state_dir=self._folder / "state")
            with Keeper(configuration=configuration) as keeper:
                self._sign_in(keeper)
                orders = {
                    "settings": settings,
                    "state_dir": str(self._folder / "state"),
                    "resource": server.urls.resource,
                    "threads": plan.threads,
                    "pace": plan.pace,
                    "aim": plan.aim,
                }
                try:
                    self._members = [self._start(orders) for _ in range(plan.processes)]
                    while server.count("grant.refresh_token") < plan.expiries:
                        time.sleep(0.05)
                        self._kill_one()
                        self._replace(orders)
                        self._look_after(keeper)
                finally:
                    for member in self._members:
                        member.end()
                self._look_after(keeper)
                self._figures.expiries = keeper.status("soak").generation - self._sign_ins
                self._add_up(server)
                keeper.logout("soak")
        self._figures.seconds = round(time.monotonic() - began, 1)
        return self._figures

    def _start(self, orders: dict[str, Any]) -> _Member:
        self._began += 1
        return _Member(orders, self._folder / f"point-{self._began}")

    def _sign_in(self, keeper: Keeper) -> None:
        with ScriptedPerson(browser=follow) as person:
            keeper.login("soak", ask=person)
        self._sign_ins += 1
        self._spending_since_sign_in = 0

    def _kill_one(self) -> None:
        if self._plan.kill and random.random() < self._plan.kill * 0.05:  # noqa: S311  no secret
            random.choice(self._members).process.kill()  # noqa: S311  no secret

    def _replace(self, orders: dict[str, Any]) -> None:
        for index, member in enumerate(self._members):
            if member.process.poll() is None:
                continue
            self._figures.killed += 1
            if member.was_spending():
                self._figures.killed_spending += 1
                self._spending_since_sign_in += 1
            member.end()
            self._ended.append(member)
            self._members[index] = self._start(orders)

    def _look_after(self, keeper: Keeper) -> None:
        """Sign in again where a sign-in was lost, and note why."""
        reason = keeper.status("soak").sign_in_needed
        if reason is None:
            return
        self._figures.lost.append(reason)
        if not self._spending_since_sign_in:
            self._figures.lost_unexplained += 1
        self._sign_in(keeper)

    def _add_up(self, server: AuthorizationServer) -> None:
        figures = self._figures
        figures.refresh_grants = server.count("grant.refresh_token")
        figures.graced = server.count("refresh_token.graced")
        figures.revoked_grants = server.count("refresh_token.reused")
        told = [member.told for member in [*self._ended, *self._members] if member.told]
        totals: dict[str, Any] = {
            name: sum(one[name] for one in told) for name in ("gets", "expired", "refused", "refused_again")
        }
        for name in ("longest", "longest_valid"):
            totals[name] = round(max((one[name] for one in told), default=0.0), 3)
        errors: collections.Counter[str] = collections.Counter()
        for one in told:
            errors.update(one["errors"])
        figures.told = {**totals, "errors": dict(errors)}


def report(plan: Plan, figures: Figures) -> str:
    """Return the figures for people."""
    told = figures.told
    rows = [
        ("processes x threads", f"{plan.processes} x {plan.threads}"),
        ("expiries (generations saved)", figures.expiries),
        ("refresh grants", figures.refresh_grants),
        ("answers given once more (grace)", figures.graced),
        ("grants revoked for reuse", figures.revoked_grants),
        ("processes killed", f"{figures.killed}, of which {figures.killed_spending} between intent and commit"),
        ("sign-ins lost", f"{len(figures.lost)}, of which {figures.lost_unexplained} without such a kill"),
        ("credentials handed out", told["gets"]),
        ("of which expired", told["expired"]),
        ("requests refused once / twice", f"{told['refused']} / {told['refused_again']}"),
        ("errors", told["errors"] or "none"),
        ("longest wait with a valid credential", f"{told['longest_valid']} s"),
        ("longest wait of all", f"{told['longest']} s"),
        ("took", f"{figures.seconds} s"),
    ]
    reasons = [f"  lost: {reason} ({count}x)" for reason, count in collections.Counter(figures.lost).items()][:5]
    return "\n".join([*(f"{name + ':':<40} {value}" for name, value in rows), *reasons])


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; exit code 0 if what freshkey promises came true."""
    defaults = Plan()
    parser = argparse.ArgumentParser(prog="python -m freshkey.testing.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=defaults.processes)
    parser.add_argument("--threads", type=int, default=defaults.threads)
    parser.add_argument("--expiries", type=int, default=defaults.expiries)
    parser.add_argument("--lifetime", type=float, default=defaults.lifetime, help="seconds an access token lives")
    parser.add_argument(
        "--grace", type=float, default=defaults.grace, help="seconds of grace for a spent refresh token"
    )
    parser.add_argument("--access-dies", action="store_true", help="a renewal ends the old access token at once")
    parser.add_argument("--pace", type=float, default=defaults.pace, help="seconds between two requests of a thread")
    parser.add_argument("--kill", type=float, default=defaults.kill, help="random kill -9 per second, about")
    parser.add_argument("--aim", type=float, default=defaults.aim, help="probability to die while a token is spent")
    parser.add_argument("--store", choices=["file", "keyring"], default=defaults.store)
    plan = Plan(**vars(parser.parse_args(argv)))
    if PROVIDER not in {plugin.name for plugin in find()}:
        sys.stderr.write(f"The endurance run needs {PACKAGE}; install it first\n")
        return 6
    with tempfile.TemporaryDirectory(prefix="freshkey-soak-") as folder:
        figures = Soak(plan, Path(folder)).run()
    sys.stdout.write(report(plan, figures) + "\n")
    return 0 if figures.holds(plan) else 1


if __name__ == "__main__":
    sys.exit(main())
