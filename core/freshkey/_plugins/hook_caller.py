"""Calls the hooks as typed methods and checks their results and errors; the only caller of ``pm.hook``."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar, cast

import attrs
from attrs import define, field

from freshkey._plugins.credential_formats import flaw_of_credential, flaw_of_format, unhidden_field
from freshkey._plugins.description_flaws import flaw_of_hosts, flaw_of_source
from freshkey._plugins.outgoing_text import clean_error, clean_reporter, clean_result, redactor
from freshkey._plugins.wiring import OBSERVER, shown
from freshkey._text.redact import redacted
from freshkey._text.tracebacks import HINT, add_note, traceback_note
from freshkey._text.visible import MAX_NAME
from freshkey.errors import ConfigurationError, FreshkeyError, PluginBroken, describe_raise
from freshkey.events import Event, ObserverFailed
from freshkey.hooks import hookimpl
from freshkey.model.credential import Credential
from freshkey.model.description import Description, Inspection
from freshkey.model.endpoints import for_credential
from freshkey.model.identity import Identity
from freshkey.model.interaction import Interaction, Reporter
from freshkey.model.profile import Profile
from freshkey.model.reason import Reason
from freshkey.model.sign_in_end import carried_over
from freshkey.model.source import Detected, Source
from freshkey.model.storage import CredentialStore
from freshkey.model.unused_settings import named
from freshkey.secret import Secret, secrets_made


if TYPE_CHECKING:
    import pluggy

    from freshkey._plugins.discovery import Found

T = TypeVar("T")

_USERS: Final = ("interaction", "reporter")
"""Arguments of hooks by which a plugin speaks to the user."""

STORE_HOOK: Final = "its store hook"

STORE_METHODS: Final = ("lock", "probe", "load", "intend", "save", "withdraw")


@define
class _Outcome:
    """What the innermost wrapper observed about one call."""

    reached: bool = False
    answer: object = None
    error: BaseException | None = None


@define(eq=False)
class _Innermost:
    """A wrapper inside all observers: it keeps the result before an observer can change or lose it."""

    _calls: threading.local = field(init=False, factory=threading.local)

    @contextmanager
    def watch(self) -> Iterator[_Outcome]:
        """Watch one call on this thread; before its ``yield``, an observer may make another one."""
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
    """Calls one provider and one store, wired by `wiring.wire`; emits events about observers that fail.

    `found` has the metadata of the plugins that are installed, as for `wiring.wire`.

    Without `cleans`, texts stay as the plugin wrote them, and errors always have the plugin's traceback as a note: a
    contract kit is for the plugin's author, who must see what is wrong.
    """

    _manager: pluggy.PluginManager
    _provider: str
    _emit: Callable[[Event], None]
    _cleans: bool = True
    _found: Mapping[str, Found] = field(factory=dict)
    _innermost: _Innermost = field(init=False, factory=_Innermost)
    _formats: tuple[type[Credential], ...] | None = field(init=False, default=None)
    _told: set[tuple[str, str]] = field(init=False, factory=set)

    def __attrs_post_init__(self) -> None:
        # Registered last and trylast: pluggy runs it inside every other wrapper.
        self._manager.register(self._innermost, "freshkey innermost")

    def describe(self, profile: Profile | None) -> Description:
        """Return the provider's description of itself."""
        answer = self._ask("describe", profile, credential=None)
        description = self._checked(answer, Description, "describe hook", profile)
        for source in description.sources:
            if flaw := flaw_of_source(source):
                raise self._broken(f"its source {source.id!r} {flaw}", profile, code="plugin-source-invalid")
        if flaw := flaw_of_hosts(description.hosts):
            raise self._broken(f"its Description.hosts {flaw}", profile, code="plugin-host-invalid")
        if self._formats is None:
            self._must_hide_secrets(description, profile)
        self._formats = tuple(description.formats.values())
        return description

    def _must_hide_secrets(self, description: Description, profile: Profile | None) -> None:
        for kind in description.formats.values():
            if flaw := flaw_of_format(kind):
                named_kind = getattr(kind, "__name__", type(kind).__name__)
                raise self._broken(f"its credential class {named_kind} {flaw}", profile, code="plugin-shows-secret")

    def inspect(self, profile: Profile, credential: Credential) -> Inspection:
        """Return the provider's assessment of a credential."""
        answer = self._ask("describe", profile, credential=credential)
        return self._checked(answer, Inspection, "describe hook", profile)

    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
        """Get the first credential from a source; tell the user once which settings of the profile it ignores."""
        ignored = self.ignores(profile, source)
        if ignored and (place := (profile.name, source.id)) not in self._told:
            self._told.add(place)
            interaction.notice(f"Profile {profile.name!r}: source {source.id!r}: {named(ignored)}")
        credential = self._credential("acquire", profile, source=source, interaction=interaction)
        # Not after a renewal, whose token is spent: a class that hides what was acquired hides what replaces it.
        if flaw := flaw_of_credential(credential):
            raise self._broken(f"its credential {flaw}", profile, code="plugin-shows-secret")
        return attrs.evolve(credential, source=source.id)

    def refresh(
        self, profile: Profile, credential: Credential, reporter: Reporter, reason: Reason = Reason.DUE
    ) -> Credential:
        """Renew a credential; keep what the provider does not return: the identity, and when the sign-in ends."""
        answer = self._credential("refresh", profile, credential=credential, reporter=reporter, reason=reason)
        newer = carried_over(credential, answer)
        identity = credential.identity if newer.identity == Identity() else newer.identity
        return attrs.evolve(newer, source=credential.source, identity=identity)

    def store(self, profile: Profile) -> CredentialStore:
        """Return the store for owned credentials of this profile, in the plugin order of `wiring.wire`.

        Raises:
            ConfigurationError: The configured store does not accept this profile.
        """
        answer = self._ask("store", self._named_by_key(profile))
        if answer is None and profile.store is not None:
            message = f"the configured store {profile.store!r} does not accept this profile"
            hint = f"Set another store for the profile, or fix the settings in [stores.{profile.store}]"
            raise ConfigurationError(message, profile=profile.name, hint=hint, code="store-declined")
        if any(not callable(getattr(answer, method, None)) for method in STORE_METHODS):
            raise self._broken(f"{STORE_HOOK} returned something that is not a store", profile)
        store: CredentialStore = answer  # type: ignore[assignment]  # duck-typed protocol, checked above
        return store

    def store_plugin(self, profile: Profile) -> str:
        """Return what the plugin that `store` asks is called in messages."""
        if profile.store is None:
            return f"the store of {shown(f'provider {self._provider!r}', self._found.get(self._provider))}"
        name = f"store {profile.store}"
        return shown(name, self._found.get(name))

    def _named_by_key(self, profile: Profile) -> Profile:
        """Return a profile whose name no other project's has: a store of others names what it keeps by that."""
        plugins = [each.plugin for each in self._manager.hook.store.get_hookimpls() if not each.wrapper]
        if all(getattr(plugin, "__name__", "").startswith("freshkey._stores.") for plugin in plugins):
            return profile  # these use the key, and the name in messages
        return attrs.evolve(profile, name=profile.key, project_dir=None)

    def detect(self, profile: Profile, source: Source) -> Detected | None:
        """Return the credential found in a source, without its value; None if there is none."""
        what = f"detect() for source {source.id!r}"
        answer: object = self._by_contract(f"its {what}", profile, lambda: source.detect(profile))
        return None if answer is None else self._checked(answer, Detected, what, profile)

    def setup(self, profile: Profile, source: Source) -> str | None:
        """Return what the user has to do before a sign-in with a source, as a hint; None if nothing."""
        what = f"setup() for source {source.id!r}"
        answer: object = self._by_contract(f"its {what}", profile, lambda: source.setup(profile))
        return None if answer is None else self._checked(answer, str, what, profile)

    def ignores(self, profile: Profile, source: Source) -> tuple[str, ...]:
        """Return the names of settings that a profile sets and a source does not use."""
        what = f"ignores() for source {source.id!r}"
        answer: object = self._by_contract(f"its {what}", profile, lambda: source.ignores(profile))
        names = {*map(str, self._checked(answer, tuple, what, profile))}
        # The only setting of the core that not every source uses.
        in_browser = source.interactive and not source.pasted
        if profile.source is not None and profile.redirect_port is not None and not in_browser:
            names.add("redirect_port")
        return tuple(sorted(names))

    def revoke(self, description: Description, profile: Profile, credential: Credential) -> bool:
        """Revoke a credential at the provider; return False if the provider cannot do that."""
        revoke = description.revoke
        if revoke is None:
            return False
        self._by_contract(
            "its revocation", profile, lambda: revoke(for_credential(profile, credential), credential), credential
        )
        return True

    def export(self, description: Description, profile: Profile, credential: Credential, name: str) -> str:
        """Return a credential in one of the provider's formats for other tools (`Description.exports`)."""
        what, export = f"export {name!r}", description.exports[name]
        # As a `Secret`: unlike other texts of a plugin, this one is meant to quote the credential.
        answer = self._by_contract(f"its {what}", profile, lambda: Secret(export(profile, credential)), credential)
        return self._checked(answer.reveal(), str, what, profile)

    def _ask(self, hook: str, profile: Profile | None, **arguments: object) -> object:
        """Call a hook and return the result of its implementation, whatever observers do with it."""
        made: list[Secret] = []
        redact = redactor(profile, arguments.get("credential"), made)
        with_user = {
            name: clean_reporter(cast("Reporter", user), redact, made)
            for name, user in arguments.items()
            if name in _USERS and self._cleans
        }
        answer = partial(self._answer, hook, profile, {**arguments, **with_user})
        return self._by_contract(f"its {hook} hook", profile, answer, arguments.get("credential"), made=made)

    def _answer(self, hook: str, profile: Profile | None, arguments: Mapping[str, object]) -> object:
        # Raised below, outside the handler, so that an observer's exception does not become its context: that may
        # quote a secret.
        raised: BaseException | None = None
        bound = profile and for_credential(profile, arguments.get("credential"))
        with self._innermost.watch() as outcome:
            try:
                self._caller(hook, profile)(profile=bound, **arguments)
            except BaseException as error:  # noqa: BLE001  sorted below
                raised = error
        if isinstance(raised, KeyboardInterrupt):
            raise raised
        if not outcome.reached:
            raise self._forbidden(raised, hook)
        if raised is not None and raised is not outcome.error:
            name, observer = profile.name if profile else "", self._observer_in(raised, hook)
            kind = redacted(type(raised).__name__, MAX_NAME)
            self._emit(ObserverFailed(profile=name, observer=observer, hook=hook, error=kind))
        if outcome.error is not None:
            raise outcome.error
        return outcome.answer

    def _caller(self, hook: str, profile: Profile | None) -> pluggy.HookCaller:
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        if hook == "store" and profile is not None and profile.store is not None:
            # If the configured store returned None, pluggy would silently go on to the provider's store.
            return self._manager.subset_hook_caller(hook, [self._manager.get_plugin(self._provider)])
        return caller

    def _forbidden(self, raised: BaseException | None, hook: str) -> FreshkeyError:
        """Return the error for a hook that an observer kept from being called."""
        if isinstance(raised, FreshkeyError):
            return raised
        name = self._observer_in(raised, hook)
        called = shown(f"observer {name!r}", self._found.get(f"{OBSERVER}{name}"))
        what = f"failed before the {hook} hook ({describe_raise(raised)})" if raised else f"skipped the {hook} hook"
        return PluginBroken(
            f"{called} {what}",
            plugin=name,
            hint=f"Fix {name!r}, or remove it from observers in the configuration file",
            code="plugin-hook-failed",
        )

    def _observer_in(self, error: BaseException | None, hook: str) -> str:
        """Return the observer that raised an exception, which has the deepest frame; else all candidates."""
        names = {
            getattr(implementation.function, "__code__", None): implementation.plugin_name.removeprefix(OBSERVER)
            for implementation in getattr(self._manager.hook, hook).get_hookimpls()
            if (implementation.wrapper or implementation.hookwrapper) and implementation.plugin is not self._innermost
        }
        frames = traceback.walk_tb(error.__traceback__ if error else None)
        passed = [names[frame.f_code] for frame, _ in frames if frame.f_code in names]
        return passed[-1] if passed else " or ".join(names.values())

    def _by_contract(
        self, what: str, profile: Profile | None, act: Callable[[], T], *given: object, made: list[Secret] | None = None
    ) -> T:
        """Let errors of the hook contract through, with the profile's name; turn others into `PluginBroken`.

        Neither keeps a traceback into the plugin, or one of its exceptions as cause or context: error reporters show
        the variables of every frame, and those of a plugin that reads a response contain its tokens. No text of an
        error or a result quotes a secret that the plugin was given or returned, or that it made meanwhile.
        """
        made = [] if made is None else made
        with secrets_made(made):
            redact = redactor(profile, given, made)
            try:
                return clean_result(act(), redact) if self._cleans else act()
            except KeyboardInterrupt:
                raise
            except FreshkeyError as error:
                known = redactor(profile, given, made, error)
                note = traceback_note(error, known, always=not self._cleans)
                failure = clean_error(error, known) if self._cleans else error.with_traceback(None)
                failure.__context__ = None
                failure.profile = failure.profile or (profile.name if profile else None)
            except BaseException as error:  # noqa: BLE001  SystemExit of a plugin must not end the application
                note = traceback_note(error, redactor(profile, given, made, error), always=not self._cleans)
                failure = self._broken(f"{what} raised {redact(describe_raise(error, by_plugin=True))}", profile)
                if note is None:
                    failure.hint = f"{failure.hint}. {HINT}"
        add_note(failure, note)
        raise failure

    def _credential(self, hook: str, profile: Profile, **arguments: object) -> Credential:
        """Call a hook that returns a credential, in a format that the provider describes."""
        if self._formats is None:
            self.describe(None)  # before the hook: a failure after it would lose a single-use token
        answer = self._ask(hook, profile, **arguments)
        credential = self._checked(answer, Credential, f"{hook} hook", profile)
        if type(credential) not in (self._formats or ()):
            raise self._broken(f"its {hook} hook returned a credential format that is not in its description", profile)
        if (unhidden := unhidden_field(credential)) is not None:
            raise self._broken(f"its {hook} hook returned {unhidden} as a value that is not a Secret", profile)
        return credential

    def _checked(self, answer: object, kind: type[T], hook: str, profile: Profile | None) -> T:
        if not isinstance(answer, kind):
            what = "nothing" if answer is None else type(answer).__name__
            raise self._broken(f"its {hook} returned {what} instead of {kind.__name__}", profile)
        return answer

    def _broken(self, what: str, profile: Profile | None, code: str = "plugin-hook-failed") -> PluginBroken:
        name, kind = self._provider, "provider"
        if profile is not None and profile.store is not None and what.startswith(STORE_HOOK):
            name, kind = f"store {profile.store}", "store"  # only that one is asked
        called = shown(name if kind == "store" else f"provider {name!r}", self._found.get(name))
        return PluginBroken(
            f"{called} is broken: {what}",
            plugin=name,
            profile=profile.name if profile else None,
            hint=f"Report this to the author of the {kind}",
            code=code,
        )
