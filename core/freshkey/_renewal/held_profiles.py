"""The profiles and accounts that a keeper holds: opened on first use, and found again by every name for them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Collection
from typing import Final, TypeAlias

from attrs import evolve

from freshkey._config.configuration import Configuration
from freshkey._forksafe import block_fork
from freshkey._renewal.context import ProfileContext, Runtime, build_context
from freshkey._renewal.deadlines import CacheEntry
from freshkey._renewal.managed import ManagedCredential
from freshkey._renewal.scheduler import Scheduler
from freshkey._renewal.single_flight import SharedFuture, run_in_thread
from freshkey._trust.selection import chosen
from freshkey.errors import KeeperClosed, about
from freshkey.events import Event
from freshkey.model.account import checked_account


Alias: TypeAlias = str | tuple[str | None, str] | None
"""What callers call a profile: its name, or None for the selected one; with an account, a pair of that and the account.

Without an account it is what `Keeper.get` is called with, so that the fast path builds no tuple.
"""

_Own: TypeAlias = tuple[str, str | None]
"""A profile's own name, and the account."""


def alias_of(profile: str | None, account: str | None) -> Alias:
    """Return what to look an account of a profile up by.

    Raises:
        ConfigurationError: The account is invalid.
    """
    if account is None:
        return profile
    # The comparison of a subclass need not be that of a string: it could find what is held for another account.
    return profile, account if type(account) is str else checked_account(account)


class HeldProfiles:
    """What one keeper holds, by profile and account.

    Args:
        configuration: Where profiles are defined.
        runtime: What all of them share.
        scheduler: The timer, which reads new deadlines.

    Attributes:
        held: The fast path: what `Keeper.get` reads, by what callers call it.
        opened: What is in use, by what callers call it.
        closed: Whether nothing is returned any more.
    """

    def __init__(self, configuration: Configuration, runtime: Runtime, scheduler: Scheduler) -> None:
        self._configuration = configuration
        self._runtime = runtime
        self._scheduler = scheduler
        self.held: Final[dict[Alias, CacheEntry]] = {}
        self.opened: Final[dict[Alias, ManagedCredential]] = {}
        self.closed = False
        self._managed: dict[_Own, ManagedCredential] = {}
        # A provider is described once for all accounts of a profile.
        self._contexts: dict[str, ProfileContext] = {}
        self._aliases: dict[_Own, list[Alias]] = {}
        self._noted: set[_Own] = set()
        self._forget_threads()

    def all(self) -> Collection[ManagedCredential]:
        """Return everything in use."""
        with self._mutex:
            return tuple(self._managed.values())

    def must_be_open(self) -> None:
        """Raise `KeeperClosed` if nothing is returned any more."""
        if self.closed:
            raise KeeperClosed("this keeper is closed", hint="Create a new Keeper")

    def close(self) -> None:
        """Return nothing from now on."""
        with self._mutex:
            self.closed = True
            self.held.clear()

    def open(self, profile: str | None, account: str | None = None) -> SharedFuture[ManagedCredential]:
        """Load what a profile needs on a separate thread; concurrent callers share it.

        Raises:
            ConfigurationError: The account is invalid.
        """
        if account is not None:
            account = checked_account(account)
        alias = alias_of(profile, account)
        with self._mutex:
            self.must_be_open()
            managed = self.opened.get(alias)
            if managed is not None:  # since the caller looked
                opened = SharedFuture[ManagedCredential]()
                opened.set_result(managed)
                return opened
            future = self._openings.get(alias)
            if future is None or future.done:
                future = run_in_thread(
                    "opening",
                    lambda future: self._do_open(future, profile, account),
                    late="timed out while its provider was being loaded",
                )
                self._openings[alias] = future
            return future

    def context(self, profile: str | None) -> ProfileContext:
        """Return the context of a profile without an account, which is loaded if needed."""
        name = self._select(profile)[0]
        with block_fork(), self._opening(name):
            return self._context(name)

    def _do_open(self, future: SharedFuture[ManagedCredential], profile: str | None, account: str | None) -> None:
        with block_fork():
            name, selected = self._select(profile)
            own = name, account if account is not None else selected
            with self._opening(name), about(*own):
                managed = self._managed.get(own) or self._new_managed(*own)
        alias = alias_of(profile, account)
        with self._mutex:
            self._managed[own] = self.opened[alias] = managed
            aliases = self._aliases.setdefault(own, [])
            if alias not in aliases:
                aliases.append(alias)
            if managed.held is not None and not self.closed:
                self.held[alias] = managed.held
            # A thousand accounts should not keep a thousand futures.
            self._openings.pop(alias, None)
        future.set_result(managed)
        self._scheduler.wake()

    def _select(self, profile: str | None) -> _Own:
        # Here, and not where a profile is loaded: one profile may be both named and chosen by a project.
        selection = chosen(self._configuration, profile, self._runtime.providers, self._runtime.approve)
        return selection.name, selection.account

    def _opening(self, name: str) -> threading.Lock:
        # One lock per profile: two names may mean the same one, and a provider that hangs must not block others.
        return self._opening_mutexes.setdefault(name, threading.Lock())

    def _context(self, name: str) -> ProfileContext:
        context = self._contexts.get(name)
        if context is None:
            context = self._contexts[name] = build_context(name, self._configuration, self._runtime)
        return context

    def _new_managed(self, name: str, account: str | None) -> ManagedCredential:
        context = self._context(name)
        emit = self._runtime.emit
        if account is not None:
            context = context.for_account(account)
            emit = functools.partial(self._emit_of, account)
        publish = functools.partial(self._publish, (name, account))
        return ManagedCredential(context, publish=publish, emit=emit, wake=self._scheduler.wake)

    def _emit_of(self, account: str, event: Event) -> None:
        self._runtime.emit(evolve(event, account=account))

    def _publish(self, own: _Own, held: CacheEntry | None) -> None:
        """Put a cache entry where `Keeper.get` finds it, under every name that callers use for the profile."""
        with self._mutex:
            for alias in self._aliases.get(own, ()):
                if alias not in self.opened:
                    continue
                if held is None or self.closed:
                    self.held.pop(alias, None)
                else:
                    self.held[alias] = held
        if own[1] is not None:
            self._list(own, own[1], held)

    def _list(self, own: _Own, account: str, held: CacheEntry | None) -> None:
        """Note an account that has a sign-in, once; after it had none, it may have to be noted again."""
        index = self._contexts[own[0]].index
        if held is None or index is None:
            self._noted.discard(own)
        elif own not in self._noted:
            self._noted.add(own)
            index.note(account)

    def _forget_threads(self) -> None:
        self._mutex = threading.Lock()
        self._opening_mutexes: dict[str, threading.Lock] = {}
        self._openings: dict[Alias, SharedFuture[ManagedCredential]] = {}

    def after_fork(self) -> None:
        """In a forked child: keep the credentials, but replace the parent's locks and forget its threads."""
        self._forget_threads()
        # The parent's timer does not exist here. The next `get` opens its profile again, which starts a new one.
        self.held.clear()
        self.opened.clear()
        for managed in self._managed.values():
            managed.forget_threads()
