"""What an endurance run is asked to do, what came out of it, and whether that is what freshkey promises."""

from __future__ import annotations

import collections
import json

from attrs import asdict, define, field, frozen


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

    @property
    def kills(self) -> bool:
        """Whether processes die on the way."""
        return self.kill > 0 or self.aim > 0


@define
class Seen:
    """What processes have seen; each worker counts its own, and the run adds them up.

    Attributes:
        gets: Credentials handed out.
        expired: Those whose end had passed by then.
        refused: Requests that the resource answered with 401.
        refused_early: Those of them whose credential had more than half a second left when the answer came.
        refused_late: Those of them that were begun after their process had a newer credential.
        refused_again: Requests that were refused once more with the newer credential, although no still newer one had
            come meanwhile.
        told_again: A needed sign-in that one process was told of more than once.
        longest: Longest wait of any caller, in seconds.
        longest_valid: Longest wait of a caller for whom a valid credential was in memory.
        longest_refused: Longest time from the beginning of a refused request to the newer credential, in seconds.
        longest_behind: Longest time for which some process had had the newer credential when a request was begun that
            was refused with the older one, in seconds.
        errors: Class of each error other than a needed sign-in, and how often.
    """

    gets: int = 0
    expired: int = 0
    refused: int = 0
    refused_early: int = 0
    refused_late: int = 0
    refused_again: int = 0
    told_again: int = 0
    longest: float = 0.0
    longest_valid: float = 0.0
    longest_refused: float = 0.0
    longest_behind: float = 0.0
    errors: dict[str, int] = field(factory=dict)

    def add(self, other: Seen) -> None:
        """Add what another process has seen."""
        for name, value in asdict(other).items():
            mine = getattr(self, name)
            if isinstance(value, dict):
                setattr(self, name, dict(collections.Counter(mine) + collections.Counter(value)))
            else:
                setattr(self, name, max(mine, value) if name.startswith("longest") else mine + value)


@frozen
class Loss:
    """A sign-in that was lost.

    Attributes:
        reason: What freshkey said of it.
        explained: A process was killed between the server's last answer to this sign-in and the commit of it.
    """

    reason: str
    explained: bool


@define
class Figures:
    """What came out.

    Attributes:
        expiries: Generations that were saved beyond the sign-ins.
        refresh_grants: Renewals that the server granted.
        early: Those of them that came before the credential was due.
        graced: Answers that the server gave once more.
        revoked_grants: Sign-ins that the server ended because a refresh token came twice.
        killed: Processes killed.
        killed_spending: Those killed between the intent and the commit of a renewal.
        lost: Each sign-in that was lost.
        seen: What the processes saw, added up.
        seconds: How long it took.
    """

    expiries: int = 0
    refresh_grants: int = 0
    early: int = 0
    graced: int = 0
    revoked_grants: int = 0
    killed: int = 0
    killed_spending: int = 0
    lost: list[Loss] = field(factory=list)
    seen: Seen = field(factory=Seen)
    seconds: float = 0.0

    def broken_promises(self, plan: Plan) -> list[str]:
        """Return what did not come true of that which freshkey promises; empty if all of it did."""
        return [
            *self._always_wrong(),
            *(self._wrong_without_a_loss() if plan.grace or not plan.kills else []),
            *(self._wrong_with_kills() if plan.kills else self._wrong_without_kills()),
            *([] if plan.access_dies or plan.kills else self._wrong_while_access_lives()),
        ]

    def _always_wrong(self) -> list[str]:
        seen, unexplained = self.seen, [loss.reason for loss in self.lost if not loss.explained]
        return [
            what
            for what, wrong in (
                ("an expired credential was handed out", seen.expired),
                ("a process that had a newer credential handed out an older one", seen.refused_late),
                ("a newer credential was refused as well", seen.refused_again and not self.lost),
                ("a process was told twice of one loss", seen.told_again),
                ("a sign-in was lost although no process died between answer and commit", unexplained),
                ("there were errors", seen.errors),
            )
            if wrong
        ]

    def _wrong_without_a_loss(self) -> list[str]:
        return ["a sign-in was lost"] if self.lost or self.revoked_grants else []

    def _wrong_without_kills(self) -> list[str]:
        wrong = [] if self.refresh_grants == self.expiries else ["an answer of the server was not kept"]
        return [*wrong, *(["something was renewed before it was due"] if self.early else [])]

    def _wrong_with_kills(self) -> list[str]:
        # The process that was asked last may have died with its answer, and nobody has noticed yet.
        unaccounted = self.refresh_grants - self.expiries - len(self.lost)
        return [] if unaccounted in (0, 1) else ["an answer of the server was not kept, and nothing was lost for it"]

    def _wrong_while_access_lives(self) -> list[str]:
        return ["a valid credential was refused"] if self.seen.refused_early else []


def as_json(plan: Plan, figures: Figures) -> str:
    """Return plan and figures for programs."""
    whole = {"plan": asdict(plan), "figures": asdict(figures), "broken": figures.broken_promises(plan)}
    return json.dumps(whole, indent=2)


def report(plan: Plan, figures: Figures) -> str:
    """Return the figures for people."""
    seen = figures.seen
    unexplained = sum(not loss.explained for loss in figures.lost)
    rows = [
        ("processes x threads", f"{plan.processes} x {plan.threads}"),
        ("expiries (generations saved)", figures.expiries),
        ("refresh grants", f"{figures.refresh_grants}, of which {figures.early} before they were due"),
        ("answers given once more (grace)", figures.graced),
        ("grants revoked for reuse", figures.revoked_grants),
        ("processes killed", f"{figures.killed}, of which {figures.killed_spending} between intent and commit"),
        ("sign-ins lost", f"{len(figures.lost)}, of which {unexplained} without a kill between answer and commit"),
        ("credentials handed out", f"{seen.gets}, {seen.gets / max(figures.seconds, 0.1):.0f} a second"),
        ("of which expired", seen.expired),
        ("requests refused", f"{seen.refused}, of which {seen.refused_early} before the end of their credential"),
        ("refused although begun with an older one", seen.refused_late),
        ("refused again with the newer one", seen.refused_again),
        ("longest way from a refusal to a newer one", f"{seen.longest_refused:.3f} s"),
        ("longest time behind another process", f"{seen.longest_behind:.3f} s"),
        ("errors", seen.errors or "none"),
        ("longest wait with a valid credential", f"{seen.longest_valid:.3f} s"),
        ("longest wait of all", f"{seen.longest:.3f} s"),
        ("took", f"{figures.seconds} s"),
    ]
    lost = [f"  lost: {loss.reason}{'' if loss.explained else ' (NOT EXPLAINED)'}" for loss in figures.lost]
    broken = [f"BROKEN PROMISE: {what}" for what in figures.broken_promises(plan)]
    return "\n".join([*(f"{name + ':':<43} {value}" for name, value in rows), *lost, *broken])
