"""One machine in one thread: a server, a store, a clock and clients, and a judge who watches what they do.

Each step of a client is a place where something can happen: the client dies, time passes, a sibling acts, the store or
the server fails. As nothing runs at the same time, a story is the same each time that it is told.

Tokens have numbers: the server issues ``at-7`` together with ``rt-7``, and a higher number is newer.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from attrs import define, field, frozen

from freshkey import _failpoints
from freshkey._accounts import login, logout
from freshkey._interprocess.hints import Hints, HintsFile
from freshkey._interprocess.notifier import ChangeNotifier
from freshkey._plugins.hook_caller import HookCaller
from freshkey._renewal import managed
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.managed import CacheEntry, ManagedCredential
from freshkey._renewal.persist import SAVE_TIMEOUT
from freshkey._renewal.retry import MAX_PAUSE
from freshkey._renewal.single_flight import SharedFuture
from freshkey._stores.records.chunks import newest, read_slot
from freshkey._stores.records.slots import SlottedStore
from freshkey.errors import FreshkeyError, GenerationConflict, LoginRequired, PluginBroken, StoreBusy, StoreUnavailable
from freshkey.events import Event, Unsaved
from freshkey.model.credential import Credential, OAuthToken
from freshkey.model.description import Description
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey.model.storage import Snapshot
from freshkey_testing import ManualClock
from rotating import User
from scripted_items import Crashed
from strict_server import StrictServer


T = TypeVar("T")

ROUNDS = 6
"""After the troubles; a pause is a minute at most, unless the server asked for more."""

PROFILE = Profile(name="me", provider="example", settings=None, state_dir=Path("/nowhere"))
DESCRIPTION = Description(
    title="Example",
    settings=object,
    formats={"token": OAuthToken},
    sources=(Source(id="login", title="Sign-in", owned=True, interactive=True),),
    single_use=True,
)


@frozen
class Happening:
    """What happens when a client comes by a point for the `nth` time in one action."""

    point: str
    nth: int
    what: str


@define
class Action:
    """What one client is doing."""

    client: Client
    plan: list[Happening]
    by_user: bool = False
    passed: Counter[str] = field(factory=Counter)


class SwiftClock(ManualClock):
    """Waiting is one more step, and takes its time at once."""

    def __init__(self, on_wait: Callable[[], None]) -> None:
        super().__init__()
        self.on_wait = on_wait

    def wait(self, event: threading.Event, timeout: float) -> bool:
        self.on_wait()
        self.advance(max(0.0, timeout))
        return event.is_set()


class Machine:
    """Everything that clients share, and what is known to be true of it.

    Attributes:
        broken: What happened and must not happen; empty unless a promise was broken.
        durable: What a reader of the store finds, if nothing fails.
        number: Of the newest token that was ever durable.
    """

    item_limit: int | None = 700

    def __init__(self, *, grace: float, lifetime: float, random: float, replaces: bool) -> None:
        self.clock = SwiftClock(on_wait=lambda: self.step("sleep"))
        self.broken: list[str] = []
        self.server = StrictServer(self, grace=grace, lifetime=lifetime)
        self.random = random
        self.replaces = replaces
        self.values: dict[str, str] = {}
        self.durable = Snapshot()
        self.number = 0
        self.trouble, self.trouble_ends = "", 0.0
        self.held_elsewhere_until = 0.0
        self.lock_holder: Client | None = None
        self.hints, self.hints_fail, self.hints_failed = Hints(), False, -1e9
        self.deaths: list[float] = []
        self.acting: Action | None = None
        self.clients = [Client(self) for _ in range(3)]
        self._patches = pytest.MonkeyPatch()
        self._patches.setattr(_failpoints, "at", self.step)
        self._patches.setattr(managed, "run_in_thread", self._run_later)
        for module in (login, logout):
            self._patches.setattr(module, "run_in_thread", _run_at_once)

    def close(self) -> None:
        self._patches.undo()

    # --- what clients do --------------------------------------------------------------------------------------

    def act(
        self, index: int, what: Callable[[Client], object], plan: Iterable[Happening] = (), *, by_user: bool = False
    ) -> FreshkeyError | None:
        """Let a client do something, and return how that failed; a client that dies is replaced by a new one."""
        client = self.clients[index]
        around, self.acting = self.acting, Action(client, list(plan), by_user)
        try:
            what(client)
        except Crashed:
            pass
        except FreshkeyError as error:
            self.judge_error(error)
            return error
        finally:
            self.acting = around
            if client.dead:
                self.deaths.append(self.clock.elapsed())
                # Its intent stays, and nobody can tell how far it came.
                self.server.unfinished[self.number] += self.durable.intent is not None
                self.clients[index] = Client(self)
            if around is None:
                self._judge_what_is_noted()
        return None

    def step(self, point: str) -> None:
        """Pass a point: whatever is planned for it happens."""
        action = self.acting
        if action is None:
            return
        action.client.must_live()
        nth = action.passed[point]
        action.passed[point] += 1
        for happening in [one for one in action.plan if (one.point, one.nth) == (point, nth)]:
            action.plan.remove(happening)
            self.happen(happening.what)
        action.client.must_live()

    def happen(self, what: str) -> None:
        """Let something happen: ``die``, ``sibling asks``, ``pass 40``, ``store locked 12``, ``server down 5``."""
        match what.split():
            case ["die"] if self.acting is not None:
                self.acting.client.dead = True
            case ["pass", seconds]:
                self.clock.advance(float(seconds))
            case ["store", trouble, seconds]:
                self.trouble, self.trouble_ends = trouble, self.clock.elapsed() + float(seconds)
            case ["server", spell, seconds]:
                self.server.spells[spell] = self.clock.elapsed() + float(seconds)
            case ["server", answer]:
                self.server.script.append(answer)
            case ["lock", "elsewhere", seconds]:
                self.held_elsewhere_until = self.clock.elapsed() + float(seconds)
            case ["sibling", verb] if self.acting is not None:
                sibling = (self.clients.index(self.acting.client) + 1) % len(self.clients)
                self.act(sibling, DEEDS[verb], by_user=verb == "renews")
            case ["thread", "asks"] if self.acting is not None:
                self.act(self.clients.index(self.acting.client), Client.ask_on_another_thread)
            case _:
                raise ValueError(what)

    def _run_later(self, name: str, work: Callable[[SharedFuture[T]], None]) -> SharedFuture[T]:
        future: SharedFuture[T] = SharedFuture()
        assert self.acting is not None
        self.acting.client.pending.append(lambda: work(future))
        return future

    def restart(self, index: int) -> None:
        """Let a client end in peace, and another begin."""
        if self.hints_fail:
            self.deaths.append(self.clock.elapsed())  # its pace is known to nobody
        self.clients[index] = Client(self)

    # --- the end of a story -----------------------------------------------------------------------------------

    def calm_down(self) -> None:
        """End all troubles."""
        self.trouble_ends = self.held_elsewhere_until = 0.0
        self.server.spells.clear()
        self.server.script.clear()
        self.hints_fail = False

    def settle(self) -> None:
        """See that everybody has a credential, or that only a person can go on and the server is left in peace."""
        self.clock.advance(1.1 * self.server.lifetime)
        errors = self._ask_for_a_while()
        renewable = self.durable.record is not None and self.durable.record.payload is not None
        renewable = renewable and self.server.alive(self.number) and not self.server.gave_up(self.number)
        if renewable and (errors or self.server.ends[self.number] <= self.clock.elapsed()):
            self.blame("I8", f"token {self.number} is good, and there is no credential: {errors}")
        if any(not isinstance(error, LoginRequired) for error in errors):
            self.blame("I8", f"all troubles are over: {errors}")
        if errors:
            before = len(self.server.requests)
            self._ask_for_a_while()
            if len(self.server.requests) > before:
                self.blame("I8", "the server is asked again about what it refused")

    def _ask_for_a_while(self) -> list[FreshkeyError]:
        """Let everybody ask again and again, and return how the last round failed."""
        errors: list[FreshkeyError] = []
        for _ in range(ROUNDS):
            self.clock.advance(MAX_PAUSE + 1.0)
            for index in range(len(self.clients)):
                self.act(index, Client.tick)
            found = [self.act(index, Client.get) for index in range(len(self.clients))]
            errors = [error for error in found if error is not None]
        return errors

    # --- what they share --------------------------------------------------------------------------------------

    def acquire(self, timeout: float) -> Callable[[], None]:
        """Take the lock between processes. Who holds it is stopped as long as somebody waits."""
        left = self.held_elsewhere_until - self.clock.elapsed()
        if self.lock_holder is not None or left > timeout:
            self.clock.advance(timeout)
            raise StoreBusy("another process holds the lock")
        self.clock.advance(max(0.0, left))
        assert self.acting is not None
        self.lock_holder = self.acting.client
        return self._release

    def _release(self) -> None:
        self.lock_holder = None

    def read(self) -> Hints:
        self._must_live()
        return self.hints

    def write(self, hints: Hints) -> None:
        self._must_live()
        if self.hints_fail:
            self.hints_failed = self.clock.elapsed()
        else:
            self.hints = hints

    def notify(self) -> None:
        self._must_live()

    def _must_live(self) -> None:
        if self.acting is not None:
            self.acting.client.must_live()

    # --- the judge --------------------------------------------------------------------------------------------

    def blame(self, promise: str, what: str) -> None:
        self.broken.append(f"{promise}: {what}")

    def look_into_the_store(self) -> None:
        """See what is durable now, after every single change: a reader without the lock could come at any moment."""
        found = newest(read_slot(lambda index, slot=slot: self.values.get(f"{slot}.{index}")) for slot in (0, 1))  # type: ignore[misc]
        number = _number_in(found)
        if found.generation < self.durable.generation:
            self.blame("I5", f"generation {found.generation} after {self.durable.generation}")
        if number is not None and number < self.number:
            self.blame("I5", f"token {number} is the newest after {self.number}")
        self.durable, self.number = found, max(self.number, number or 0)

    @property
    def may_have_lost_an_intent(self) -> bool:
        """Whether a client may have died between deleting an intent and writing what replaces it."""
        return bool(self.deaths) and not self.replaces

    def _judge_what_is_noted(self) -> None:
        number = _number_in(self.durable)
        noted = self.durable.intent is not None or self.durable.damaged
        if number is not None and self.server.unanswered[number] and not noted and not self.may_have_lost_an_intent:
            self.blame("I3", f"nothing notes that an answer to token {number} is missing")

    def judge_error(self, error: FreshkeyError) -> None:
        if isinstance(error, GenerationConflict) or (isinstance(error, PluginBroken) and error.plugin == "freshkey"):
            self.blame("errors", str(error))


class Client:
    """One process with a credential in memory.

    Attributes:
        shown: What its callers are served without asking.
        events: What it said.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.dead = False
        self.shown: CacheEntry | None = None
        self.events: list[Event] = []
        self.pending: list[Callable[[], None]] = []
        store = SlottedStore(MachineItems(machine), machine)
        context = ProfileContext(
            profile=PROFILE,
            description=DESCRIPTION,
            hooks=cast("HookCaller", machine.server),
            hints=cast("HintsFile", machine),
            notifier=cast("ChangeNotifier", machine),
            clock=machine.clock,
            random=lambda: machine.random,
            interaction=None,
            open_store=lambda: store,
        )
        self.managed = ManagedCredential(context, publish=self._publish, emit=self._hear_event, wake=lambda: None)

    def must_live(self) -> None:
        if self.dead:
            raise Crashed

    def get(self, *, refused: Credential | None = None, by_user: bool = False) -> None:
        """Ask for a credential, and wait for it if need be."""
        answer = self._interaction(refused=refused, by_user=by_user)
        done: list[float] = []
        if isinstance(answer, SharedFuture):
            answer.add_done_callback(lambda: done.append(self.machine.clock.elapsed()))
        self._work()
        if isinstance(answer, SharedFuture):
            self._check(answer.wait(0), done[0])

    def ask_on_another_thread(self) -> None:
        """Ask while the process is busy; who can be served at once is."""
        self._interaction()

    def renew(self) -> None:
        self.get(by_user=True)

    def be_refused(self) -> None:
        """A server answered the credential with a 401."""
        self.get(refused=self.shown.credential if self.shown else None)

    def tick(self) -> None:
        self.managed.tick()
        self._work()

    def on_change(self) -> None:
        self.managed.on_change()
        self._work()

    def sign_in(self) -> None:
        login.sign_in(self.managed, source_id=None, interaction=User())

    def sign_out(self) -> None:
        logout.sign_out(self.managed)

    @property
    def failure(self) -> FreshkeyError | None:
        return self.managed._failure.error if self.managed._failure else None

    def _interaction(
        self, *, refused: Credential | None = None, by_user: bool = False
    ) -> Credential | SharedFuture[Credential]:
        shown, now = self.shown, self.machine.clock.elapsed()
        try:
            answer = self.managed.get(refused=refused, by_user=by_user)
        except FreshkeyError:
            answer = SharedFuture()
            self._must_not_wait(shown, now, refused=refused, by_user=by_user)
            raise
        if isinstance(answer, SharedFuture):
            self._must_not_wait(shown, now, refused=refused, by_user=by_user)
        else:
            self._check(answer, now)
        return answer

    def _must_not_wait(
        self, shown: CacheEntry | None, now: float, *, refused: Credential | None, by_user: bool
    ) -> None:
        if shown is not None and now < shown.expires_at and refused is None and not by_user:
            self.machine.blame("I6", "a caller had to wait or failed although what is held is valid")

    def _work(self) -> None:
        """Do what was put on threads."""
        while self.pending:
            self.pending.pop(0)()
            self.must_live()
            if self.failure is not None:
                self.machine.judge_error(self.failure)

    def _check(self, credential: Credential, now: float) -> None:
        if self.machine.server.ends[number_of(credential)] <= now:
            self.machine.blame("expiry", "an expired token was handed out")

    def _publish(self, held: CacheEntry | None) -> None:
        machine, before = self.machine, self.shown
        self.shown = held
        signed_in = machine.durable.record is not None and machine.durable.record.payload is not None
        if held is None and before is not None and signed_in and machine.clock.elapsed() < before.expires_at:
            machine.blame("I6", "what is held was dropped, and nobody has signed out")
        if held is None or self.dead:
            return
        number = number_of(held.credential)
        if before is not None and number < number_of(before.credential):
            machine.blame("I6", "memory went back to an older token")
        waited = machine.clock.elapsed() - machine.server.issued[number]
        if number > machine.number and waited < SAVE_TIMEOUT:
            machine.blame("I4", f"token {number} is handed out and is not durable")

    def _hear_event(self, event: Event) -> None:
        self.events.append(event)

    @property
    def says_unsaved(self) -> bool:
        return any(isinstance(event, Unsaved) for event in self.events)


class MachineItems:
    """The strings of the store as one client reaches them."""

    name = "machine"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.item_limit = machine.item_limit

    def get(self, name: str) -> str | None:
        self._begin("get")
        return self._machine.values.get(name)

    def set(self, name: str, value: str) -> None:
        assert self.item_limit is None or len(value) <= self.item_limit
        trouble = self._begin("set")
        if trouble == "forgets":
            return
        if not self._machine.replaces and self._machine.values.pop(name, None) is not None:
            self._machine.look_into_the_store()
            self._machine.step("between")
        self._machine.values[name] = value
        self._end(trouble)

    def delete(self, name: str) -> None:
        trouble = self._begin("delete")
        self._machine.values.pop(name, None)
        self._end(trouble)

    def _begin(self, verb: str) -> str:
        machine = self._machine
        machine.step(verb)
        trouble = machine.trouble if machine.clock.elapsed() < machine.trouble_ends else ""
        if trouble == "locked" or (trouble == "readonly" and verb != "get"):
            raise StoreUnavailable(f"the store is {trouble}")
        return trouble

    def _end(self, trouble: str) -> None:
        self._machine.look_into_the_store()
        if trouble == "late":
            raise StoreUnavailable("it took too long, and was done all the same")


DEEDS: dict[str, Callable[[Client], object]] = {
    "asks": Client.get,
    "ticks": Client.tick,
    "hears": Client.on_change,
    "renews": Client.renew,
    "refused": Client.be_refused,
}


def number_of(credential: Credential) -> int:
    assert credential.token is not None
    return int(credential.token.reveal().partition("-")[2])


def _number_in(snapshot: Snapshot) -> int | None:
    if snapshot.record is None or snapshot.record.payload is None:
        return None
    found = re.search(r'"at-(\d+)"', snapshot.record.payload.reveal())
    return int(found[1]) if found else None


def _run_at_once(name: str, work: Callable[[SharedFuture[Any]], None]) -> SharedFuture[Any]:
    future: SharedFuture[Any] = SharedFuture()
    try:
        work(future)
    except FreshkeyError as error:
        future.set_error(error)
    return future
