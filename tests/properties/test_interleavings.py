"""FAULT-24: two processes renew one sign-in, in all 12,870 orders of the eight points of a renewal.

Each process is a thread with its own memory; they share the store, its lock and the server. A baton decides which
thread continues, so that each order is deterministic.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest
from attrs import define, evolve, field

from freshkey import _failpoints
from freshkey._interprocess.hints import Hints, HintsFile
from freshkey._interprocess.notifier import ChangeNotifier
from freshkey._plugins.hook_caller import HookCaller
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.rotation import Rotation
from freshkey._stores.memory import MemoryItems
from freshkey._stores.records.slots import SlottedStore
from freshkey.errors import LoginRequired
from freshkey.model.credential import Credential, OAuthToken
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey.model.storage import Record
from freshkey.secret import Secret
from freshkey_testing import ManualClock
from one_machine import DESCRIPTION, PROFILE
from promises import proves


CHUNKS = 6


class HastyClock(ManualClock):
    """A clock that stands still; a renewal that waits for something is a failure."""

    def wait(self, event: threading.Event, timeout: float) -> bool:
        raise AssertionError("unexpected wait")


CLOCK = HastyClock()
FIRST = OAuthToken(
    obtained=CLOCK.now(), lifetime=10.0, source="login", access_token=Secret("at-1"), refresh_token=Secret("rt-1")
)
CLOCK.advance(9.0)


def orders() -> Iterator[tuple[int, ...]]:
    """Yield every order in which processes 0 and 1 take eight steps each."""
    for mine in itertools.combinations(range(16), 8):
        yield tuple(0 if step in mine else 1 for step in range(16))


@define
class Server:
    """Renews with single-use tokens, and detects reuse."""

    living: str = "rt-1"
    grants: int = 0
    reused: int = 0

    def refresh(self, profile: Profile, credential: Credential, reporter: object, reason: object) -> Credential:
        secret = credential.renewal_secret
        if secret is None or secret.reveal() != self.living:
            self.reused += 1
            raise LoginRequired("the token was used before")
        self.grants += 1
        self.living = f"rt-{self.grants + 1}"
        _failpoints.hit("request_sent")
        return evolve(
            cast("OAuthToken", credential),
            obtained=CLOCK.now(),
            access_token=Secret(f"at-{self.grants + 1}"),
            refresh_token=Secret(self.living),
        )

    def setup(self, profile: Profile, source: Source) -> None:
        pass

    def detect(self, profile: Profile, source: Source) -> None:
        return None


@define
class Shared:
    """Hints and change notifier in memory; other tests cover the real ones."""

    hints: Hints = field(factory=Hints)

    def read(self) -> Hints:
        return self.hints

    def write(self, hints: Hints) -> None:
        self.hints = hints

    def notify(self) -> None:
        pass


@define
class Memory:
    """The credential that a process would serve."""

    refusals: dict[int, LoginRequired] = field(factory=dict)
    served: list[tuple[str, int]] = field(factory=list)
    closing: threading.Event = field(factory=threading.Event)

    def publish(self, credential: Credential, generation: int, *, elsewhere: bool) -> Credential:
        assert credential.token is not None
        self.served.append((credential.token.reveal(), generation))
        return credential

    def drop(self, event: object) -> None:
        raise AssertionError("unexpected sign-out")

    def serve_early(self, credential: Credential) -> None:
        raise AssertionError("unexpected failure to save")

    def emit(self, event: object) -> None:
        raise AssertionError("unexpected event")

    def note_retry(self, error: Exception, pause: float) -> None:
        raise AssertionError("unexpected failure")


class Baton:
    """Lets one of several threads run at a time, from point to point."""

    def __init__(self, works: Sequence[Callable[[], object]]) -> None:
        self._turn = [threading.Semaphore(0) for _ in works]
        self._back = threading.Semaphore(0)
        self._here = threading.local()
        self._ended = [False] * len(works)
        self.errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(index, work)) for index, work in enumerate(works)]

    def follow(self, order: Sequence[int]) -> None:
        """Run the threads in this order, then let all of them finish."""
        for thread in self._threads:
            thread.start()
        for index in order:
            self._step(index)
        while not all(self._ended):
            for index in range(len(self._threads)):
                self._step(index)
        for thread in self._threads:
            thread.join()

    def wait(self, point: str = "") -> None:
        """Hand back the baton, and continue when it returns."""
        self._back.release()
        self._turn[self._here.index].acquire()

    def _step(self, index: int) -> None:
        if not self._ended[index]:
            self._turn[index].release()
            self._back.acquire()

    def _run(self, index: int, work: Callable[[], object]) -> None:
        self._here.index = index
        self._turn[index].acquire()
        try:
            work()
        except BaseException as error:  # noqa: BLE001  checked by the test
            self.errors.append(error)
        self._ended[index] = True
        self._back.release()


@define
class BatonLock:
    """The lock between processes: a thread that finds it taken hands back the baton and tries again later."""

    baton: list[Baton]
    taken: bool = False

    def acquire(self, timeout: float) -> Callable[[], None]:
        while self.taken:
            self.baton[0].wait()
        self.taken = True
        return self._release

    def _release(self) -> None:
        self.taken = False


def race(order: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> tuple[Server, SlottedStore, list[Memory], Baton]:
    batons: list[Baton] = []
    server, shared, items = Server(), Shared(), MemoryItems()
    items.item_limit = 700  # two items: the commit and one before it
    store = SlottedStore(items, BatonLock(batons))
    context = ProfileContext(
        profile=PROFILE,
        description=DESCRIPTION,
        hooks=cast("HookCaller", server),
        hints=cast("HintsFile", shared),
        notifier=cast("ChangeNotifier", shared),
        clock=CLOCK,
        random=lambda: 0.0,
        interaction=None,
        open_store=lambda _: store,
    )
    store.save(Record(generation=1, payload=context.codec.encode(FIRST), written_at=0.0))
    memories = [Memory(), Memory()]
    works: list[Callable[[], Any]] = [Rotation(context, memory, held=FIRST, generation=1).run for memory in memories]
    batons.append(Baton(works))
    monkeypatch.setattr(_failpoints, "at", batons[0].wait)
    batons[0].follow(order)
    monkeypatch.setattr(_failpoints, "at", None)
    return server, store, memories, batons[0]


@proves("FAULT-24", "ROT-1", "ROT-2")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_in_every_order_the_token_is_used_once_and_both_continue(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for order in itertools.islice(orders(), chunk, None, CHUNKS):
        server, store, memories, baton = race(order, monkeypatch)
        assert baton.errors == [], order
        assert (server.grants, server.reused) == (1, 0), order
        assert [memory.served for memory in memories] == [[("at-2", 2)], [("at-2", 2)]], order
        snapshot = store.load()
        assert (snapshot.generation, snapshot.intent, snapshot.damaged) == (2, None, False), order


def test_there_are_12870_orders() -> None:
    assert sum(1 for _ in orders()) == 12_870


def test_one_process_passes_each_of_the_eight_points_once(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[str] = []
    original = Baton.wait

    def note(self: Baton, point: str = "") -> None:
        if point:
            passed.append(point)
        original(self, point)

    monkeypatch.setattr(Baton, "wait", note)
    race([0] * 16, monkeypatch)
    assert passed[:8] == list(_failpoints.POINTS)


def test_without_the_lock_the_orders_detect_reuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BatonLock, "acquire", lambda self, timeout: self._release)
    found = 0
    for order in itertools.islice(orders(), 0, None, 400):
        server, _, _, _ = race(order, monkeypatch)
        found += server.reused
    assert found > 0
