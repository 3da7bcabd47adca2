"""Three clients of one sign-in, with random events in any order.

Covers ROT-2 and FAULT-14, FAULT-15, FAULT-16, FAULT-19, FAULT-26, FAULT-29, FAULT-30. These invariants must hold at all
times; `one_machine` and `strict_server` check them, and report violations by these names:

- I1: one refresh request at a time.
- I2: a spent token is never sent once its successor is saved.
- I3: no token is used twice unless a response was lost, the process died, or the token was stolen; a missing response
  is recorded, and the number of retries in ten minutes is limited.
- I4: no access token is returned before its refresh token is saved, unless saving has failed for ten seconds.
- I5: the newest generation never goes back, for any reader.
- I6: a failure never invalidates a credential that was valid before; only a sign-out does.
- I7: there are at most one renewal's requests between two attempts.
- I8: once all troubles are over, sign-ins that can be renewed without the user are renewed within an hour, however
  often they were tried before, and no others are tried after that.
"""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from one_machine import DEEDS, Client, Happening, Machine
from promises import proves


TROUBLES = [
    "store locked 12",
    "store locked 45",
    "store readonly 20",
    "store forgets 3",
    "store late 2",
    "store late 40",
]
ANSWERS = ["busy", "fails", "refuses", "vanishes", "loses", "breaks", "slow", "page"]
SPELLS = [
    "server down 5",
    "server down 100",
    "server mute 20",
    "server mute 300",
    "server ill 100",
    "server portal 20",
    "server portal 300",
]
SERVER = [*SPELLS, *(f"server {answer}" for answer in ANSWERS)]
WORLD = ["pass 1", "pass 40", "pass 700", "lock elsewhere 10", "lock elsewhere 100", *TROUBLES, *SERVER]
NEARBY = ["thread asks", *(f"sibling {verb}" for verb in DEEDS)]
POINTS = [
    "before_lock",
    "lock_held",
    "intent_written",
    "request_sent",
    "after_refresh",
    "item_written",
    "committed",
    "read_back",
    "get",
    "set",
    "between",
    "delete",
    "connect",
    "sleep",
]

HAPPENINGS = st.builds(
    Happening,
    point=st.sampled_from(POINTS),
    nth=st.sampled_from([0, 0, 0, 1, 2]),
    what=st.just("die") | st.sampled_from(NEARBY) | st.sampled_from(WORLD),
)
PLANS = st.lists(HAPPENINGS, max_size=3)
CLIENTS = st.integers(0, 2)


class ThreeClients(RuleBasedStateMachine):
    """Rules are actions of users, time and bad luck; the troubles of a plan happen in the middle of a step."""

    grace: ClassVar[float] = 0.0

    @initialize(
        lifetime=st.sampled_from([20.0, 600.0, 3600.0]),
        random=st.sampled_from([0.0, 0.5]),
        replaces=st.booleans(),
        declared=st.booleans(),
    )
    def begin(self, lifetime: float, random: float, replaces: bool, declared: bool) -> None:
        self.machine = Machine(grace=self.grace, lifetime=lifetime, random=random, replaces=replaces, declared=declared)
        self.machine.act(0, Client.sign_in)

    @rule(client=CLIENTS, deed=st.sampled_from(sorted(DEEDS)), plan=PLANS)
    def do(self, client: int, deed: str, plan: list[Happening]) -> None:
        self.machine.act(client, DEEDS[deed], plan, by_user=deed == "renews")

    @rule(client=CLIENTS, plan=PLANS)
    def get_when_it_is_due(self, client: int, plan: list[Happening]) -> None:
        self.machine.clock.advance(0.97 * self.machine.server.lifetime)
        self.machine.act(client, Client.get, plan)

    @rule(client=CLIENTS, plan=PLANS)
    def get_when_it_has_expired(self, client: int, plan: list[Happening]) -> None:
        self.machine.clock.advance(1.1 * self.machine.server.lifetime)
        self.machine.act(client, Client.get, plan)

    @rule(
        client=CLIENTS,
        pace=st.sampled_from([1.0, 5.0, 31.0]),
        times=st.integers(2, 8),
        plan=PLANS,
        spell=st.sampled_from(["", *SPELLS]),
    )
    def get_repeatedly(self, client: int, pace: float, times: int, plan: list[Happening], spell: str) -> None:
        self.machine.clock.advance(self.machine.server.lifetime)
        if spell:
            self.machine.happen(spell)
        for _ in range(times):
            self.machine.act(client, Client.get, plan)
            self.machine.clock.advance(pace)

    @rule(client=CLIENTS, plan=PLANS)
    def sign_in(self, client: int, plan: list[Happening]) -> None:
        self.machine.act(client, Client.sign_in, plan)

    @rule(client=CLIENTS, plan=PLANS)
    def sign_out(self, client: int, plan: list[Happening]) -> None:
        self.machine.act(client, Client.sign_out, plan)

    @rule(what=st.sampled_from(WORLD))
    def something_happens(self, what: str) -> None:
        self.machine.happen(what)

    @rule(seconds=st.sampled_from([-7200.0, -30.0, 30.0, 7200.0]))
    def the_clock_is_set(self, seconds: float) -> None:
        self.machine.clock.step_wall(seconds)

    @rule(client=CLIENTS)
    def a_client_restarts(self, client: int) -> None:
        self.machine.restart(client)

    @rule()
    def the_token_is_stolen(self) -> None:
        self.machine.server.steal()

    @rule(fail=st.booleans())
    def hints_cannot_be_written(self, fail: bool) -> None:
        self.machine.hints_fail = fail

    @precondition(lambda self: hasattr(self, "machine"))
    @invariant()
    def no_promise_is_broken(self) -> None:
        assert not self.machine.broken, self.machine.broken

    def teardown(self) -> None:
        if not hasattr(self, "machine"):
            return
        try:
            self.machine.calm_down()
            self.machine.settle()
            assert not self.machine.broken, self.machine.broken
        finally:
            self.machine.close()


class ThreeClientsAndGrace(ThreeClients):
    """The same with a server that repeats its response for 30 s."""

    grace: ClassVar[float] = 30.0


BUDGET = settings(
    max_examples=150,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
# Each takes ten seconds of CPU time, which can be minutes on a busy machine.
LONG = pytest.mark.timeout(600)
TestStrict = LONG(proves("FAULT-26", "ROT-2", "ROT-4", "ROT-5", "ROT-6")(ThreeClients.TestCase))
TestStrict.settings = BUDGET
TestGrace = LONG(ThreeClientsAndGrace.TestCase)
TestGrace.settings = BUDGET
