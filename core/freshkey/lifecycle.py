"""The hooks as typed verbs, with their answers and errors checked; the only caller of ``pm.hook``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from attrs import define

from freshkey.errors import FreshkeyError, PluginBroken
from freshkey.events import Event, ObserverFailed
from freshkey.hooks import hookimpl
from freshkey.model import (
    Credential,
    CredentialStore,
    Description,
    Identity,
    Inspection,
    Interaction,
    Profile,
    Reporter,
    Sighting,
    Source,
)
from freshkey.plugins import describe_raise


if TYPE_CHECKING:
    import pluggy

T = TypeVar("T")

STORE_METHODS = ("lock", "probe", "load", "intend", "save", "withdraw")


@define
class _Outcome:
    """What the innermost wrapper saw of one call."""

    reached: bool = False
    answer: object = None
    error: BaseException | None = None


class _Innermost:
    """A wrapper inside all observers: it keeps the answer before any of them could change or lose it."""

    def __init__(self) -> None:
        self._calls = threading.local()

    def begin(self) -> _Outcome:
        """Start to watch one call on this thread."""
        self._calls.outcome = _Outcome()
        outcome: _Outcome = self._calls.outcome
        return outcome

    def _watch(self) -> Generator[None, object, object]:
        outcome: _Outcome = self._calls.outcome
        outcome.reached = True
        try:
            outcome.answer = yield
        except BaseException as error:
            outcome.error = error
            raise
        return outcome.answer

    @hookimpl(wrapper=True, trylast=True)
    def describe(self) -> Generator[None, object, object]:
        return (yield from self._watch())

    @hookimpl(wrapper=True, trylast=True)
    def acquire(self) -> Generator[None, object, object]:
        return (yield from self._watch())

    @hookimpl(wrapper=True, trylast=True)
    def refresh(self) -> Generator[None, object, object]:
        return (yield from self._watch())

    @hookimpl(wrapper=True, trylast=True)
    def store(self) -> Generator[None, object, object]:
        return (yield from self._watch())


class Lifecycle:
    """Asks one provider and one store.

    Args:
        manager: The manager that `plugins.wire` made.
        provider: Id of the provider, for messages.
        emit: Takes events about observers that failed.
    """

    def __init__(self, manager: pluggy.PluginManager, provider: str, emit: Callable[[Event], None]) -> None:
        self._manager = manager
        self._provider = provider
        self._emit = emit
        self._innermost = _Innermost()
        self._formats: tuple[type[Credential], ...] | None = None
        # Registered last and trylast: pluggy runs it inside every other wrapper.
        manager.register(self._innermost, "freshkey innermost")

    def describe(self, profile: Profile | None) -> Description:
        """Ask the provider what it is."""
        answer = self._ask("describe", profile, credential=None)
        return self._checked(answer, Description, "describe", profile)

    def inspect(self, profile: Profile, credential: Credential) -> Inspection:
        """Ask the provider what it thinks of a credential."""
        answer = self._ask("describe", profile, credential=credential)
        return self._checked(answer, Inspection, "describe", profile)

    def acquire(self, profile: Profile, source: Source, ask: Interaction) -> Credential:
        """Get a first credential from a source."""
        answer = self._ask("acquire", profile, source=source, ask=ask)
        credential = self._known_format(answer, "acquire", profile)
        return attrs.evolve(credential, source=source.id)

    def refresh(self, profile: Profile, credential: Credential, report: Reporter) -> Credential:
        """Renew a credential; what the provider does not say of its identity stays as it was."""
        answer = self._ask("refresh", profile, credential=credential, report=report)
        newer = self._known_format(answer, "refresh", profile)
        identity = credential.identity if newer.identity == Identity() else newer.identity
        return attrs.evolve(newer, source=credential.source, identity=identity)

    def store(self, profile: Profile) -> CredentialStore:
        """Ask where owned credentials of this profile are kept: as `plugins.wire` ordered the plugins."""
        answer = self._ask("store", profile)
        if any(not callable(getattr(answer, method, None)) for method in STORE_METHODS):
            raise self._broken("its store hook returned something that is not a store", profile)
        store: CredentialStore = answer  # type: ignore[assignment]  # duck-typed protocol, checked above
        return store

    def look(self, profile: Profile, source: Source) -> Sighting | None:
        """Say what is there in a source, without its value."""
        with self._contract(f"its look at source {source.id!r}", profile):
            answer: object = source.look(profile)
        if answer is None:
            return None
        return self._checked(answer, Sighting, f"look of source {source.id!r}", profile)

    def revoke(self, description: Description, profile: Profile, credential: Credential) -> bool:
        """End a credential at the provider; return False where the provider cannot do that."""
        if description.revoke is None:
            return False
        with self._contract("its revocation", profile):
            description.revoke(profile, credential)
        return True

    def _ask(self, hook: str, profile: Profile | None, **arguments: object) -> object:
        """Call a hook and return what its implementation answered, whatever observers make of it."""
        outcome = self._innermost.begin()
        with self._contract(f"its {hook} hook", profile):
            try:
                getattr(self._manager.hook, hook)(profile=profile, **arguments)
            except BaseException as error:  # noqa: BLE001  sorted by what it means
                self._settle(outcome, error, hook, profile)
        return outcome.answer

    def _settle(self, outcome: _Outcome, error: BaseException, hook: str, profile: Profile | None) -> None:
        """Decide what an exception out of a hook call means."""
        if isinstance(error, KeyboardInterrupt):
            raise error
        if not outcome.reached and not isinstance(error, FreshkeyError):
            name = self._observer_in(error)
            raise PluginBroken(
                f"observer {name!r} failed before the {hook} hook ({describe_raise(error)})", plugin=name
            ) from None
        if outcome.reached and error is not outcome.error:
            self._emit(
                ObserverFailed(
                    profile=profile.name if profile else "",
                    observer=self._observer_in(error),
                    hook=hook,
                    error=type(error).__name__,
                )
            )
        if not outcome.reached:
            raise error
        if outcome.error is not None:
            raise outcome.error

    def _observer_in(self, error: BaseException) -> str:
        """Name the plugin whose hook an exception passed through last."""
        frames: set[Any] = set()
        traceback = error.__traceback__
        while traceback is not None:
            frames.add(traceback.tb_frame.f_code)
            traceback = traceback.tb_next
        for name, plugin in self._manager.list_name_plugin():
            for caller in self._manager.get_hookcallers(plugin) or ():
                for implementation in caller.get_hookimpls():
                    code = getattr(implementation.function, "__code__", None)
                    if implementation.plugin is plugin and plugin is not self._innermost and code in frames:
                        return name
        return "?"

    @contextmanager
    def _contract(self, what: str, profile: Profile | None) -> Iterator[None]:
        """Let the contract's own errors through, with the profile's name; anything else is a broken plugin."""
        try:
            yield
        except KeyboardInterrupt:
            raise
        except FreshkeyError as error:
            error.profile = error.profile or (profile.name if profile else None)
            raise
        except BaseException as error:  # noqa: BLE001  SystemExit of a plugin must not end the application
            raise self._broken(f"{what} raised {describe_raise(error)}", profile) from None

    def _known_format(self, answer: object, hook: str, profile: Profile) -> Credential:
        if self._formats is None:
            self._formats = tuple(self.describe(None).formats.values())
        if not isinstance(answer, Credential):
            raise self._wrong_type(answer, "Credential", hook, profile)
        if type(answer) not in self._formats:
            raise self._broken(f"its {hook} hook returned a format it does not describe", profile)
        return answer

    def _checked(self, answer: object, kind: type[T], hook: str, profile: Profile | None) -> T:
        if not isinstance(answer, kind):
            raise self._wrong_type(answer, kind.__name__, hook, profile)
        return answer

    def _wrong_type(self, answer: object, wanted: str, hook: str, profile: Profile | None) -> PluginBroken:
        what = "nothing" if answer is None else f"a {type(answer).__name__}"
        return self._broken(f"its {hook} returned {what} instead of a {wanted}", profile)

    def _broken(self, what: str, profile: Profile | None) -> PluginBroken:
        return PluginBroken(
            f"provider {self._provider!r} broke its contract: {what}",
            plugin=self._provider,
            profile=profile.name if profile else None,
            hint="Report this to the author of the provider",
        )
