"""Many profiles whose provider does not work, asked one after the other, cost about what a few cost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import frozen

from freshkey import Configuration, Keeper
from freshkey._http import circuit_breaker
from freshkey.errors import FreshkeyError, LoginRequired, OutcomeUnknown, TransientError
from freshkey.hooks import hookimpl
from freshkey.model.credential import Credential, OAuthToken
from freshkey.model.description import Description
from freshkey.model.exchange import Response
from freshkey.model.interaction import Interaction
from freshkey.model.profile import Profile
from freshkey.model.source import Detected, Source
from freshkey.secret import Secret
from freshkey_testing import ManualClock
from promises import proves


PROFILES = 100
TIMEOUT = 30.0

Act = Callable[["Failing", str], None]


@frozen
class Settings:
    """No settings."""


class Impatient(ManualClock):
    """A clock that does not wait: time passes at once."""

    def wait(self, event: threading.Event, seconds: float | None = None) -> bool:
        self.advance(seconds or 0.0)
        return event.is_set()


class Failing:
    """A provider of borrowed credentials that does what a test says instead of responding."""

    def __init__(self, clock: ManualClock, act: Act) -> None:
        self.clock, self.act = clock, act
        self.hosts: tuple[str, ...] = ("as.example.com",)
        self.calls = 0

    @hookimpl
    def describe(self, profile: Profile | None, credential: Credential | None) -> Description:
        found = Detected(kind="token", origin="a tool")
        source = Source(id="tool", title="A tool", owned=False, detect=lambda _: found)
        formats = {"token": OAuthToken}
        return Description(title="F", settings=Settings, formats=formats, sources=(source,), hosts=self.hosts)

    @hookimpl
    def acquire(self, profile: Profile, source: Source, interaction: Interaction) -> Credential:
        self.calls += 1
        self.act(self, profile.name)
        return OAuthToken(obtained=self.clock.now(), lifetime=3600.0, access_token=Secret("a-made-up-token"))

    @hookimpl
    def refresh(self, profile: Profile, credential: Credential) -> Credential:
        raise NotImplementedError

    def ask(self, host: str, answer: Response | Exception, *, timed_out: bool = False) -> None:
        """Send a request through freshkey."""
        guarded = circuit_breaker.current()
        assert guarded is not None
        guarded.begin(host)
        if timed_out:
            self.clock.advance(TIMEOUT)
        guarded.end(host, answer, timed_out=timed_out)
        if isinstance(answer, Exception):
            raise answer
        if answer.status >= 500:
            raise TransientError("the server failed")


OK, BAD = (Response(status=status, headers={}, body=b"") for status in (200, 503))


def refuse(provider: Failing, _: str) -> None:
    provider.ask("as.example.com", TransientError("refused", code="connection-failed"))


def never_answer(provider: Failing, _: str) -> None:
    provider.ask("as.example.com", OutcomeUnknown("timed out"), timed_out=True)


def answer_503(provider: Failing, _: str) -> None:
    provider.ask("as.example.com", BAD)


def answer_at_another_path(provider: Failing, _: str) -> None:
    provider.ask("as.example.com", OK)
    provider.ask("as.example.com", BAD)


def find_no_host(_: Failing, name: str) -> None:
    raise TransientError(f"cannot resolve {name}.example.com", code="connection-failed")


def bring_own_client(_: Failing, __: str) -> None:
    raise TransientError("refused")


def bring_own_client_and_lose(_: Failing, __: str) -> None:
    raise OutcomeUnknown("lost")


def bring_own_client_and_hang(provider: Failing, _: str) -> None:
    provider.clock.advance(TIMEOUT)
    raise TransientError("timed out")


def run_a_command(_: Failing, __: str) -> None:
    raise TransientError("exited with status 1", code="command-failed")


Ask = Callable[[Act], tuple[Failing, Keeper]]


@pytest.fixture
def keeper_of(tmp_path: Path) -> Iterator[Ask]:
    made: list[Keeper] = []

    def make(act: Act) -> tuple[Failing, Keeper]:
        clock = Impatient()
        provider = Failing(clock, act)
        profiles = {f"p{number}": {"provider": "failing"} for number in range(PROFILES)}
        keeper = Keeper(
            configuration=Configuration.of(profiles, state_dir=tmp_path),
            clock=clock,
            providers={"failing": provider},
            random=lambda: 1.0,
        )
        keeper._scheduler.wake = lambda: None  # type: ignore[method-assign]
        made.append(keeper)
        return provider, keeper

    yield make
    for keeper in made:
        keeper.close()


def ask_all(keeper: Keeper) -> list[str]:
    codes = []
    for number in range(PROFILES):
        with pytest.raises(FreshkeyError) as caught:
            keeper.get(f"p{number}")
        codes.append(caught.value.code)
    return codes


@proves("NET-4")
@pytest.mark.parametrize(
    ("act", "sent", "seconds"),
    [
        (refuse, 5, 4.0),
        (answer_503, 5, 4.0),
        (answer_at_another_path, 5, 4.0),
        (bring_own_client, 5, 4.0),
        (bring_own_client_and_lose, 6, 4.0),
        (never_answer, 6, 6 * TIMEOUT + 4.0),
        (bring_own_client_and_hang, 6, 6 * TIMEOUT + 4.0),
    ],
)
def test_many_profiles_of_a_failing_host_cost_what_a_few_cost(
    keeper_of: Ask, act: Act, sent: int, seconds: float
) -> None:
    calls: list[str] = []

    def counted(provider: Failing, name: str) -> None:
        try:
            act(provider, name)
        except circuit_breaker.HostPaused:
            raise
        except FreshkeyError:
            calls.append(name)
            raise

    provider, keeper = keeper_of(counted)
    started = provider.clock.elapsed()
    codes = ask_all(keeper)
    assert len(calls) <= sent
    assert provider.clock.elapsed() - started <= seconds
    assert codes.count("host-paused") >= PROFILES - 6


@proves("NET-4")
@pytest.mark.parametrize("act", [find_no_host, run_a_command])
def test_what_shares_no_host_is_tried_once_each_without_pauses(keeper_of: Ask, act: Act) -> None:
    provider, keeper = keeper_of(act)
    provider.hosts = ()
    started = provider.clock.elapsed()
    ask_all(keeper)
    assert PROFILES <= provider.calls <= PROFILES + 4
    assert provider.clock.elapsed() - started <= 4.0


def test_failing_commands_do_not_keep_others_from_running(keeper_of: Ask) -> None:
    provider, keeper = keeper_of(run_a_command)
    ask_all(keeper)
    assert provider.calls >= PROFILES


@proves("NET-4")
def test_user_who_asks_to_renew_is_not_held_back(keeper_of: Ask) -> None:
    provider, keeper = keeper_of(bring_own_client)
    ask_all(keeper)
    before = provider.calls
    with pytest.raises(TransientError):
        keeper.refresh("p50")
    assert provider.calls > before


@pytest.mark.parametrize("act", [bring_own_client, answer_at_another_path])
def test_host_that_works_again_is_noticed(keeper_of: Ask, act: Act) -> None:
    provider, keeper = keeper_of(act)
    ask_all(keeper)
    provider.act = lambda _, __: None
    provider.clock.advance(circuit_breaker.MAX_BREAK + 30.0)
    for number in range(PROFILES):
        keeper.get(f"p{number}")


def test_probe_may_send_more_than_one_request(keeper_of: Ask) -> None:
    provider, keeper = keeper_of(answer_503)
    ask_all(keeper)

    def two(provider: Failing, _: str) -> None:
        provider.ask("as.example.com", OK)
        provider.ask("as.example.com", OK)

    provider.act = two
    provider.clock.advance(circuit_breaker.MAX_BREAK + 30.0)
    keeper.get("p7")
    keeper.get("p8")


def test_refusals_of_users_do_not_open_it(keeper_of: Ask) -> None:
    def refuse_user(_: Failing, __: str) -> None:
        raise LoginRequired("sign in")

    provider, keeper = keeper_of(refuse_user)
    assert set(ask_all(keeper)) == {"sign-in-required"}
    assert provider.calls == PROFILES
