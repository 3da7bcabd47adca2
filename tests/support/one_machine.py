"""One machine in one thread: a server, a store, a clock and clients, and a judge that checks what they do.

At each step of a client something can happen: the client dies, time passes, another client acts, the store or the
server fails. Since nothing runs concurrently, each run is reproducible.

Tokens are numbered: the server issues ``at-7`` together with ``rt-7``, and a higher number is newer.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from attrs import define, evolve, field, frozen

from freshkey import _failpoints
from freshkey._accounts import login, logout
from freshkey._interprocess.hints import Hints, HintsFile
from freshkey._interprocess.notifier import ChangeNotifier
from freshkey._plugins.hook_caller import HookCaller
from freshkey._renewal import managed, rotation
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.deadlines import CacheEntry
from freshkey._renewal.managed import ManagedCredential
from freshkey._renewal.persist import SAVE_TIMEOUT
from freshkey._renewal.repetition import MAX_DISTANCE
from freshkey._renewal.retry import MAX_PAUSE
from freshkey._renewal.single_flight import LATE, LOCK_TIMEOUT, SharedFuture
from freshkey._stores.keychain.store import WINDOWS_ITEM_LIMIT
from freshkey._stores.records.chunks import newest, read_slot
from freshkey._stores.records.slots import SlottedStore
from freshkey.errors import FreshkeyError, GenerationConflict, LoginRequired, PluginBroken, StoreBusy, StoreUnavailable
from freshkey.events import Event, Unsaved
from freshkey.model.credential import Credential, OAuthToken
from freshkey.model.description import Description
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey.model.storage import CredentialStore, Snapshot
from freshkey_testing import ManualClock
from rotating import User
from scripted_items import Crashed
from strict_server import StrictServer


T = TypeVar("T")

ROUNDS = 6
"""Rounds after all troubles; a pause is at most a minute, unless the server requested more."""

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
    """What happens when a client passes a point for the `nth` time in one action."""

    point: str
    nth: int
    what: str


@define
class Action:
    """The current action of one client."""

    client: Client
    plan: list[Happening]
    by_user: bool = False
    passed: Counter[str] = field(factory=Counter)


class SwiftClock(ManualClock):
    """Waiting is one more step, and advances the clock at once."""

    def __init__(self, on_wait: Callable[[], None]) -> None:
        super().__init__()
        self.on_wait = on_wait

    def wait(self, event: threading.Event, timeout: float) -> bool:
        self.on_wait()
        self.advance(max(0.0, timeout))
        return event.is_set()


class Machine:
    """Everything that clients share, and what is known about it.

    Attributes:
        broken: Violations of the promises; empty if there are none.
        description: The provider's description; it may declare the server's grace period.
        durable: What a reader of the store finds if nothing fails.
        number: Number of the newest token that was ever saved.
        lock_holder: Who holds the store's lock.
        looker: Who holds the lock of the state directory, under which nothing that is stored is renewed.
    """

    item_limit: int | None = 800

    def __init__(self, *, grace: float, lifetime: float, random: float, replaces: bool, declared: bool = False) -> None:
        self.clock = SwiftClock(on_wait=lambda: self.step("sleep"))
        self.broken: list[str] = []
        self.server = StrictServer(self, grace=grace, lifetime=lifetime)
        self.description = evolve(DESCRIPTION, repeats_for=grace if declared else None)
        self.random = random
        self.replaces = replaces
        self.values: dict[str, str] = {}
        self.durable = Snapshot()
        self.number = 0
        self.trouble, self.trouble_ends = "", 0.0
        self.held_elsewhere_until = 0.0
        self.lock_holder: Client | None = None
        self.looker: Client | None = None
        self.hints, self.hints_fail, self.hints_failed = Hints(), False, -1e9
        self.deaths: list[float] = []
        self.acting: Action | None = None
        self.clients = [Client(self) for _ in range(3)]
        self._patches = pytest.MonkeyPatch()
        self._patches.setattr(_failpoints, "at", self.step)
        self._patches.setattr(managed, "run_in_thread", self._run_later)
        self._patches.setattr(rotation, "one_process", self._one_process)
        for module in (login, logout):
            self._patches.setattr(module, "run_in_thread", _run_at_once)

    def close(self) -> None:
        self._patches.undo()

    # --- actions of clients -----------------------------------------------------------------------------------

    def act(
        self, index: int, what: Callable[[Client], object], plan: Iterable[Happening] = (), *, by_user: bool = False
    ) -> FreshkeyError | None:
        """Make a client do something, and return its error; a client that dies is replaced by a new one."""
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
                self.clients[index] = Client(self)
            if around is None:
                self._judge_what_is_noted()
        return None

    def step(self, point: str) -> None:
        """Pass a point: what is planned for it happens."""
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
        """Cause an event: ``die``, ``sibling asks``, ``pass 40``, ``store locked 12``, ``server down 5``."""
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
        """Let a client exit normally, and start another."""
        if self.hints_fail:
            self.deaths.append(self.clock.elapsed())  # no other client knows when it last tried
        self.clients[index] = Client(self)

    # --- the end of a run -------------------------------------------------------------------------------------

    def calm_down(self) -> None:
        """End all troubles."""
        self.trouble_ends = self.held_elsewhere_until = 0.0
        self.server.spells.clear()
        self.server.script.clear()
        self.hints_fail = False

    def settle(self) -> None:
        """Check that all clients have a credential, or that only a sign-in helps and no more requests are sent."""
        self.clock.advance(1.1 * self.server.lifetime)
        self._ask_for_a_while()
        self.clock.advance(MAX_DISTANCE)  # until then a sign-in may count as probably lost
        errors = self._ask_for_a_while()
        renewable = self.durable.record is not None and self.durable.record.payload is not None
        renewable = renewable and self.server.alive(self.number)
        if renewable and (errors or self.server.ends[self.number] <= self.clock.elapsed()):
            self.blame("I8", f"token {self.number} is valid, but there is no credential: {errors}")
        if any(not isinstance(error, LoginRequired) for error in errors):
            self.blame("I8", f"errors after all troubles are over: {errors}")
        if errors:
            before = len(self.server.requests)
            self.clock.advance(MAX_DISTANCE)
            self._ask_for_a_while()
            if len(self.server.requests) > before:
                self.blame("I8", "a request is repeated although the server refused it")

    def _ask_for_a_while(self) -> list[FreshkeyError]:
        """Make all clients get the credential repeatedly, and return the errors of the last round."""
        errors: list[FreshkeyError] = []
        for _ in range(ROUNDS):
            self.clock.advance(MAX_PAUSE + 1.0)
            for index in range(len(self.clients)):
                self.act(index, Client.tick)
            found = [self.act(index, Client.get) for index in range(len(self.clients))]
            errors = [error for error in found if error is not None]
        return errors

    # --- what clients share -----------------------------------------------------------------------------------

    def acquire(self, timeout: float) -> Callable[[], None]:
        """Acquire the lock between processes. Its holder is paused while another client waits."""
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

    @contextmanager
    def _one_process(self, profile: Profile, store: CredentialStore | None) -> Iterator[None]:
        """Do as `single_flight.one_process` does, without waiting on the real clock for a client that is paused."""
        if store is not None:
            with store.lock(LOCK_TIMEOUT):
                yield
            return
        assert self.acting is not None
        if self.looker is not None:
            self.clock.advance(LOCK_TIMEOUT)
            raise StoreBusy("another process holds the lock")
        self.looker = self.acting.client
        try:
            yield
        finally:
            self.looker = None

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
        """Check what is saved now, after every change, because a reader without the lock could read at any time."""
        found = newest(read_slot(lambda index, slot=slot: self.values.get(f"{slot}.{index}")) for slot in (0, 1))  # type: ignore[misc]
        number = _number_in(found)
        if found.generation < self.durable.generation:
            self.blame("I5", f"generation {found.generation} after {self.durable.generation}")
        if number is not None and number < self.number:
            self.blame("I5", f"token {number} is the newest after {self.number}")
        self.durable, self.number = found, max(self.number, number or 0)

    @property
    def may_have_lost_an_intent(self) -> bool:
        """Whether a client may have died between deleting an intent and writing its replacement."""
        return bool(self.deaths) and not self.replaces

    def _judge_what_is_noted(self) -> None:
        number = _number_in(self.durable)
        noted = self.durable.intent is not None or self.durable.damaged
        if number is not None and self.server.unanswered[number] and not noted and not self.may_have_lost_an_intent:
            self.blame("I3", f"there is no record that a response to token {number} is missing")

    def judge_error(self, error: FreshkeyError) -> None:
        if isinstance(error, GenerationConflict) or (isinstance(error, PluginBroken) and error.plugin == "freshkey"):
            self.blame("errors", str(error))


class Client:
    """One process with a credential in memory.

    Attributes:
        shown: The credential that callers get from memory.
        events: The events it emitted.
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
            description=machine.description,
            hooks=cast("HookCaller", machine.server),
            hints=cast("HintsFile", machine),
            notifier=cast("ChangeNotifier", machine),
            clock=machine.clock,
            random=lambda: machine.random,
            interaction=None,
            open_store=lambda _: store,
        )
        self.managed = ManagedCredential(context, publish=self._publish, emit=self._hear_event, wake=lambda: None)

    def must_live(self) -> None:
        if self.dead:
            raise Crashed

    def get(self, *, refused: Credential | None = None, by_user: bool = False) -> None:
        """Get a credential, and wait for it if necessary."""
        answer = self._interaction(refused=refused, by_user=by_user)
        done: list[float] = []
        if isinstance(answer, SharedFuture):
            answer.add_done_callback(lambda: done.append(self.machine.clock.elapsed()))
        self._work()
        if isinstance(answer, SharedFuture):
            self._check(answer.wait(0), done[0])

    def ask_on_another_thread(self) -> None:
        """Get the credential while the process is busy; a caller that can be served at once must be."""
        self._interaction()

    def renew(self) -> None:
        self.get(by_user=True)

    def be_refused(self) -> None:
        """A server has refused the credential with a 401."""
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
            self.machine.blame("I6", "a caller had to wait or failed although the credential in memory is valid")

    def _work(self) -> None:
        """Run what would run on threads."""
        while self.pending:
            self.pending.pop(0)()
            self.must_live()
            if self.failure is not None:
                self.machine.judge_error(self.failure)

    def _check(self, credential: Credential, now: float) -> None:
        if self.machine.server.ends[number_of(credential)] <= now:
            self.machine.blame("expiry", "an expired token was returned")

    def _publish(self, held: CacheEntry | None) -> None:
        machine, before = self.machine, self.shown
        self.shown = held
        signed_in = machine.durable.record is not None and machine.durable.record.payload is not None
        if held is None and before is not None and signed_in and machine.clock.elapsed() < before.expires_at:
            machine.blame("I6", "the credential in memory was dropped without a sign-out")
        if held is None or self.dead:
            return
        number = number_of(held.credential)
        if before is not None and number < number_of(before.credential):
            machine.blame("I6", "memory went back to an older token")
        waited = machine.clock.elapsed() - machine.server.issued[number]
        if number > machine.number and waited < SAVE_TIMEOUT:
            machine.blame("I4", f"token {number} was returned before it was saved")

    def _hear_event(self, event: Event) -> None:
        self.events.append(event)

    @property
    def says_unsaved(self) -> bool:
        return any(isinstance(event, Unsaved) for event in self.events)


class MachineItems:
    """The items of the store, as accessed by one client."""

    name = "machine"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.item_limit = machine.item_limit

    def get(self, name: str) -> str | None:
        self._begin("get")
        return self._machine.values.get(name)

    def set(self, name: str, value: str) -> None:
        # Smaller than a real limit, so that records are split; an intent is a single item.
        assert self.item_limit is None or len(value) <= WINDOWS_ITEM_LIMIT
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
            raise StoreUnavailable("timed out, although it was done")


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


def _run_at_once(name: str, work: Callable[[SharedFuture[Any]], None], *, late: str = LATE) -> SharedFuture[Any]:
    future: SharedFuture[Any] = SharedFuture(late)
    try:
        work(future)
    except FreshkeyError as error:
        future.set_error(error)
    return future
