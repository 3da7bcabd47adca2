"""Plan and results of an endurance run, and whether freshkey kept its promises."""

from __future__ import annotations

import collections
import json

from attrs import asdict, define, field, frozen


@frozen(kw_only=True)
class Plan:
    """The plan of a run.

    Attributes:
        processes: Number of processes that share the sign-in.
        threads: Threads per process.
        expiries: Number of renewals to wait for.
        lifetime: Lifetime of an access token in seconds.
        grace: Seconds for which the server repeats its response to a spent refresh token; 0 ends the sign-in.
        access_dies: Whether the server revokes an access token as soon as it is renewed.
        pace: Seconds between two requests of one thread, on average.
        kill: Kills of random processes per second, on average.
        aim: Probability that a process dies between sending a refresh token and committing the result.
        store: The store of the sign-in.
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
        """Whether processes are killed during the run."""
        return self.kill > 0 or self.aim > 0


@define
class Seen:
    """Counts of what processes have seen; each worker counts separately, and the run adds them up.

    Attributes:
        gets: Credentials returned.
        expired: Credentials that had already expired when they were returned.
        refused: Requests that got a 401 response.
        refused_early: Refused requests whose credential was valid for more than another half second.
        refused_late: Refused requests that started after their process had a newer credential.
        refused_again: Requests that were also refused with the newer credential, although it had not been replaced yet.
        told_again: Required sign-ins that were reported to the same process more than once.
        longest: Longest wait of any caller, in seconds.
        longest_valid: Longest wait of a caller while a valid credential was in memory, in seconds.
        longest_refused: Longest time from the start of a refused request to the newer credential, in seconds.
        longest_behind: Longest time, in seconds, from a renewal by any process to the start of a request that was
            refused with the older credential.
        errors: Number of errors other than required sign-ins, by class and code.
        texts: The first message of each of these errors.
        ends: When each credential that a process got ends, in seconds since 1970.
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
    texts: dict[str, str] = field(factory=dict)
    ends: list[float] = field(factory=list)

    def add(self, other: Seen) -> None:
        """Add what another process has seen."""
        for name, value in asdict(other).items():
            mine = getattr(self, name)
            if name == "errors":
                setattr(self, name, dict(collections.Counter(mine) + collections.Counter(value)))
            elif name == "texts":
                setattr(self, name, {**value, **mine})
            else:
                setattr(self, name, max(mine, value) if name.startswith("longest") else mine + value)

    def note(self, error: Exception) -> None:
        """Count an error."""
        code = getattr(error, "code", None)
        name = type(error).__name__ + (f" ({code})" if code else "")
        self.errors[name] = self.errors.get(name, 0) + 1
        self.texts.setdefault(name, str(error))


@frozen
class Loss:
    """A sign-in that was lost.

    Attributes:
        reason: What freshkey reported.
        explained: Whether a process was killed between the server's last response to this sign-in and its commit.
    """

    reason: str
    explained: bool


@define
class Figures:
    """The results of a run.

    Attributes:
        expiries: Saved generations, not counting sign-ins.
        refresh_grants: Renewals that the server granted.
        early: Granted renewals that came before the credential was due.
        graced: Responses that the server repeated.
        revoked_grants: Sign-ins that the server ended because a refresh token was used twice.
        killed: Number of killed processes.
        killed_spending: Processes killed between the intent and the commit of a renewal.
        lost: The lost sign-ins.
        seen: What the processes saw, in total.
        seconds: Duration of the run.
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
        """Return the promises of freshkey that were broken; empty if all were kept."""
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
                ("an expired credential was returned", seen.expired),
                ("a process that had a newer credential returned an older one", seen.refused_late),
                ("a newer credential was also refused", seen.refused_again and not self.lost),
                ("a process got two reports of the same loss", seen.told_again),
                ("a sign-in was lost although no process died between response and commit", unexplained),
                ("there were errors", seen.errors),
            )
            if wrong
        ]

    def _wrong_without_a_loss(self) -> list[str]:
        return ["a sign-in was lost"] if self.lost or self.revoked_grants else []

    def _wrong_without_kills(self) -> list[str]:
        wrong = [] if self.refresh_grants == self.expiries else ["a response of the server was not saved"]
        return [*wrong, *(["a credential was renewed before it was due"] if self.early else [])]

    def _wrong_with_kills(self) -> list[str]:
        # The last process to renew may have died with the response, and no other process has noticed yet.
        unaccounted = self.refresh_grants - self.expiries - len(self.lost)
        return [] if unaccounted in (0, 1) else ["a response of the server was not saved, but no sign-in was lost"]

    def _wrong_while_access_lives(self) -> list[str]:
        return ["a valid credential was refused"] if self.seen.refused_early else []


def as_json(plan: Plan, figures: Figures) -> str:
    """Return plan and results as JSON."""
    whole = {"plan": asdict(plan), "figures": asdict(figures), "broken": figures.broken_promises(plan)}
    return json.dumps(whole, indent=2)


def report(plan: Plan, figures: Figures) -> str:
    """Return the results as text."""
    seen = figures.seen
    unexplained = sum(not loss.explained for loss in figures.lost)
    rows = [
        ("processes x threads", f"{plan.processes} x {plan.threads}"),
        ("expiries (generations saved)", figures.expiries),
        ("refresh grants", f"{figures.refresh_grants}, {figures.early} of them before they were due"),
        ("repeated responses (grace)", figures.graced),
        ("grants revoked for reuse", figures.revoked_grants),
        ("processes killed", f"{figures.killed}, {figures.killed_spending} of them between intent and commit"),
        ("sign-ins lost", f"{len(figures.lost)}, {unexplained} of them without a kill between response and commit"),
        ("credentials returned", f"{seen.gets}, {seen.gets / max(figures.seconds, 0.1):.0f} per second"),
        ("expired credentials returned", seen.expired),
        ("requests refused", f"{seen.refused}, {seen.refused_early} of them before their credential expired"),
        ("refused with an outdated credential", seen.refused_late),
        ("refused again with the newer credential", seen.refused_again),
        ("longest time from a refusal to a renewal", f"{seen.longest_refused:.3f} s"),
        ("longest time behind another process", f"{seen.longest_behind:.3f} s"),
        ("errors", ", ".join(f"{count} {name}" for name, count in sorted(seen.errors.items())) or "none"),
        ("longest wait with a valid credential", f"{seen.longest_valid:.3f} s"),
        ("longest wait overall", f"{seen.longest:.3f} s"),
        ("duration", f"{figures.seconds} s"),
    ]
    lost = [f"  lost: {loss.reason}{'' if loss.explained else ' (NOT EXPLAINED)'}" for loss in figures.lost]
    errors = [f"  error: {name}: {text}" for name, text in sorted(seen.texts.items())]
    broken = [f"BROKEN PROMISE: {what}" for what in figures.broken_promises(plan)]
    return "\n".join([*(f"{name + ':':<43} {value}" for name, value in rows), *lost, *errors, *broken])
