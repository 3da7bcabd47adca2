"""The application's entry point: returns credentials from memory, and keeps them fresh in the background."""

from __future__ import annotations

import functools
import logging
import random as random_module
import weakref
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, Unpack, overload

from attrs import evolve

from freshkey import expiry
from freshkey._accounts import accounts, logout, status
from freshkey._accounts import login as login_module
from freshkey._accounts.explanation import explanation
from freshkey._accounts.status import Status
from freshkey._config.configuration import Configuration
from freshkey._forksafe import in_child
from freshkey._renewal.context import Runtime
from freshkey._renewal.held_profiles import HeldProfiles, alias_of
from freshkey._renewal.managed import ManagedCredential
from freshkey._renewal.scheduler import Scheduler
from freshkey._renewal.single_flight import SharedFuture, arrival, run_in_thread
from freshkey._sources.explain import Explanation
from freshkey._trust.selection import named
from freshkey.adapters.account import AccountSource
from freshkey.clock import SYSTEM, Clock
from freshkey.errors import TransientError, about
from freshkey.events import Event, SignedOut, Subscribers
from freshkey.model.credential import C, Credential, GetOptions, Kind, of_kind
from freshkey.model.description import Description, Inspection
from freshkey.model.interaction import Approve, Interaction, LoggingReporter, NonInteractive, Reporter


if TYPE_CHECKING:
    import httpx

    from freshkey.model.exchange import Network

log = logging.getLogger(__name__)

T = TypeVar("T")

ROUNDS: Final = 3
"""How many times a caller tries: it may join a renewal that another caller started with other requirements."""

_SYSTEM_RANDOM: Final = random_module.SystemRandom()

CLOSING_TIMEOUT: Final = 10.0
"""How long `Keeper.close` waits for running renewals, in seconds."""


class Keeper:
    """Keeps the credentials of an application fresh.

    Creating one is cheap: no file is read and no provider is loaded until a profile is used. A keeper can be used from
    any number of threads and event loops, and after a fork.

    Args:
        configuration: Where profiles are defined; None reads the user's ``config.toml`` and environment.
        interaction: How to ask the user if a renewal needs them; None if the user must not be asked.
        clock: The clock to use.
        providers: Providers that are not installed, by ID: modules or objects with the hooks.
        bare: Use only credentials provided explicitly by argument, environment variable, file descriptor or helper
            command: no keychain, no configuration file, no browser.
        reporter: Receives messages about renewals, such as a slow helper command; None logs them.
        approve: How to ask the user a yes/no question, such as whether to use a key that was found instead of a
            sign-in; None uses `interaction`. Without either, the user is not asked.
        random: Returns a number from 0 to 1, for jitter.
        timeout: Maximum seconds that a caller waits if there is no usable credential yet.
        network: What answers the requests of providers in place of servers, for tests, such as
            `freshkey_testing.ScriptedExchanges`; None for the real network.
        at_terminal: Whether a user has typed the command that creates this keeper. What another tool keeps is then
            looked at again at once, even if another process has just found it unusable.
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
        network: Network | None = None,
        at_terminal: bool = False,
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
            network=network,
            at_terminal=at_terminal,
        )
        self._elapsed = clock.elapsed
        self._timeout = timeout
        self._scheduler = Scheduler(self, clock)
        self._profiles = HeldProfiles(self.configuration, self._runtime, self._scheduler)
        # The fast path: what `get` reads. Everything else goes through `_opened`, by the same names.
        self._held, self._opened = self._profiles.held, self._profiles.opened
        _KEEPERS.add(self)

    # --- credentials ----------------------------------------------------------------------------------------------

    @overload
    def get(self, profile: str | None = None, **options: Unpack[GetOptions]) -> Credential: ...

    @overload
    def get(self, profile: str | None = None, *, kind: Kind[C], **options: Unpack[GetOptions]) -> C: ...

    def get(
        self,
        profile: str | None = None,
        *,
        min_ttl: float = 0.0,
        refused: Credential | None = None,
        kind: Kind[Credential] | None = None,
        account: str | None = None,
    ) -> Credential:
        """Return a usable credential: from memory if it is fresh, otherwise as soon as there is one.

        The result is a snapshot: call this again for every request, which costs one lookup and one comparison.
        `freshkey._renewal.managed.ManagedCredential` has the full policy as a table.

        Args:
            profile: Name of the profile; None for the selected one.
            min_ttl: Minimum remaining lifetime in seconds; with less, the credential is renewed now, unless it was
                obtained only seconds ago. If its whole lifetime is shorter, one that is not due satisfies it, and so
                does one of a sign-in that ends at `Credential.ends_at_latest`: none lasts longer. If another tool's
                credential has less left and that tool has no newer one, that is an error.
            refused: A credential from this keeper that a server rejected. A newer one is returned; if there is
                none yet, it is renewed now.
            kind: The class that the credential must have, such as `freshkey.ApiKey`, or a tuple of classes of which any
                will do; the result is typed as that.
            account: Which of several identities under the profile: any text of up to 256 bytes in UTF-8, compared byte
                by byte. None if there is only one.

        Raises:
            ConfigurationError: It has another class than `kind` (``wrong-credential-kind``).
            TypeError: `kind` is no class, and no tuple of classes.
            LoginRequired: The user must sign in.
            TransientError: It has less than `min_ttl` left, and there is no newer one (``expires-too-soon``).
            FreshkeyError: There is no usable credential; each class says what to do next.
        """
        # Fast path: no lock and no wall clock. A dict lookup is atomic, and `ManagedCredential` has already folded both
        # clocks into the two deadlines. Only `refused` always takes the slow path.
        held = self._held.get(profile if account is None else alias_of(profile, account))
        if held is not None and refused is None:
            now = self._elapsed()
            if now < held.refresh_at and now + min_ttl < held.expires_at:
                return held.credential if kind is None else self._of_kind(held.credential, kind, profile, account)
        asking = self._asking(profile, account, min_ttl, refused)
        with about(profile, account):
            try:
                future = next(asking)
                while True:
                    future = asking.send(future.wait(self._timeout))
            except StopIteration as answer:
                credential: Credential = answer.value
                return credential if kind is None else self._of_kind(credential, kind, profile, account)

    @overload
    async def aget(self, profile: str | None = None, **options: Unpack[GetOptions]) -> Credential: ...

    @overload
    async def aget(self, profile: str | None = None, *, kind: Kind[C], **options: Unpack[GetOptions]) -> C: ...

    async def aget(
        self,
        profile: str | None = None,
        *,
        min_ttl: float = 0.0,
        refused: Credential | None = None,
        kind: Kind[Credential] | None = None,
        account: str | None = None,
    ) -> Credential:
        """Like `get`, for asyncio: does not block the event loop.

        Canceling one caller does not affect the others: the renewal continues.
        """
        # Fast path: see `get`.
        held = self._held.get(profile if account is None else alias_of(profile, account))
        if held is not None and refused is None:
            now = self._elapsed()
            if now < held.refresh_at and now + min_ttl < held.expires_at:
                return held.credential if kind is None else self._of_kind(held.credential, kind, profile, account)
        asking = self._asking(profile, account, min_ttl, refused)
        try:
            future = next(asking)
            while True:
                with about(profile, account):
                    arrived = await arrival(future, self._timeout)
                future = asking.send(arrived)
        except StopIteration as answer:
            credential: Credential = answer.value
            return credential if kind is None else self._of_kind(credential, kind, profile, account)

    def prefetch(self, *profiles: str, account: str | None = None) -> None:
        """Start getting credentials in the background for `profiles`, or the selected one, and return at once.

        Errors are raised by a later `get`. A locked keychain does not prompt before that. With `account`, it is that
        account of each profile: call it once for each account that you expect.
        """
        for profile in profiles or (None,):
            try:
                run_in_thread("prefetch", functools.partial(self._prefetch, profile, account))
            except TransientError as error:
                log.debug("prefetch failed: %s [%s]", error, error.code)

    def headers(
        self, profile: str | None, method: str, url: str, body: bytes = b"", *, account: str | None = None
    ) -> dict[str, str]:
        """Return the headers that authorize one request; see `get` and `Credential.headers`."""
        return self.get(profile, account=account).headers(method, url, body)

    def auth(self, profile: str | None = None, *, allow_http: bool = False, account: str | None = None) -> httpx.Auth:
        """Return an ``auth`` for httpx that signs each request, and if it is rejected, renews and retries once.

        Args:
            profile: Name of the profile; None for the selected one.
            allow_http: Also sign requests that are not encrypted; to this machine they always may be.
            account: Which of the profile's accounts; see `get`.
        """
        from freshkey.adapters.httpx import KeeperAuth

        return KeeperAuth(self if account is None else AccountSource(self, account), profile, allow_http)

    def refresh(self, profile: str | None = None, *, account: str | None = None) -> Credential:
        """Renew now, as requested by the user, and return the newer credential; `account` as for `get`.

        Raises:
            FreshkeyError: It could not be renewed; the existing credential is unaffected.
        """
        managed = self._open_profile(profile, account)
        with _about(managed):
            answer = managed.get(by_user=True)
            credential = answer if isinstance(answer, Credential) else answer.wait(self._timeout)
        return self.get(profile, account=account) if managed.has_ended(credential) else credential

    # --- sessions -------------------------------------------------------------------------------------------------

    def login(
        self,
        profile: str | None = None,
        *,
        source: str | None = None,
        pasted: bool = False,
        replace: bool = False,
        interaction: Interaction | None = None,
        account: str | None = None,
    ) -> Credential:
        """Sign in with the user's help and store the credential; one that it replaces is revoked at the provider.

        If a sign-in is stored that may still work, `interaction` is asked (`Interaction.confirm`) whether to replace
        it. If the user declines, it is kept and returned. Where the user cannot be asked, it is replaced.

        Args:
            profile: Name of the profile; None for the selected one.
            source: ID of the source to use; None selects one.
            pasted: Use the source for a secret that the user enters, such as an API key.
            replace: Replace a sign-in without asking.
            interaction: How to ask the user; None uses the keeper's.
            account: Which of the profile's accounts; see `get`. Nothing has to be configured for it.

        Raises:
            FreshkeyError: The sign-in failed; a credential stored earlier is unaffected.
        """
        managed = self._open_to_change(profile, account)
        own = managed.context.profile
        user = interaction or self._runtime.interaction or NonInteractive(own.name, account=own.account)
        with _about(managed):
            return login_module.sign_in(managed, source_id=source, pasted=pasted, replace=replace, interaction=user)

    def import_credential(
        self, profile: str | None, credential: Credential, *, account: str | None = None
    ) -> Credential:
        """Store a credential that the application obtained itself, as if the user had signed in with freshkey.

        For a web framework that has its own OAuth callback, or for moving sign-ins from another library: from then on
        freshkey keeps it and renews it, so nothing else may. What it replaces is not revoked at the provider, because
        it may be an earlier state of the same grant.

        Args:
            profile: Name of the profile; None for the selected one.
            credential: The credential, in a format of the provider. Its `source` names the one that it would have come
                from; empty for the one that a sign-in uses.
            account: Which of the profile's accounts; see `get`.

        Returns:
            The credential as it was stored.

        Raises:
            ConfigurationError: It is not one that this profile could have obtained and can keep.
            StoreError: It could not be stored.
        """
        from freshkey._accounts.import_credential import import_credential

        managed = self._open_to_change(profile, account)
        with _about(managed):
            return import_credential(managed, credential)

    def import_key(
        self,
        profile: str | None,
        service: str,
        username: str,
        *,
        reporter: Reporter | None = None,
        account: str | None = None,
    ) -> Credential:
        """Move a key that another program stored in the OS keychain into this profile.

        Args:
            profile: Name of the profile; None for the selected one.
            service: Service name of that program's keychain item.
            username: User name of that program's keychain item.
            reporter: Receives progress messages; None uses the keeper's.
            account: Which of the profile's accounts; see `get`.

        Raises:
            FreshkeyError: The import failed; that program's item still exists.
        """
        from freshkey._accounts.import_key import ForeignItem, import_key

        managed = self._open_to_change(profile, account)
        settings = self.configuration.stores.get("keyring", {})
        with _about(managed):
            item = ForeignItem.of(managed.context.profile, service, username, settings)
            return import_key(managed, item, reporter or self._runtime.reporter)

    def logout(self, profile: str | None = None, *, account: str | None = None) -> SignedOut:
        """Revoke and remove the owned credential of a profile, or of one of its accounts; return what was done.

        Other processes notice that, and so does a copy of the store that is put back. Afterward, an account is one that
        no one has signed in to.

        Raises:
            StoreError: It could not be removed.
        """
        managed = self._open_to_change(profile, account)
        with _about(managed):
            return logout.sign_out(managed)

    def accounts(self, profile: str | None = None) -> tuple[str, ...]:
        """Return the accounts of a profile that someone is signed in to, sorted.

        Keychains cannot list what they hold, so these are the accounts that were used on this machine; one that only a
        deleted state directory knew comes back when it is used.

        Raises:
            StoreError: The store lists them itself, and cannot be read.
        """
        self._must_be_open()
        with about(profile):
            return accounts.accounts(self._profiles.context(profile))

    def status(self, profile: str | None = None, *, account: str | None = None) -> Status:
        """Return the state of a profile, or of one of its accounts, without using the network."""
        managed = self._open_profile(profile, account)
        with _about(managed):
            return status.status(managed)

    def inspect(self, profile: str | None = None, *, account: str | None = None) -> Inspection:
        """Check with the provider whose credential it is, and whether it is still valid."""
        managed = self._open_profile(profile, account)
        context, credential = managed.context, self.get(profile, account=account)
        with _about(managed):
            return context.hooks.inspect(context.profile, credential)

    def explain(self, profile: str | None = None, *, account: str | None = None) -> Explanation:
        """Return which profile is selected, which source is used, and why."""
        selection = self.configuration.select(profile)
        # By its name, as if the caller had named it: this gives out nothing, and shows what a project would choose.
        managed = self._open_profile(selection.name, selection.account if account is None else account)
        return explanation(managed, selection, self.configuration.choices(profile))

    def describe(self, profile: str | None = None) -> Description:
        """Return the description of a profile's provider."""
        return self._open_profile(profile).context.description

    def export(
        self, format_name: str, credential: Credential, profile: str | None = None, *, account: str | None = None
    ) -> str:
        """Return a credential of a profile in one of its provider's formats for other tools.

        Args:
            format_name: The format, of those in ``describe(profile).exports``.
            credential: What `get` returned.
            profile: The profile.
            account: Which of its accounts; see `get`.

        Raises:
            ConfigurationError: The format cannot hold this credential.
            PluginBroken: The provider raised something else.
        """
        return self._open_profile(profile, account).context.export(format_name, credential)

    def profiles(self) -> tuple[str, ...]:
        """Return the names of the configured profiles."""
        return self.configuration.profile_names()

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with each event from now on, on the emitting thread; return a function to unsubscribe."""
        return self._subscribers.add(callback)

    # --- end --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop returning credentials, and wait up to 10 s for running renewals so that their results are saved.

        A renewal that pauses before its next attempt ends at once.
        """
        self._profiles.close()
        self._scheduler.stop()
        deadline = self._elapsed() + CLOSING_TIMEOUT
        for managed in self.all_managed():
            managed.close()
        for managed in self.all_managed():
            managed.finish(max(0.0, deadline - self._elapsed()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- internal ---------------------------------------------------------------------------------------------------

    def all_managed(self) -> Collection[ManagedCredential]:
        """Return all profiles in use; for the timer."""
        return self._profiles.all()

    def _asking(
        self, profile: str | None, account: str | None, min_ttl: float, refused: Credential | None
    ) -> Generator[SharedFuture[Any], Any, Credential]:
        """Yield futures to wait for, then return the credential; `get` and `aget` differ only in how they wait."""
        managed = self._opened.get(alias_of(profile, account))
        if managed is None:
            managed = yield self._profiles.open(profile, account)
        for round_ in range(ROUNDS):
            self._must_be_open()
            answer = managed.get(min_ttl=min_ttl, refused=refused)
            waited = isinstance(answer, SharedFuture)
            credential: Credential = (yield answer) if isinstance(answer, SharedFuture) else answer
            still_refused = refused is not None and credential.authorizes_like(refused)
            # We may have joined a renewal that was started without our `refused` or `min_ttl`: then try again.
            again = still_refused or (waited and min_ttl and round_ == 0)
            # And we may have woken up late, or got another process's credential, which is due.
            if not again and not (waited and managed.has_ended(credential)):
                return (yield from self._lasting(managed, credential, min_ttl)) if min_ttl else credential
        if not still_refused and not credential.expired():
            return (yield from self._lasting(managed, credential, min_ttl)) if min_ttl else credential
        raise TransientError(
            "there is no newer credential yet", profile=managed.context.profile.name, code="no-newer-credential"
        )

    @staticmethod
    def _lasting(
        managed: ManagedCredential, credential: Credential, min_ttl: float
    ) -> Generator[SharedFuture[Any], Any, Credential]:
        """Return a credential that lasts, after a second look at its source if this one ends too soon."""
        if managed.lasts(credential, min_ttl):
            return credential
        answer = managed.look_again()
        newer: Credential = (yield answer) if isinstance(answer, SharedFuture) else answer
        if managed.lasts(newer, min_ttl):
            return newer
        left = expiry.seconds_left(newer.obtained, newer.lifetime, managed.context.clock.now())
        raise TransientError(
            f"the credential expires in {max(left, 0):.0f} s instead of {min_ttl:g} s, "
            "and its source has none that lasts longer",
            profile=managed.context.profile.name,
            hint="Renew it where it comes from, or request less remaining lifetime",
            code="expires-too-soon",
        )

    def _prefetch(self, profile: str | None, account: str | None, future: SharedFuture[Credential]) -> None:
        # No one waits, so the keychain does not prompt; a caller who joins may have it prompt.
        answer = self._open_profile(profile, account).get(background=True)
        future.set_result(answer.wait(self._timeout) if isinstance(answer, SharedFuture) else answer)

    def _must_be_open(self) -> None:
        self._profiles.must_be_open()

    def _of_kind(self, credential: Credential, kind: Kind[C], profile: str | None, account: str | None) -> C:
        """Return a credential that must be of a class; the error names the profile, whoever selected it."""
        if isinstance(kind, type) and isinstance(credential, kind):
            return credential  # on the fast path of each request, which opens nothing
        with _about(self._open_profile(profile, account)):
            return of_kind(credential, kind)

    def _open_profile(self, profile: str | None, account: str | None = None) -> ManagedCredential:
        """Return a profile of this keeper, and open it first if needed."""
        self._must_be_open()
        with about(profile, account):
            opened = self._opened.get(alias_of(profile, account))
            return opened or self._profiles.open(profile, account).wait(self._timeout)

    def _open_to_change(self, profile: str | None, account: str | None) -> ManagedCredential:
        """Return a profile whose sign-in is to be changed: never one that only a project's file chose."""
        self._must_be_open()
        selection = named(self.configuration, profile, self._runtime.providers)
        return self._open_profile(selection.name, account if account is not None else selection.account)

    def after_fork(self) -> None:
        """In a forked child: keep the credentials, but replace the parent's locks and forget its threads."""
        self._profiles.after_fork()
        self._scheduler.forget_threads()
        self._runtime.breaker.forget_threads()


def _about(managed: ManagedCredential) -> AbstractContextManager[None]:
    """Name the profile and the account in errors, also if something else than the caller selected them."""
    return about(managed.context.profile.name, managed.context.profile.account)


_KEEPERS: weakref.WeakSet[Keeper] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for keeper in tuple(_KEEPERS):
        keeper.after_fork()


in_child(_after_fork_in_child)
