"""Everything that renewals of one profile need, assembled once when the profile is first used."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from attrs import Factory, asdict, evolve, field, frozen

from freshkey import expiry
from freshkey._config.configuration import Configuration
from freshkey._config.provider_settings import with_own_files
from freshkey._files.unchangeable import ensure_unchangeable
from freshkey._forksafe import block_fork
from freshkey._http.bound import with_send
from freshkey._http.circuit_breaker import CircuitBreaker, GuardedCall
from freshkey._interprocess.account_index import AccountIndex
from freshkey._interprocess.hints import HintsFile, ProcessHints
from freshkey._interprocess.notifier import ChangeNotifier
from freshkey._plugins import discovery
from freshkey._plugins.clean_store import clean_store
from freshkey._plugins.connect import connect
from freshkey._plugins.hook_caller import HookCaller
from freshkey._renewal.deadlines import seconds_until_due
from freshkey._renewal.retry import OnRetry, Policy, call_with_retry
from freshkey._renewal.seen import Seen
from freshkey._sources.precedence import Consent
from freshkey._stores.options import FORGETFUL, StoreSettingWrong
from freshkey._trust.project_commands import trusting
from freshkey._trust.project_files import ensure_own_environment, ensure_trusted
from freshkey._trust.source_consent import asking
from freshkey.clock import Clock
from freshkey.errors import ConfigurationError, about
from freshkey.events import Event
from freshkey.expiry import Freshness
from freshkey.model.credential import Credential
from freshkey.model.description import Description
from freshkey.model.exchange import Network
from freshkey.model.interaction import Approve, Interaction, LoggingReporter, Reporter
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore


if TYPE_CHECKING:
    from freshkey._stores.records.codec import Codec

T = TypeVar("T")


@frozen(kw_only=True)
class Runtime:
    """What all profiles of one keeper share.

    Attributes:
        clock: The clock to use.
        random: Returns a number from 0 to 1.
        interaction: The user, who may be asked in the middle of a renewal; None in a non-interactive session.
        reporter: Receives the messages of renewals that run in the background.
        approve: How to ask the user whether to use something that was found; None in a non-interactive session.
        providers: Providers passed by the application, by ID; they override installed ones.
        emit: Receives events about observers that fail.
        network: What answers in place of servers and browsers; None for the real ones.
        breaker: State of the hosts that renewals call.
        at_terminal: Whether a user has typed the command that is running, and waits for it.
    """

    clock: Clock
    random: Callable[[], float]
    interaction: Interaction | None = None
    reporter: Reporter = field(factory=LoggingReporter)
    approve: Approve | None = None
    providers: Mapping[str, object] = field(factory=dict)
    emit: Callable[[Event], None] = field(default=lambda _: None, repr=False)
    network: Network | None = None
    breaker: CircuitBreaker = field(
        default=Factory(lambda runtime: CircuitBreaker(runtime.clock), takes_self=True), repr=False
    )
    at_terminal: bool = False

    def with_retry(
        self,
        call: Callable[[], T],
        policy: Policy | None = None,
        *,
        stop: Callable[[], bool],
        forced: bool,
        closing: threading.Event | None = None,
        on_retry: OnRetry | None = None,
        unreported: str | None = None,
    ) -> T:
        """Return what `call_with_retry` returns; `forced` and `unreported` as in `GuardedCall`."""
        return call_with_retry(
            call,
            policy or Policy(),
            clock=self.clock,
            random=self.random,
            stop=stop,
            guarded=GuardedCall(self.breaker, forced=forced, unreported=unreported),
            closing=closing,
            on_retry=on_retry,
        )


@frozen(kw_only=True)
class ProfileContext(Runtime):
    """One profile, its provider and store, and what it shares with other profiles.

    Attributes:
        profile: The profile with typed settings.
        description: The provider's description of itself for this profile.
        hooks: The provider's and the store's hooks.
        hints: Information shared with other processes about this profile.
        notifier: Announces and detects changes to any profile in the state directory.
        seen: What this process saw in the profile's stores.
        consent: Decides about sources that need the user's consent; None uses them without asking.
        index: The accounts of the profile; None if its sign-ins end with the process.
    """

    profile: Profile
    description: Description
    hooks: HookCaller
    hints: HintsFile
    notifier: ChangeNotifier
    consent: Consent | None = None
    index: AccountIndex | None = None
    seen: Seen = field(factory=Seen, repr=False)
    _open_store: Callable[[Profile], CredentialStore] = field(repr=False)
    _opened_store: Callable[[], CredentialStore] = field(init=False, repr=False)

    @_opened_store.default
    def _opens_once(self) -> Callable[[], CredentialStore]:
        return _once(lambda: self._open_store(self.profile))

    @property
    def store(self) -> CredentialStore:
        """The store of owned credentials, opened on first use."""
        return self._opened_store()

    def for_account(self, account: str) -> ProfileContext:
        """Return the context of one account: the provider, its description and the settings are those of the profile.

        Raises:
            ConfigurationError: In bare mode, which knows no sign-ins and so no accounts.
        """
        profile = evolve(self.profile, account=account)
        if profile.bare:
            message, hint = "bare mode has no accounts", "Use the account without bare mode"
            raise ConfigurationError(message, profile=profile.name, hint=hint, code="bare-mode")
        # An account's only sources are its own sign-ins, so there is nothing to consent to.
        return evolve(self, profile=profile, hints=_hints(profile), seen=Seen(), consent=None)

    def hosts_of(self, source: str) -> str | None:
        """Return what stands for the hosts that a source calls without reporting it; None if none is described."""
        hosts = ", ".join(sorted(self.description.hosts))
        return f"{hosts} (source {source!r} of {self.profile.provider!r})" if hosts else None

    def lead(self, credential: Credential) -> float | None:
        """Return how many seconds before expiry to renew, as set by profile, credential or provider, in this order."""
        leads = (self.profile.lead, credential.lead, self.description.lead)
        return next((lead for lead in leads if lead is not None), None)

    def renews(self, credential: Credential, *, asked: bool = False) -> bool:
        """Return whether freshkey can get a newer one without the user.

        Args:
            credential: The credential.
            asked: Also one that does not last longer: the user asks for it, or a server refused this one.
        """
        source = self.description.source(credential.source)
        if source is not None and not source.needs_sign_in:
            return True
        return credential.renewable and not (self.is_over(credential) if asked else credential.ends_for_good)

    def is_automatic(self, credential: Credential) -> bool:
        """Return whether freshkey gets another one without the user, so that the end of this one is no one's loss."""
        source = self.description.source(credential.source)
        return source is not None and source.automatic

    def is_over(self, credential: Credential) -> bool:
        """Return whether it has lived as long as it can live whatever renewals say (`Credential.ends_at_latest`)."""
        return credential.ends_for_good and self.freshness(credential) is Freshness.EXPIRED

    def freshness(self, credential: Credential, jitter: float = 0.0) -> Freshness:
        """Return whether a credential is fresh, due or expired now; `jitter` is in seconds."""
        now = self.clock.now()
        if expiry.seconds_left(credential.obtained, credential.lifetime, now) <= 0:
            return Freshness.EXPIRED
        due = seconds_until_due(credential, self.lead(credential), jitter, now) <= 0
        return Freshness.DUE if due else Freshness.FRESH

    def export(self, name: str, credential: Credential) -> str:
        """Return a credential in one of the provider's formats for other tools."""
        return self.hooks.export(self.description, self.profile, credential, name)

    @functools.cached_property
    def codec(self) -> Codec:
        """Encodes and decodes this provider's credential formats."""
        from freshkey._stores.records.codec import Codec

        owner = None if self.profile.account is None else self.profile.key
        return Codec(self.description.formats, provider=self.profile.provider, owner=owner)


def build_context(name: str, configuration: Configuration, runtime: Runtime) -> ProfileContext:
    """Load everything the profile `name` needs: read the configuration and import the provider.

    Raises:
        ConfigurationError: The profile, its provider or its store is unknown or misconfigured.
        TrustNeeded: A project's file sets a command or a choice that the user has not trusted in its current form.
        PluginBroken: The provider, the store or an observer cannot be loaded or does not implement the hooks.
    """
    approve = runtime.approve
    with about(name):
        # Each step takes the previous one's result; the provider is called first for its settings class, then for its
        # description. See docs/decisions.md, "Opening a profile is a pipeline".
        ensure_own = _own_files(configuration, approve)
        table = configuration.table(name, reserved=lambda: discovery.provider_ids(runtime.providers))
        hooks = connect(table, configuration, runtime.providers, runtime.emit)
        trusted = trusting(configuration.state_dir, approve)
        described = hooks.describe(None)
        owned = {source.id for source in described.sources if source.owned}
        profile = configuration.profile(table, described.settings, trusted, owned)
        settings = with_own_files(profile.settings, ensure_own, configuration.document.path)
        profile = evolve(profile, ensure_own=ensure_own, settings=settings, clock=runtime.clock)
        description = hooks.describe(profile)
        profile = with_send(profile, description, runtime.network)
    return ProfileContext(
        **asdict(runtime, recurse=False),
        profile=profile,
        description=description,
        hooks=hooks,
        hints=_hints(profile),
        notifier=ChangeNotifier(profile.state_dir),
        consent=asking(profile, approve) if approve and not profile.bare else None,
        index=None if profile.store == FORGETFUL else AccountIndex(profile.state_dir, profile.key),
        open_store=functools.partial(_store, hooks, configuration),
    )


def _hints(profile: Profile) -> HintsFile:
    hints = ProcessHints if profile.store == FORGETFUL else HintsFile
    return hints(profile.state_dir, profile.key)


def _own_files(configuration: Configuration, approve: Approve | None) -> Callable[[str, Path | str], None]:
    """Check the files that variables name for every provider, and return how a provider checks others."""
    state_dir, file = configuration.state_dir, configuration.document.path
    if not configuration.bare and file is None:
        # An application that is configured in code is part of its project, if it is in one, and so are its variables.
        return ensure_unchangeable
    ensure_own_environment(state_dir, file, approve=approve)
    return lambda variable, path: ensure_trusted(variable, path, state_dir, approve)


def _store(hooks: HookCaller, configuration: Configuration, profile: Profile) -> CredentialStore:
    """Return the store of a profile; errors in its settings name the line in the configuration."""
    try:
        return clean_store(hooks.store(profile), hooks.store_plugin(profile), profile)
    except StoreSettingWrong as error:
        wrong = error
    where = configuration.document
    raise where.error(wrong.message, *wrong.keys, profile=profile.name, hint=wrong.hint, code=wrong.code)


def _once(open_store: Callable[[], CredentialStore]) -> Callable[[], CredentialStore]:
    """Return a function that opens the store once, no matter how many threads call it."""
    # One lock per process: a child forked while a thread of its parent held the lock would wait for it forever.
    mutexes: dict[int, threading.Lock] = {}
    opened: list[CredentialStore] = []

    def once() -> CredentialStore:
        with mutexes.setdefault(os.getpid(), threading.Lock()):
            if not opened:
                with block_fork():
                    opened.append(open_store())
            return opened[0]

    return once
