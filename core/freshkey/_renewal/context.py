"""Everything that renewals of one profile need, put together once when the profile is first used."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from attrs import Factory, asdict, field, frozen

from freshkey import expiry
from freshkey._config.configuration import Configuration
from freshkey._forksafe import block_fork
from freshkey._http.circuit_breaker import CircuitBreaker, GuardedCall
from freshkey._interprocess.hints import HintsFile
from freshkey._interprocess.notifier import ChangeNotifier
from freshkey._plugins import discovery
from freshkey._plugins.connect import connect
from freshkey._plugins.hook_caller import HookCaller
from freshkey._renewal.retry import Policy, call_with_retry
from freshkey._sources.precedence import Consent
from freshkey._stores.options import StoreSettingWrong
from freshkey._trust.project_commands import trusting
from freshkey._trust.source_consent import SourceAnswers, asking
from freshkey.clock import Clock
from freshkey.errors import about
from freshkey.events import Event
from freshkey.expiry import Freshness
from freshkey.model.credential import Credential
from freshkey.model.description import Description
from freshkey.model.interaction import Approve, Interaction, LoggingReporter, Reporter
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore


if TYPE_CHECKING:
    from freshkey._stores.records.codec import Codec

T = TypeVar("T")


@frozen(kw_only=True)
class Runtime:
    """What one keeper shares among its profiles.

    Attributes:
        clock: Tells the time.
        random: Returns a number from 0 to 1.
        interaction: A person who may be asked in the middle of a renewal, or None.
        reporter: Hears what renewals have to say when nobody watches them.
        approve: Asks a person whether something that was found may be used; None in a session without a person.
        providers: Providers that the application hands in by id, before installed ones.
        emit: Takes events about observers that fail.
        breaker: What is known of the hosts that renewals call.
    """

    clock: Clock
    random: Callable[[], float]
    interaction: Interaction | None = None
    reporter: Reporter = field(factory=LoggingReporter)
    approve: Approve | None = None
    providers: Mapping[str, object] = field(factory=dict)
    emit: Callable[[Event], None] = field(default=lambda _: None, repr=False)
    breaker: CircuitBreaker = field(
        default=Factory(lambda runtime: CircuitBreaker(runtime.clock), takes_self=True), repr=False
    )

    def with_retry(
        self, call: Callable[[], T], policy: Policy | None = None, *, stop: Callable[[], bool], forced: bool
    ) -> T:
        """Return what `call_with_retry` returns; `forced` calls even a host that is left alone for now."""
        guarded = GuardedCall(self.breaker, forced=forced)
        policy = policy or Policy()
        return call_with_retry(call, policy, clock=self.clock, random=self.random, stop=stop, guarded=guarded)


@frozen(kw_only=True)
class ProfileContext(Runtime):
    """One profile, its provider, its store, and the world around them.

    Attributes:
        profile: The profile with typed settings.
        description: What the provider says of itself for this profile.
        hooks: The provider's and the store's hooks.
        hints: What other processes say of this profile.
        notifier: Tells and hears when any profile of the state directory changed.
        consent: Decides about sources that need a person's consent; None uses them, as nobody can be asked.
    """

    profile: Profile
    description: Description
    hooks: HookCaller
    hints: HintsFile
    notifier: ChangeNotifier
    consent: Consent | None = None
    _open_store: Callable[[], CredentialStore] = field(repr=False)

    @property
    def store(self) -> CredentialStore:
        """The store of owned credentials, opened when it is first needed."""
        return self._open_store()

    def lead(self, credential: Credential) -> float | None:
        """Return the seconds before its end at which to renew: the profile's, its own, the provider's, or None."""
        leads = (self.profile.lead, credential.lead, self.description.lead)
        return next((lead for lead in leads if lead is not None), None)

    def freshness(self, credential: Credential, jitter: float = 0.0) -> Freshness:
        """Decide what to do with a credential now; `jitter` is in seconds."""
        early = jitter
        if credential.lifetime is not None:
            early += expiry.effective_lead(credential.lifetime, self.lead(credential))
        return expiry.freshness(credential.obtained, credential.lifetime, early, self.clock.now())

    @functools.cached_property
    def codec(self) -> Codec:
        """Writes and reads this provider's formats."""
        from freshkey._stores.records.codec import Codec

        return Codec(self.description.formats, provider=self.profile.provider)


def build_context(name: str, configuration: Configuration, runtime: Runtime) -> ProfileContext:
    """Load and wire what the profile `name` needs; reads configuration and imports its provider.

    Raises:
        ConfigurationError: The profile, its provider or its store is unknown or misconfigured.
        TrustNeeded: A project's file names a command, and nobody trusts it as it is.
        PluginBroken: The provider, the store or an observer cannot be loaded or does not fit.
    """
    approve = runtime.approve
    with about(name):
        table = configuration.table(name, reserved=lambda: discovery.provider_ids(runtime.providers))
        hooks = connect(table, configuration, runtime.providers, runtime.emit)
        trusted = trusting(configuration.state_dir, approve)
        profile = configuration.profile(table, hooks.describe(None).settings, trusted)
        description = hooks.describe(profile)
    answers = SourceAnswers(profile.state_dir)
    return ProfileContext(
        **asdict(runtime, recurse=False),
        profile=profile,
        description=description,
        hooks=hooks,
        hints=HintsFile(profile.state_dir, profile.name),
        notifier=ChangeNotifier(profile.state_dir),
        consent=asking(profile.name, answers, approve) if approve and not profile.bare else None,
        open_store=_once(lambda: _store(hooks, profile, configuration)),
    )


def _store(hooks: HookCaller, profile: Profile, configuration: Configuration) -> CredentialStore:
    """Ask for the store of a profile, and say where its settings are wrong."""
    try:
        return hooks.store(profile)
    except StoreSettingWrong as error:
        wrong = error
    raise configuration.document.error(wrong.message, *wrong.keys, profile=profile.name, hint=wrong.hint)


def _once(open_store: Callable[[], CredentialStore]) -> Callable[[], CredentialStore]:
    """Return a function that opens the store once, however many threads ask."""
    # A child that was forked while a thread of its parent had the lock would wait for ever: it has one of its own.
    mutexes: dict[int, threading.Lock] = {}
    opened: list[CredentialStore] = []

    def once() -> CredentialStore:
        with mutexes.setdefault(os.getpid(), threading.Lock()):
            if not opened:
                with block_fork():
                    opened.append(open_store())
            return opened[0]

    return once
