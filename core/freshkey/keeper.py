"""The application's face: hands out credentials from memory, and keeps them fresh behind it."""

from __future__ import annotations

import contextlib
import functools
import logging
import random as random_module
import threading
import weakref
from collections.abc import Callable, Collection, Generator, Mapping
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from attrs import evolve

from freshkey._accounts import login as login_module
from freshkey._accounts import logout, status
from freshkey._accounts.status import Status
from freshkey._config.configuration import Configuration
from freshkey._forksafe import block_fork, in_child
from freshkey._renewal import reading
from freshkey._renewal.context import Runtime, build_context
from freshkey._renewal.managed import CacheEntry, ManagedCredential
from freshkey._renewal.scheduler import Scheduler
from freshkey._renewal.single_flight import SharedFuture, run_in_thread
from freshkey._sources import explain
from freshkey._sources.explain import Explanation
from freshkey._trust.source_consent import SourceAnswers, recalling
from freshkey.clock import SYSTEM, Clock
from freshkey.errors import KeeperClosed, TransientError, about
from freshkey.events import Event, SignedOut, Subscribers
from freshkey.model.credential import Credential
from freshkey.model.description import Description, Inspection
from freshkey.model.interaction import Approve, Interaction, LoggingReporter, NonInteractive, Reporter


if TYPE_CHECKING:
    import httpx

log = logging.getLogger("freshkey")

T = TypeVar("T")

ROUNDS: Final = 3
"""How often a caller asks again when the renewal that it joined was for somebody with smaller wishes."""

_SYSTEM_RANDOM: Final = random_module.SystemRandom()

CLOSING_TIMEOUT: Final = 10.0
"""Seconds for which `Keeper.close` waits for renewals under way."""


class Keeper:
    """Keeps the credentials of an application fresh.

    Making one costs nothing: no file is read and no provider loaded until a profile is asked for. It is safe to use
    from any number of threads and event loops, and after a fork.

    Args:
        configuration: Where profiles are defined; None reads the user's ``config.toml`` and environment.
        interaction: A person who may be asked when a renewal needs one; None never asks anybody.
        clock: Tells the time.
        providers: Providers by id that need not be installed: modules or objects with the hooks.
        bare: Use only what is handed in by argument, environment variable, file descriptor or helper command: no
            keychain, no configuration file, no browser.
        reporter: Hears what renewals have to say, such as that a helper is slow; None logs it.
        approve: Asks a person a question that is answered with yes or no, such as whether a key that was found may be
            used instead of a sign-in; None asks that of `interaction`. Without either nobody is asked.
        random: Returns a number from 0 to 1, for jitter.
        timeout: Seconds a caller waits at the most when there is no usable credential yet.
    """

    def __init__(
        self,
        *,
        configuration: Configuration | None = None,
        interaction: Interaction | None = None,
        clock: Clock = SYSTEM,
        providers: Mapping[str, object] | None = None,
        bare: bool = False,
        reporter: Reporter | None = None,
        approve: Approve | None = None,
        random: Callable[[], float] = _SYSTEM_RANDOM.random,
        timeout: float = 45.0,
    ) -> None:
        self.configuration = configuration or Configuration.load(bare=bare)
        if bare:
            self.configuration = evolve(self.configuration, bare=True)
        self._subscribers = Subscribers()
        self._runtime = Runtime(
            clock=clock,
            random=random,
            interaction=interaction,
            reporter=reporter or LoggingReporter(),
            approve=approve or (interaction.confirm if interaction is not None else None),
            providers=providers or {},
            emit=self._subscribers.tell,
        )
        self._elapsed = clock.elapsed
        self._timeout = timeout
        # The data plane: what `get` reads, by the name that callers use (None for the selected profile).
        self._held: dict[str | None, CacheEntry] = {}
        # The control plane: by the name that callers use, and by the profile's own name.
        self._opened: dict[str | None, ManagedCredential] = {}
        self._managed: dict[str, ManagedCredential] = {}
        self._closed = False
        self._scheduler = Scheduler(self, clock)
        self._forget_threads()
        _KEEPERS.add(self)

    # --- credentials ----------------------------------------------------------------------------------------------

    def get(self, profile: str | None = None, *, min_ttl: float = 0.0, refused: Credential | None = None) -> Credential:
        """Return a usable credential: from memory if it is fresh, else as soon as there is one.

        What comes back is a snapshot; ask again for every request, it costs one look-up and one comparison.

        Args:
            profile: Name of the profile; None for the selected one.
            min_ttl: Seconds it must have left at the least; renewed now if it has less. A credential that was just
                obtained satisfies any wish.
            refused: A credential from this keeper that a server answered with 401. A newer one is returned, renewed
                now if there is none yet.

        Raises:
            LoginRequired: A person must sign in.
            FreshkeyError: There is no usable credential; each class says what to do next.
        """
        held = self._held.get(profile)
        if held is not None and refused is None:
            now = self._elapsed()
            if now < held.refresh_at and now + min_ttl < held.expires_at:
                return held.credential
        asking = self._asking(profile, min_ttl, refused)
        with about(profile):
            try:
                future = next(asking)
                while True:
                    future = asking.send(future.wait(self._timeout))
            except StopIteration as answer:
                credential: Credential = answer.value
                return credential

    async def aget(
        self, profile: str | None = None, *, min_ttl: float = 0.0, refused: Credential | None = None
    ) -> Credential:
        """Do the same as `get` for asyncio, never blocking the event loop.

        Cancelling an awaiter drops that awaiter alone; the renewal goes on for the others.
        """
        held = self._held.get(profile)
        if held is not None and refused is None:
            now = self._elapsed()
            if now < held.refresh_at and now + min_ttl < held.expires_at:
                return held.credential
        asking = self._asking(profile, min_ttl, refused)
        try:
            future = next(asking)
            while True:
                with about(profile):
                    arrived = await _arrival(future, self._timeout)
                future = asking.send(arrived)
        except StopIteration as answer:
            credential: Credential = answer.value
            return credential

    def prefetch(self, *profiles: str) -> None:
        """Start to get credentials in the background, for the profiles named or the selected one; returns at once.

        What goes wrong is raised by the `get` that asks later.
        """
        for profile in profiles or (None,):
            try:
                run_in_thread("prefetch", functools.partial(self._prefetch, profile))
            except TransientError as error:
                log.debug("not prefetched: %s", error)

    def headers(self, profile: str | None, method: str, url: str, body: bytes = b"") -> dict[str, str]:
        """Return the headers that authorize one request; see `get` and `Credential.headers`."""
        return self.get(profile).headers(method, url, body)

    def auth(self, profile: str | None = None) -> httpx.Auth:
        """Return an authentication for httpx that signs each request, and renews and retries once on a 401."""
        from freshkey.adapters.httpx import KeeperAuth

        return KeeperAuth(self, profile)

    def refresh(self, profile: str | None = None) -> Credential:
        """Renew now, because a person asked for it, and return the newer credential.

        Raises:
            FreshkeyError: There is no newer one; what was there is still there.
        """
        answer = self._open_profile(profile).get(by_user=True)
        return answer if isinstance(answer, Credential) else answer.wait(self._timeout)

    # --- sessions -------------------------------------------------------------------------------------------------

    def login(
        self,
        profile: str | None = None,
        *,
        source: str | None = None,
        pasted: bool = False,
        interaction: Interaction | None = None,
    ) -> Credential:
        """Sign in with a person's help and keep the credential.

        Args:
            profile: Name of the profile; None for the selected one.
            source: Id of the source to use; None chooses.
            pasted: Use the source for a secret that the person hands in, such as an API key.
            interaction: The person; None takes the keeper's.

        Raises:
            FreshkeyError: It was not possible; nothing that was stored is lost.
        """
        managed = self._open_profile(profile)
        user = interaction or self._runtime.interaction or NonInteractive(managed.context.profile.name)
        return login_module.sign_in(managed, source_id=source, pasted=pasted, interaction=user)

    def import_key(
        self, profile: str | None, service: str, username: str, *, reporter: Reporter | None = None
    ) -> Credential:
        """Keep the key that another program has in the operating system's keychain, and delete it there.

        Args:
            profile: Name of the profile; None for the selected one.
            service: Service name of that program's item.
            username: User name of that program's item.
            reporter: Hears of each step; None takes the keeper's.

        Raises:
            FreshkeyError: It was not possible; then that program's item is still there.
        """
        from freshkey._accounts.import_key import ForeignItem, import_key

        managed = self._open_profile(profile)
        settings = self.configuration.stores.get("keyring", {})
        item = ForeignItem.of(managed.context.profile, service, username, settings)
        return import_key(managed, item, reporter or self._runtime.reporter)

    def logout(self, profile: str | None = None) -> SignedOut:
        """Revoke and remove the owned credential of a profile, and say how that went.

        Raises:
            StoreError: It could not be removed.
        """
        return logout.sign_out(self._open_profile(profile))

    def status(self, profile: str | None = None) -> Status:
        """Say how a profile stands, without the network."""
        return status.status(self._open_profile(profile))

    def inspect(self, profile: str | None = None) -> Inspection:
        """Ask the provider whose the credential is and whether it still honors it."""
        credential = self.get(profile)
        context = self._open_profile(profile).context
        return context.hooks.inspect(context.profile, credential)

    def explain(self, profile: str | None = None) -> Explanation:
        """Say which profile is meant and which source is used, and why."""
        selected_by = self.configuration.select(profile).selected_by
        context = self._open_profile(profile).context
        return explain.explain(
            context.profile,
            context.description,
            selected_by=selected_by,
            detect=lambda source: context.hooks.detect(context.profile, source),
            stored=lambda: reading.stored_credential(context),
            consent=context.consent and recalling(context.profile.name, SourceAnswers(context.profile.state_dir)),
            selection=self.configuration.choices(profile),
        )

    def describe(self, profile: str | None = None) -> Description:
        """Return what the provider of a profile says of itself."""
        return self._open_profile(profile).context.description

    def profiles(self) -> tuple[str, ...]:
        """Return the names of the configured profiles."""
        return self.configuration.profile_names()

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with every event from now on, on the thread where it happened; return what ends that."""
        return self._subscribers.add(callback)

    # --- end --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Hand out nothing more; wait for renewals under way, 10 s at the most, so that what they got is kept."""
        with self._mutex:
            self._closed = True
            self._held.clear()
        self._scheduler.stop()
        deadline = self._elapsed() + CLOSING_TIMEOUT
        for managed in self.all_managed():
            managed.finish(max(0.0, deadline - self._elapsed()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    def all_managed(self) -> Collection[ManagedCredential]:
        """Return what is held now; for the timer."""
        with self._mutex:
            return tuple(self._managed.values())

    def _asking(
        self, profile: str | None, min_ttl: float, refused: Credential | None
    ) -> Generator[SharedFuture[Any], Any, Credential]:
        """Yield what to wait for until there is an answer: one course of action for threads and event loops."""
        managed = self._opened.get(profile)
        if managed is None:
            managed = yield self._open(profile)
        for round_ in range(ROUNDS):
            self._must_be_open()
            answer = managed.get(min_ttl=min_ttl, refused=refused)
            waited = isinstance(answer, SharedFuture)
            credential: Credential = (yield answer) if isinstance(answer, SharedFuture) else answer
            still_refused = refused is not None and credential.authorizes_like(refused)
            # The renewal that we joined may have been for somebody with smaller wishes.
            if not still_refused and not (waited and min_ttl and round_ == 0):
                return credential
        raise TransientError("there is no newer credential yet", profile=managed.context.profile.name)

    def _prefetch(self, profile: str | None, future: SharedFuture[Credential]) -> None:
        future.set_result(self.get(profile))

    def _must_be_open(self) -> None:
        if self._closed:
            raise KeeperClosed("this keeper was closed", hint="Make a new Keeper")

    def _open_profile(self, profile: str | None) -> ManagedCredential:
        """Return a profile of this keeper, opening it first if need be."""
        self._must_be_open()
        with about(profile):
            return self._opened.get(profile) or self._open(profile).wait(self._timeout)

    def _open(self, profile: str | None) -> SharedFuture[ManagedCredential]:
        """Load what a profile needs on a thread of its own; callers at the same time share it."""
        with self._mutex:
            self._must_be_open()
            future = self._openings.get(profile)
            if future is None or (future.done and profile not in self._opened):
                future = run_in_thread(
                    "opening",
                    lambda future: self._do_open(future, profile),
                    daemon=True,
                    late="its provider is still being loaded",
                )
                self._openings[profile] = future
            return future

    def _do_open(self, future: SharedFuture[ManagedCredential], alias: str | None) -> None:
        with block_fork():
            name = self.configuration.select(alias).name
            # Two names may mean one profile. One lock for all would let a provider that hangs keep out the others.
            with self._opening_mutexes.setdefault(name, threading.Lock()):
                managed = self._managed.get(name) or self._new_managed(name)
        with self._mutex:
            self._managed[name] = self._opened[alias] = managed
            if managed.held is not None and not self._closed:
                self._held[alias] = managed.held
        future.set_result(managed)
        self._scheduler.wake()

    def _new_managed(self, name: str) -> ManagedCredential:
        context = build_context(name, self.configuration, self._runtime)
        publish = functools.partial(self._publish, name)
        return ManagedCredential(context, publish=publish, emit=self._subscribers.tell, wake=self._scheduler.wake)

    def _publish(self, name: str, held: CacheEntry | None) -> None:
        """Put what a profile holds where `get` finds it, under every name that callers use for it."""
        with self._mutex:
            managed = self._managed.get(name)
            for alias, opened in self._opened.items():
                if opened is not managed:
                    continue
                if held is None or self._closed:
                    self._held.pop(alias, None)
                else:
                    self._held[alias] = held

    def _forget_threads(self) -> None:
        self._mutex = threading.Lock()
        self._opening_mutexes: dict[str, threading.Lock] = {}
        self._openings: dict[str | None, SharedFuture[ManagedCredential]] = {}

    def after_fork(self) -> None:
        """In a forked child: go on with what is held, without the parent's threads and locks."""
        self._forget_threads()
        # Asking for a profile opens it again, which starts the child's own timer.
        self._held.clear()
        self._opened.clear()
        self._scheduler.forget_threads()
        self._runtime.breaker.forget_threads()
        for managed in self._managed.values():
            managed.forget_threads()


async def _arrival(future: SharedFuture[T], patience: float) -> T:
    """Wait for a shared future without blocking the event loop."""
    import asyncio

    loop, arrived = asyncio.get_running_loop(), asyncio.Event()

    def done() -> None:
        # The loop may be closed by now: then nobody is waiting there any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(arrived.set)

    future.add_done_callback(done)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await arrived.wait()
    return future.wait(0)


_KEEPERS: weakref.WeakSet[Keeper] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for keeper in tuple(_KEEPERS):
        keeper.after_fork()


in_child(_after_fork_in_child)
