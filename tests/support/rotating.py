"""A provider with single-use refresh tokens and reuse detection, a store that fails on demand, and keepers for both.

Everything runs in this process and is recorded in one journal, so that tests can check the order of steps.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from freshkey._config.configuration import Configuration
from freshkey._http import circuit_breaker
from freshkey._interprocess.hints import Hints, HintsFile
from freshkey._interprocess.lock import ThreadLock
from freshkey._renewal.context import ProfileContext
from freshkey._stores.memory import MemoryItems
from freshkey._stores.records.slots import SlottedStore
from freshkey.clock import Clock
from freshkey.errors import LoginRequired, OutcomeUnknown, StoreUnavailable, TransientError
from freshkey.events import Event
from freshkey.hooks import hookimpl
from freshkey.keeper import Keeper
from freshkey.model.credential import Credential, OAuthToken
from freshkey.model.description import Description, Inspection, Validity
from freshkey.model.identity import Identity
from freshkey.model.interaction import Interaction, LoggingReporter, Reporter, is_attended
from freshkey.model.profile import Profile
from freshkey.model.source import Detected, Source
from freshkey.model.storage import CredentialStore, Intent, Record, Snapshot
from freshkey.model.unused_settings import unused_settings
from freshkey.secret import Secret
from freshkey_testing import ManualClock
from waiting import PATIENCE, until


LOST = object()
"""A step of a script: the server acts, and its response is lost."""

ADA = Identity(account="ada", email="ada@example.com")

VARIABLE = "variable"
SIGN_IN = "sign-in"
MACHINE = "machine"
TOOL = "tool"


@frozen
class Settings:
    """A setting that the provider does not use, but that differs between attempts."""

    tool: str = "one"
    password: Secret | None = None


class User(LoggingReporter):
    """A user who agrees to everything by default, and records questions and notices."""

    def __init__(self, *, declines: bool = False, agrees: bool = True) -> None:
        self.opened: list[str] = []
        self.declines = declines
        self.agrees = agrees
        self.questions: list[str] = []
        self.notices: list[str] = []

    def notice(self, message: str) -> None:
        super().notice(message)
        self.notices.append(message)

    def require_attended(self) -> None: ...

    def read_text(self, prompt: str) -> str:
        raise AssertionError(prompt)

    def read_secret(self, prompt: str) -> Secret:
        raise AssertionError(prompt)

    def choose(self, prompt: str, options: Mapping[str, str]) -> str:
        raise AssertionError(prompt, options)

    def confirm(self, question: str) -> bool:
        self.questions.append(question)
        return self.agrees

    def open_url(self, url: str) -> None:
        self.opened.append(url)
        if self.declines:
            raise LoginRequired("the user declined")

    def read_code(self, prompt: str, given_up: threading.Event) -> Secret | None:
        raise AssertionError(prompt)

    def show_device_code(self, user_code: str, verification_uri: str, complete_uri: str | None) -> None:
        raise AssertionError(user_code)


class RotatingProvider:
    """The provider and its authorization server in one.

    Attributes:
        script: What the next refreshes do instead of succeeding: an exception is raised before anything happens,
            `LOST` acts and loses the response, a callable is called first.
        sent: Every refresh token that was received.
        acquired: The ids of the sources that were acquired from.
        attended: For each acquisition, whether a user was waiting.
        living: The valid refresh tokens; each sign-in is a separate grant.
        revoked: Whether the token family is revoked because a token was used twice.
        grace: Whether a spent token returns the same successor again.
        gate: An event that refreshes wait for; set unless a test clears it.
        inside: Number of refreshes in progress.
        variable: A borrowed access token, or None.
        version: `Detected.version` of `variable`.
        lends: The refresh token that comes with `variable`, or None.
        recheck: Seconds after which `variable` is checked again, or None.
        says: The notice shown during an acquisition, or None.
        machine: Whether there is an owned source that needs no user.
        machine_renews: Whether what it gets comes with a refresh token.
        tool_token: A borrowed access token that comes after the sign-in, or None.
        machine_first: Whether that source comes before the sign-in.
        borrows_only: Whether `variable` is the only source.
        lifetime: Lifetime of issued tokens in seconds.
        answers: A function that the refreshed credential is passed through.
        renewable: Whether issued tokens come with refresh tokens.
        repeats_for: `Description.repeats_for`.
        binding: `Description.binding`.
        formats: `Description.formats`.
        revocable: Whether it can revoke.
        revokes_alone: `Description.revokes_alone`.
        revocations: The refresh tokens that were revoked.
    """

    def __init__(self, clock: Clock, journal: list[str], store: CredentialStore) -> None:
        self.clock = clock
        self.journal = journal
        self.kept_in = store
        self.script: deque[Any] = deque()
        self.sent: list[str] = []
        self.acquired: list[str] = []
        self.attended: list[bool] = []
        self.living: set[str] = set()
        self.revoked = False
        self.grace = False
        self.gate = threading.Event()
        self.gate.set()
        self.inside = 0
        self.variable: str | None = None
        self.version: str | None = None
        self.lends: Secret | None = None
        self.recheck: float | None = None
        self.says: str | None = None
        self.machine = False
        self.machine_renews = False
        self.machine_first = False
        self.tool_token: str | None = None
        self.borrows_only = False
        self.lifetime: float | None = 3600.0
        self.identity = ADA
        self.answers: Callable[[OAuthToken], Credential] = lambda token: token
        self.single_use = True
        self.renewable = True
        self.repeats_for: float | None = None
        self.binding: dict[str, str] = {}
        self.formats: dict[str, type[Credential]] = {"rotating-token": OAuthToken}
        self.revocations: list[str] = []
        self.revocable = True
        self.revokes_alone = True
        self.revoke_error: Exception | None = None
        self.validity = Validity.VALID
        self.acquire_error: Exception | None = None
        self._number = 0
        self._mutex = threading.Lock()

    @hookimpl
    def describe(self, profile: Profile | None, credential: Credential | None) -> Description | Inspection:
        if credential is not None:
            return Inspection(validity=self.validity, identity=credential.identity)
        return Description(
            title="Rotating",
            settings=Settings,
            formats=self.formats,
            sources=self._sources(),
            single_use=self.single_use,
            repeats_for=self.repeats_for,
            binding=self.binding,
            revoke=self._revoke if self.revocable else None,
            revokes_alone=self.revokes_alone,
        )

    @hookimpl
    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
        self.acquired.append(source.id)
        self.journal.append(f"acquire {source.id}")
        self.attended.append(is_attended(interaction))
        if self.says is not None:
            interaction.notice(self.says)
        if self.acquire_error is not None:
            raise self.acquire_error
        if source.id == VARIABLE:
            if self.lends is not None:
                self.living.add(self.lends.reveal())
            return OAuthToken(
                obtained=self.clock.now(),
                lifetime=self.lifetime,
                recheck_after=self.recheck,
                access_token=Secret(str(self.variable)),
                refresh_token=self.lends,
            )
        if source.id == TOOL:
            token = Secret(str(self.tool_token))
            return OAuthToken(obtained=self.clock.now(), lifetime=self.lifetime, access_token=token)
        if source.id == MACHINE:
            with self._mutex:
                issued = self._issue()
                return issued if self.machine_renews else evolve(issued, refresh_token=None)
        interaction.open_url("https://as.example.com/authorize")
        with self._mutex:
            if self.revoked:
                self.living.clear()
            self.revoked = False
            return self._issue()

    @hookimpl
    def refresh(self, profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
        assert isinstance(credential, OAuthToken)
        assert credential.refresh_token is not None
        self.journal.append("refresh")
        with self._mutex:
            self.inside += 1
        self.gate.wait()
        with self._mutex:
            self.inside -= 1
            self.sent.append(credential.refresh_token.reveal())
            step = self.script.popleft() if self.script else None
            if callable(step):
                step()
            if isinstance(step, BaseException):
                raise step
            answer = self._rotate(credential.refresh_token.reveal())
            if step is LOST:
                raise OutcomeUnknown("the connection broke")
            return self.answers(answer)

    @hookimpl
    def store(self, profile: Profile) -> CredentialStore:
        return self.kept_in

    def rotate_elsewhere(self) -> OAuthToken:
        """Renew like a process that the keeper does not know about."""
        with self._mutex:
            self.living.clear()
            return self._issue()

    def _sources(self) -> tuple[Source, ...]:
        variable = Source(
            id=VARIABLE,
            title="A variable",
            owned=False,
            handed_in=True,
            needs_consent=True,
            detect=self._look,
            ignores=lambda profile: unused_settings(profile, VARIABLE, {"tool": ()}),
        )
        sign_in = Source(id=SIGN_IN, title="A sign-in", owned=True, interactive=True)
        machine = Source(id=MACHINE, title="This machine", owned=True, automatic=True, detect=_look_at_machine)
        if self.borrows_only:
            return (variable,)
        if self.machine_first:
            return (variable, machine, sign_in)
        if self.tool_token is not None:
            return (variable, sign_in, Source(id=TOOL, title="Another tool", owned=False, detect=_look_at_tool))
        return (variable, sign_in, machine) if self.machine else (variable, sign_in)

    def _look(self, profile: Profile) -> Detected | None:
        if self.variable is None:
            return None
        fingerprint = Secret(self.variable).fingerprint()
        return Detected(kind="token", origin="a variable", fingerprint=fingerprint, version=self.version)

    def _rotate(self, token: str) -> OAuthToken:
        if token in self.living and not self.revoked:
            if self.single_use:
                self.living.remove(token)
            return self._issue()
        if self.grace and token == f"rt-{self._number - 1}" and not self.revoked:
            return self._token()
        self.revoked = self.single_use
        raise LoginRequired("the server no longer knows the refresh token")

    def _issue(self) -> OAuthToken:
        self._number += 1
        self.living.add(self._refresh_token())
        return self._token()

    def _refresh_token(self) -> str:
        return f"rt-{self._number}" if self.single_use else "rt-1"

    def _token(self) -> OAuthToken:
        return OAuthToken(
            obtained=self.clock.now(),
            lifetime=self.lifetime,
            source=SIGN_IN,
            identity=self.identity,
            access_token=Secret(f"at-{self._number}"),
            refresh_token=Secret(self._refresh_token()) if self.renewable else None,
            client_id="a-client",
        )

    def _revoke(self, profile: Profile, credential: Credential) -> None:
        assert isinstance(credential, OAuthToken)
        if self.revoke_error is not None:
            raise self.revoke_error
        self.journal.append("revoke")
        if credential.refresh_token is not None:
            self.revocations.append(credential.refresh_token.reveal())


class Telling(RotatingProvider):
    """A provider that names the profile in notices, and that may require a user when there is none."""

    wants_a_person = False

    @hookimpl
    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
        interaction.notice(f"acquiring for {profile.name}")
        if self.wants_a_person:
            interaction.open_url("https://as.example.com")
        return super().acquire(profile, source, interaction)

    @hookimpl
    def refresh(self, profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
        reporter.notice(f"renewing for {profile.name}")
        return super().refresh(profile, credential, reporter)


class Listener(LoggingReporter):
    """A reporter that records notices."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def notice(self, message: str) -> None:
        self.heard.append(message)


def _look_at_machine(profile: Profile) -> Detected:
    return Detected(kind="key", origin="this machine")


def _look_at_tool(profile: Profile) -> Detected:
    return Detected(kind="token", origin="another tool")


class FailingStore:
    """A store that records its verbs in a journal, and fails at those that a test chose.

    Attributes:
        failing: The verbs that fail.
        absent: Whether they fail because there is no such store.
        items: The stored items.
        identity: Which of several places this is now.
    """

    kind = "failing"
    identity = ""

    def __init__(self, journal: list[str], key: str) -> None:
        self.items = MemoryItems()
        self.journal = journal
        self.failing: set[str] = set()
        self.absent = False
        self._slots = SlottedStore(self.items, ThreadLock(key))

    @property
    def contents(self) -> dict[str, str]:
        return dict(self.items._values)

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        self._step("lock")
        with self._slots.lock(timeout):
            try:
                yield
            finally:
                self.journal.append("release")

    def probe(self) -> None:
        self._step("probe")
        self._slots.probe()

    def load(self) -> Snapshot:
        self._step("load")
        return self._slots.load()

    def intend(self, intent: Intent) -> None:
        self._step("intend")
        self._slots.intend(intent)

    def save(self, record: Record) -> None:
        self._step("save")
        self._slots.save(record)

    def withdraw(self, intent: Intent) -> None:
        self._step("withdraw")
        self._slots.withdraw(intent)

    def _step(self, verb: str) -> None:
        self.journal.append(verb)
        if verb in self.failing:
            raise StoreUnavailable(f"the store fails at {verb}", absent=self.absent, hint="Get a store")

    def vanish(self) -> None:
        """Fail at everything, as on a machine without a keychain."""
        self.failing, self.absent = {"lock", "probe", "load", "intend", "save", "withdraw"}, True


class World:
    """One machine: its clock, provider and store, and keepers, which stand for processes.

    Attributes:
        clock: A manual clock.
        journal: The steps so far, in order.
        random: The keepers' random number.
    """

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.clock = ManualClock()
        self.journal: list[str] = []
        self.store = FailingStore(self.journal, key=str(state_dir))
        self.provider = RotatingProvider(self.clock, self.journal, self.store)
        self.random = 0.0
        self.keepers: list[Keeper] = []
        self.user = User()

    def keeper(
        self, *, scheduler: bool = False, settings: Mapping[str, object] | None = None, **arguments: Any
    ) -> Keeper:
        """Return a keeper with the profile ``me`` and its settings; without a timer, `run_once` runs it."""
        mine: dict[str, object] = {"provider": "rotating", **(settings or {})}
        profiles: dict[str, Mapping[str, object]] = {"me": mine, "also-me": {"provider": "rotating"}}
        configuration = Configuration.of(profiles, state_dir=self.state_dir, default="me")
        keeper = Keeper(
            configuration=configuration,
            clock=self.clock,
            providers={"rotating": self.provider},
            random=lambda: self.random,
            **arguments,
        )
        if not scheduler:
            keeper._scheduler.wake = lambda: None  # type: ignore[method-assign]
        self.keepers.append(keeper)
        return keeper

    def signed_in(self, **arguments: Any) -> Keeper:
        """Return a keeper that has just signed in."""
        keeper = self.keeper(**arguments)
        keeper.login("me", interaction=self.user)
        self.settle(keeper)
        return keeper

    def unrenewable(self, lifetime: float | None) -> Keeper:
        """Return a keeper that has just signed in, without a refresh token."""
        self.provider.lifetime, self.provider.renewable = lifetime, False
        return self.signed_in()

    def settle(self, *keepers: Keeper) -> None:
        """Wait until nothing is in progress."""
        for keeper in keepers or tuple(self.keepers):
            for managed in keeper.all_managed():
                until(lambda managed=managed: managed._future is None and not managed._looking, "rest")  # type: ignore[misc]

    def run_once(self, keeper: Keeper) -> float:
        """Run a keeper's timer once, wait for what it started, and return the seconds until its next run."""
        wait = keeper._scheduler.run_once()
        self.settle(keeper)
        assert wait is not None
        return wait

    def pass_time(self, seconds: float, *keepers: Keeper, step: float = 0.05) -> int:
        """Let time pass and run the keepers' timers when due, but not within `step`; return the number of runs.

        A timer that listens for other processes is due every second: hours of that would be long.
        """
        end = self.clock.elapsed() + seconds
        looks = 0
        while self.clock.elapsed() < end:
            wait = min(self.run_once(keeper) for keeper in keepers)
            looks += 1
            self.clock.advance(min(max(wait, step), end - self.clock.elapsed()))
        return looks

    def hold_until(self, condition: Callable[[], object]) -> None:
        """Hold refreshes at the gate until a condition is true."""
        self.provider.gate.clear()

        def watch() -> None:
            until(condition)
            self.provider.gate.set()

        threading.Thread(target=watch).start()

    def asking(self, keeper: Keeper) -> Asking:
        """Get the credential from a keeper on a separate thread."""
        return Asking(keeper)

    def close(self) -> None:
        """Let everything in progress finish, and close the keepers."""
        self.provider.gate.set()
        self.provider.script.clear()
        self.store.failing.clear()
        for keeper in self.keepers:
            keeper._scheduler.stop()
        until(self._at_rest, "rest at the end of the test")
        for keeper in self.keepers:
            keeper.close()

    def _at_rest(self) -> bool:
        self.clock.advance(60.0)
        all_managed = [managed for keeper in self.keepers for managed in keeper.all_managed()]
        return all(managed._future is None and not managed._looking for managed in all_managed)


class Asking:
    """A call of `Keeper.get` on a separate thread."""

    def __init__(self, keeper: Keeper, refused: Credential | None = None) -> None:
        self._answers: list[Credential] = []
        self._thread = threading.Thread(target=lambda: self._answers.append(keeper.get("me", refused=refused)))
        self._thread.start()

    @property
    def waits(self) -> bool:
        return self._thread.is_alive()

    def answer(self) -> str:
        """Return the access token that the call returned."""
        self._thread.join(PATIENCE)
        (credential,) = self._answers
        return token_of(credential)


def token_of(credential: Credential) -> str:
    """Return the access token."""
    assert credential.token is not None
    return credential.token.reveal()


def break_host(context: ProfileContext) -> None:
    """Record so many failures of the authorization server that requests to it are paused."""
    for _ in range(circuit_breaker.FAILURES_TO_OPEN):
        context.breaker.note("as.example.com", TransientError("no route"))


def call_host() -> None:
    """Start a request to the authorization server; a step of `RotatingProvider.script`."""
    guarded = circuit_breaker.current()
    assert guarded is not None
    guarded.begin("as.example.com")


def collect(keeper: Keeper) -> list[Event]:
    """Return a list that collects the keeper's events from now on."""
    events: list[Event] = []
    keeper.subscribe(events.append)
    return events


def expired(credential: OAuthToken) -> OAuthToken:
    """Return an already expired copy of the token, as from a faulty server."""
    moment = credential.obtained
    earlier = evolve(moment, wall=moment.wall - 7200, elapsed=moment.elapsed - 7200)
    return evolve(credential, obtained=earlier)


def in_threads(count: int, call: Callable[[], Any]) -> list[Any]:
    """Call `call` in this many threads at once; return results and exceptions."""
    start = threading.Barrier(count)
    answers: list[Any] = []

    def run() -> None:
        start.wait()
        try:
            answers.append(call())
        except Exception as error:  # noqa: BLE001  checked by the test
            answers.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    return answers


def snapshot(world: World) -> Snapshot:
    """Return the profile's snapshot in the store."""
    return world.store._slots.load()


def hints(world: World) -> Hints:
    """Return the profile's hints, which processes share."""
    return HintsFile(world.state_dir, "me").read()


def expire(world: World) -> None:
    """Let the credential expire, and clear the journal."""
    world.clock.advance(3600)
    world.journal.clear()
