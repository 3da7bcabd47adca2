"""Everything that renewals of one profile need, put together once when the profile is first used."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Final

from attrs import Factory, field, frozen

from freshkey import expiry
from freshkey._forksafe import block_fork
from freshkey._http.circuit_breaker import CircuitBreaker
from freshkey._interprocess.hints import HintsFile
from freshkey._interprocess.notifier import ChangeNotifier
from freshkey._plugins import discovery, wiring
from freshkey._plugins.hook_caller import HookCaller
from freshkey._sources.precedence import Consent
from freshkey._stores.options import StoreSettingWrong
from freshkey._trust.project_commands import Entry, propose, trusting
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
    from freshkey._config.configuration import Configuration
    from freshkey._config.project import Project
    from freshkey._stores.records.codec import Codec

DEFAULT_STORE: Final = "keyring"


@frozen(kw_only=True)
class ProfileContext:
    """One profile, its provider, its store, and the world around them.

    Attributes:
        profile: The profile with typed settings.
        description: What the provider says of itself for this profile.
        lifecycle: The provider's and the store's verbs.
        hints: What other processes say of this profile.
        notifier: Rings when any profile of the state directory changed.
        clock: Tells the time.
        random: Returns a number from 0 to 1.
        interaction: A person who may be asked in the middle of a renewal, or None.
        reporter: Hears what renewals have to say when nobody watches them.
        consent: Decides about sources that need a person's consent; None uses them, as nobody can be asked.
        breaker: What is known of the hosts that renewals call.
    """

    profile: Profile
    description: Description
    hooks: HookCaller
    hints: HintsFile
    notifier: ChangeNotifier
    clock: Clock
    random: Callable[[], float]
    interaction: Interaction | None
    _open_store: Callable[[], CredentialStore] = field(repr=False)
    reporter: Reporter = field(factory=LoggingReporter)
    consent: Consent | None = None
    breaker: CircuitBreaker = field(
        default=Factory(lambda context: CircuitBreaker(context.clock), takes_self=True), repr=False
    )

    @property
    def store(self) -> CredentialStore:
        """The store of owned credentials, opened when it is first needed."""
        return self._open_store()

    def lead(self, credential: Credential) -> float | None:
        """Return the seconds before its end at which to renew: the profile's, its own, the provider's, or None."""
        for lead in (self.profile.lead, credential.lead):
            if lead is not None:
                return lead
        return self.description.lead

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


def build_context(
    name: str,
    configuration: Configuration,
    *,
    providers: Mapping[str, object],
    emit: Callable[[Event], None],
    clock: Clock,
    random: Callable[[], float],
    interaction: Interaction | None,
    breaker: CircuitBreaker | None = None,
    reporter: Reporter | None = None,
    approve: Approve | None = None,
) -> ProfileContext:
    """Load and wire what the profile `name` needs; reads configuration and imports its provider.

    Args:
        name: Name of the profile.
        configuration: Where profiles are defined.
        providers: Providers that the application hands in by id, before installed ones.
        emit: Takes events about observers that fail.
        clock: Tells the time.
        random: Returns a number from 0 to 1.
        interaction: A person who may be asked in the middle of a renewal, or None.
        breaker: What is known of the hosts that renewals call; None knows nothing yet.
        reporter: Hears what renewals have to say when nobody watches them; None logs it.
        approve: Asks a person whether something that was found may be used; None in a session without a person.

    Raises:
        ConfigurationError: The profile, its provider or its store is unknown or misconfigured.
        TrustNeeded: A project's file names a command, and nobody trusts it as it is.
        PluginBroken: The provider, the store or an observer cannot be loaded or does not fit.
    """
    with about(name):
        configuration = _meant(name, configuration, providers)
        hooks = _hook_caller(name, configuration, providers, emit)
        profile = configuration.profile(name, hooks.describe(None), trusting(configuration.state_dir, approve))
        description = hooks.describe(profile)
    return ProfileContext(
        profile=profile,
        description=description,
        hooks=hooks,
        hints=HintsFile(profile.state_dir, profile.name),
        notifier=ChangeNotifier(profile.state_dir),
        clock=clock,
        random=random,
        interaction=interaction,
        breaker=breaker or CircuitBreaker(clock),
        reporter=reporter or LoggingReporter(),
        consent=asking(profile.name, SourceAnswers(profile.state_dir), approve)
        if approve and not profile.bare
        else None,
        open_store=_once(lambda: _store(hooks, profile, configuration)),
    )


def _store(hooks: HookCaller, profile: Profile, configuration: Configuration) -> CredentialStore:
    """Ask for the store of a profile, and say where its settings are wrong."""
    try:
        return hooks.store(profile)
    except StoreSettingWrong as error:
        keys, message, hint = error.keys, error.message, error.hint
    raise configuration.document.error(message, *keys, profile=profile.name, hint=hint)


def proposals(configuration: Configuration, providers: Mapping[str, object]) -> tuple[Entry, ...]:
    """Return the commands of the project's file as they are now, by profile; imports the providers of its profiles.

    Args:
        configuration: Where the project's file is; none of it says that there are no commands.
        providers: Providers that the application hands in by id, before installed ones.

    Raises:
        ConfigurationError: A profile says what no project may, or names a command that cannot be run.
        PluginBroken: A provider cannot be loaded.
    """
    project = configuration.project
    if project is None:
        return ()
    every = [_proposal(name, project, configuration, providers) for name in project.profile_names()]
    return tuple(entry for entry in every if entry.commands)


def _proposal(name: str, project: Project, configuration: Configuration, providers: Mapping[str, object]) -> Entry:
    with about(name):
        if _meant(name, configuration, providers) is not configuration:
            message = f"a project cannot define profile {name!r}, because a provider is named so"
            raise project.document.error(message, "profiles", name, hint="Give it another name")
        described = _hook_caller(name, configuration, providers, lambda _: None).describe(None)
        return propose(project, name, project.words(name, described.settings))


def _meant(name: str, configuration: Configuration, providers: Mapping[str, object]) -> Configuration:
    """Return where a profile is looked up: the name of a provider never means a profile of a project's file.

    Neither does one that differs only in case: not every keychain keeps the two apart.
    """
    if name in configuration.profile_names():
        return configuration
    known = {*providers, *(plugin.name for plugin in discovery.find())}
    is_provider = name.lower() in {provider.lower() for provider in known}
    return configuration.without_project() if is_provider else configuration


def _hook_caller(
    name: str, configuration: Configuration, providers: Mapping[str, object], emit: Callable[[Event], None]
) -> HookCaller:
    """Load provider, store and observers of a profile, and wire them."""
    table = configuration.table(name)
    if table.provider in providers:
        provider = providers[table.provider]
    else:
        provider = _installed(name, table.provider, configuration, providers)
    store_name = table.store or DEFAULT_STORE
    manager = wiring.wire(
        table.provider,
        provider,
        store=(f"store {store_name}", discovery.load_store(store_name)),
        store_is_configured=table.store is not None,
        observers={observer: discovery.load_observer(observer) for observer in configuration.observers},
    )
    return HookCaller(manager, table.provider, emit)


def _installed(profile: str, provider: str, configuration: Configuration, others: Collection[str]) -> object:
    """Import an installed provider; where there is none of that name, say what was probably meant."""
    installed = {plugin.name for plugin in discovery.find()}
    if provider not in installed:
        raise configuration.unknown(profile, {*installed, *others})
    return discovery.load_provider(provider)


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
