"""The provider and the calls with which the contract of observers watches one."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

from attrs import define, field

from freshkey import Credential, Description, Inspection, OAuthToken, Profile, Secret, Validity
from freshkey._plugins.discovery import load_store
from freshkey._plugins.hook_caller import HookCaller
from freshkey._plugins.wiring import wire
from freshkey.events import Event
from freshkey.plugin import (
    SYSTEM,
    CredentialStore,
    Identity,
    Interaction,
    LoggingReporter,
    NonInteractive,
    Reason,
    Reporter,
    Source,
    hookimpl,
)


OBSERVER: Final = "observer"
CANARIES: Final = frozenset(f"canary-{name}-7c1d94e0aa" for name in ("access", "refresh", "next"))
"""Every secret that passes the observer; made up, to detect leaks."""

SOURCE: Final = Source(id="sign-in", title="Sign-in", owned=True, interactive=True)
HOOKS: Final = ("describe", "inspect", "acquire", "refresh", "store")
"""The calls that are watched: describe is called for two purposes."""


@define
class NoSettings:
    """The settings of a provider that has none."""


def held(access: str = "access") -> OAuthToken:
    """Return a credential with canaries in it."""
    return OAuthToken(
        obtained=SYSTEM.now(),
        lifetime=3600.0,
        access_token=Secret(f"canary-{access}-7c1d94e0aa"),
        refresh_token=Secret("canary-refresh-7c1d94e0aa"),
        source=SOURCE.id,
        identity=Identity(account="ada"),
    )


@define(eq=False)
class Provider:
    """Answers every hook, or raises `error`; counts the calls that reach it."""

    error: BaseException | None = None
    answers: list[object] = field(init=False, factory=list)
    reached: bool = field(init=False, default=False)

    @hookimpl
    def describe(self, profile: Profile | None, credential: Credential | None) -> object:  # noqa: ARG002  the contract
        """Describe the provider, or say that the credential is valid."""
        self.reached = True
        if credential is None:
            return Description(
                title="Stage", settings=NoSettings, formats={"token": OAuthToken}, sources=(SOURCE,), single_use=True
            )
        return self._answer(Inspection(validity=Validity.VALID))

    @hookimpl
    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> object:  # noqa: ARG002
        """Return a credential."""
        return self._answer(held())

    @hookimpl
    def refresh(self, profile: Profile, credential: Credential, reporter: Reporter, reason: Reason) -> object:  # noqa: ARG002
        """Return another credential."""
        return self._answer(held("next"))

    @hookimpl
    def store(self, profile: Profile) -> CredentialStore:
        """Return a store that keeps nothing outside of this process."""
        memory: Any = load_store("memory")
        answer: CredentialStore = memory.store(profile)
        self._answer(answer)
        return answer

    def _answer(self, answer: object) -> object:
        self.reached = True
        self.answers.append(answer)
        if self.error is not None:
            raise self.error
        return answer


@define(eq=False)
class Outermost:
    """A wrapper outside of the observer: sees what the observer makes of each answer."""

    results: list[object] = field(init=False, factory=list)
    raised: list[BaseException] = field(init=False, factory=list)

    @hookimpl(wrapper=True, tryfirst=True)
    def describe(self) -> Generator[None, object, object]:
        """See one answer, or error."""
        try:
            result = yield
        except BaseException as error:
            self.raised.append(error)
            raise
        self.results.append(result)
        return result

    acquire = refresh = store = describe


@define(eq=False)
class Stage:
    """One observer between a provider and the core.

    Args:
        observer: The observer.
        error: What the provider raises instead of an answer.
    """

    _observer: object
    _error: BaseException | None = None
    provider: Provider = field(init=False)
    outermost: Outermost = field(init=False, factory=Outermost)
    events: list[Event] = field(init=False, factory=list)
    reached: bool = field(init=False, default=False)
    """Whether the last call reached the provider."""
    _hooks: HookCaller = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Wire the three of them, as the core does.

        Raises:
            PluginBroken: The observer does not fit.
        """
        self.provider = Provider()
        memory = ("memory", load_store("memory"))
        observers = {OBSERVER: self._observer, "freshkey contract": self.outermost}
        manager = wire("stage", self.provider, store=memory, store_is_configured=False, observers=observers)
        self._hooks = HookCaller(manager, "stage", self.events.append)

    def call(self, hook: str, profile: Profile) -> object:
        """Call one of `HOOKS` as the core does; what the describe hook said before it is forgotten."""
        if hook in {"acquire", "refresh"}:
            self._hooks.describe(None)
        self.provider.error = self._error
        self.provider.answers.clear()
        self.provider.reached = False
        self.outermost.results.clear()
        self.outermost.raised.clear()
        self.events.clear()
        calls: dict[str, Callable[[], object]] = {
            "describe": lambda: self._hooks.describe(profile),
            "inspect": lambda: self._hooks.inspect(profile, held()),
            "acquire": lambda: self._hooks.acquire(profile, SOURCE, NonInteractive(profile.name)),
            "refresh": lambda: self._hooks.refresh(profile, held(), LoggingReporter(), Reason.DUE),
            "store": lambda: self._hooks.store(profile),
        }
        try:
            return calls[hook]()
        finally:
            self.reached = self.provider.reached
