"""The hooks as typed verbs, with their answers and errors checked; the only caller of ``pm.hook``."""

from __future__ import annotations

import re
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import attrs
from attrs import define, field

from freshkey.errors import ConfigurationError, FreshkeyError, PluginBroken, describe_raise
from freshkey.events import Event, ObserverFailed
from freshkey.hooks import hookimpl
from freshkey.model.credential import Credential
from freshkey.model.description import Description, Inspection
from freshkey.model.identity import Identity
from freshkey.model.interaction import Interaction, Reporter
from freshkey.model.profile import Profile
from freshkey.model.source import Detected, Source
from freshkey.model.storage import CredentialStore
from freshkey.secret import Secret


if TYPE_CHECKING:
    import pluggy

T = TypeVar("T")

STORE_METHODS: Final = ("lock", "probe", "load", "intend", "save", "withdraw")


@define
class _Outcome:
    """What the innermost wrapper saw of one call."""

    reached: bool = False
    answer: object = None
    error: BaseException | None = None


@define(eq=False)
class _Innermost:
    """A wrapper inside all observers: it keeps the answer before any of them could change or lose it."""

    _calls: threading.local = field(init=False, factory=threading.local)

    @contextmanager
    def watch(self) -> Iterator[_Outcome]:
        """Watch one call on this thread; an observer may cause another one before its ``yield``."""
        around = getattr(self._calls, "outcome", None)
        outcome = self._calls.outcome = _Outcome()
        try:
            yield outcome
        finally:
            self._calls.outcome = around

    @hookimpl(wrapper=True, trylast=True)
    def _watch(self) -> Generator[None, object, object]:
        outcome: _Outcome = self._calls.outcome
        outcome.reached = True
        try:
            outcome.answer = yield
        except BaseException as error:
            outcome.error = error
            raise
        return outcome.answer

    describe = acquire = refresh = store = _watch


@define(eq=False)
class HookCaller:
    """Asks one provider and one store, wired by `wiring.wire`; events tell of observers that failed."""

    _manager: pluggy.PluginManager
    _provider: str
    _emit: Callable[[Event], None]
    _innermost: _Innermost = field(init=False, factory=_Innermost)
    _formats: tuple[type[Credential], ...] | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        # Registered last and trylast: pluggy runs it inside every other wrapper.
        self._manager.register(self._innermost, "freshkey innermost")

    def describe(self, profile: Profile | None) -> Description:
        """Ask the provider what it is."""
        answer = self._ask("describe", profile, credential=None)
        description = self._checked(answer, Description, "describe", profile)
        self._formats = tuple(description.formats.values())
        return description

    def inspect(self, profile: Profile, credential: Credential) -> Inspection:
        """Ask the provider what it thinks of a credential."""
        return self._checked(self._ask("describe", profile, credential=credential), Inspection, "describe", profile)

    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
        """Get a first credential from a source."""
        credential = self._credential("acquire", profile, source=source, interaction=interaction)
        return attrs.evolve(credential, source=source.id)

    def refresh(self, profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
        """Renew a credential; what the provider does not say of its identity stays as it was."""
        newer = self._credential("refresh", profile, credential=credential, reporter=reporter)
        identity = credential.identity if newer.identity == Identity() else newer.identity
        return attrs.evolve(newer, source=credential.source, identity=identity)

    def store(self, profile: Profile) -> CredentialStore:
        """Ask where owned credentials of this profile are kept: as `wiring.wire` ordered the plugins.

        Raises:
            ConfigurationError: The store that configuration names keeps nothing for this profile.
        """
        answer = self._ask("store", profile)
        if answer is None and profile.store is not None:
            message = f"the store {profile.store!r} that is configured keeps nothing for this profile"
            hint = "Choose another store, or correct its settings"
            raise ConfigurationError(message, profile=profile.name, hint=hint)
        if any(not callable(getattr(answer, method, None)) for method in STORE_METHODS):
            raise self._broken("its store hook returned something that is not a store", profile)
        store: CredentialStore = answer  # type: ignore[assignment]  # duck-typed protocol, checked above
        return store

    def detect(self, profile: Profile, source: Source) -> Detected | None:
        """Say what is there in a source, without its value."""
        what = f"detect of source {source.id!r}"
        answer: object = self._by_contract(f"its {what}", profile, lambda: source.detect(profile))
        return None if answer is None else self._checked(answer, Detected, what, profile)

    def revoke(self, description: Description, profile: Profile, credential: Credential) -> bool:
        """End a credential at the provider; return False where the provider cannot do that."""
        revoke = description.revoke
        if revoke is None:
            return False
        self._by_contract("its revocation", profile, lambda: revoke(profile, credential))
        return True

    def _ask(self, hook: str, profile: Profile | None, **arguments: object) -> object:
        """Call a hook and return what its implementation answered, whatever observers make of it."""
        return self._by_contract(f"its {hook} hook", profile, lambda: self._answer(hook, profile, arguments))

    def _answer(self, hook: str, profile: Profile | None, arguments: Mapping[str, object]) -> object:
        # What is raised below, outside of the handler, has no observer's exception for its context: that may quote a
        # secret.
        raised: BaseException | None = None
        with self._innermost.watch() as outcome:
            try:
                self._caller(hook, profile)(profile=profile, **arguments)
            except BaseException as error:  # noqa: BLE001  sorted below
                raised = error
        if isinstance(raised, KeyboardInterrupt):
            raise raised
        if not outcome.reached:
            raise self._forbidden(raised, hook)
        if raised is not None and raised is not outcome.error:
            name, observer = profile.name if profile else "", self._observer_in(raised, hook)
            self._emit(ObserverFailed(profile=name, observer=observer, hook=hook, error=type(raised).__name__))
        if outcome.error is not None:
            raise outcome.error
        return outcome.answer

    def _caller(self, hook: str, profile: Profile | None) -> pluggy.HookCaller:
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        if hook == "store" and profile is not None and profile.store is not None:
            # Where the configured store has no answer, pluggy would go on to the provider's, and nobody would know.
            return self._manager.subset_hook_caller(hook, [self._manager.get_plugin(self._provider)])
        return caller

    def _forbidden(self, raised: BaseException | None, hook: str) -> FreshkeyError:
        """Return the error for a hook that was not called because of an observer."""
        if isinstance(raised, FreshkeyError):
            return raised
        name = self._observer_in(raised, hook)
        what = f"failed before the {hook} hook ({describe_raise(raised)})" if raised else f"hid the {hook} hook"
        return PluginBroken(f"observer {name!r} {what}", plugin=name, hint="Mend it, or take it out of configuration")

    def _observer_in(self, error: BaseException | None, hook: str) -> str:
        """Name the observer that raised an exception: its frame is the deepest; else all that it could be."""
        names = {
            getattr(implementation.function, "__code__", None): implementation.plugin_name
            for implementation in getattr(self._manager.hook, hook).get_hookimpls()
            if (implementation.wrapper or implementation.hookwrapper) and implementation.plugin is not self._innermost
        }
        frames = traceback.walk_tb(error.__traceback__ if error else None)
        passed = [names[frame.f_code] for frame, _ in frames if frame.f_code in names]
        return passed[-1] if passed else " or ".join(names.values())

    def _by_contract(self, what: str, profile: Profile | None, act: Callable[[], T]) -> T:
        """Let the contract's own errors through, with the profile's name; anything else is a broken plugin.

        Neither has a traceback into the plugin or an exception of its as context: tools that report errors show the
        variables of every frame, and those of a plugin that reads an answer hold its tokens.
        """
        try:
            return act()
        except KeyboardInterrupt:
            raise
        except FreshkeyError as error:
            failure = error.with_traceback(None)
            failure.__context__ = None
            failure.profile = failure.profile or (profile.name if profile else None)
        except BaseException as error:  # noqa: BLE001  SystemExit of a plugin must not end the application
            failure = self._broken(f"{what} raised {describe_raise(error)}", profile)
        raise failure

    def _credential(self, hook: str, profile: Profile, **arguments: object) -> Credential:
        """Call a hook that answers with a credential of a format that the provider describes."""
        if self._formats is None:
            self.describe(None)  # before the hook is called, as nothing may fail after it
        answer = self._ask(hook, profile, **arguments)
        credential = self._checked(answer, Credential, hook, profile)  # type: ignore[type-abstract]  # only compared
        if type(credential) not in (self._formats or ()):
            raise self._broken(f"its {hook} hook returned a format it does not describe", profile)
        for each in attrs.fields(type(credential)):
            secret = re.search(r"\bSecret\b", str(each.type))
            if secret and not isinstance(getattr(credential, each.name), Secret | None):
                raise self._broken(f"its {hook} hook returned a {each.name} that is not a Secret", profile)
        return credential

    def _checked(self, answer: object, kind: type[T], hook: str, profile: Profile | None) -> T:
        if not isinstance(answer, kind):
            what = "nothing" if answer is None else f"a {type(answer).__name__}"
            raise self._broken(f"its {hook} returned {what} instead of a {kind.__name__}", profile)
        return answer

    def _broken(self, what: str, profile: Profile | None) -> PluginBroken:
        return PluginBroken(
            f"provider {self._provider!r} broke its contract: {what}",
            plugin=self._provider,
            profile=profile.name if profile else None,
            hint="Report this to the author of the provider",
        )
