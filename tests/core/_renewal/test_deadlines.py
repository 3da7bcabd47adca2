"""Deadlines of a credential whose sign-in ends, too, and of one whose waiter wakes up late."""

from __future__ import annotations

import pytest
from attrs import evolve

from freshkey._renewal.deadlines import seconds_until_due
from freshkey.errors import LoginRequired
from freshkey.events import SignInEnding, SignInNeeded
from freshkey.expiry import Freshness
from freshkey.keeper import Keeper
from freshkey.model.credential import OAuthToken
from freshkey.model.description import Description
from promises import proves
from raises_code import raises_code
from rotating import World, collect, token_of


DAY = 86_400.0


class Server:
    """What the server says about the end of a sign-in: it slides, or it does not."""

    def __init__(self, world: World, term: float, *, slides: bool) -> None:
        self._clock = world.clock
        self._ends = world.clock.elapsed() + term
        self._term = term
        self._slides = slides
        issue = world.provider._token

        def issued() -> OAuthToken:
            return evolve(issue(), renewable_for=self._left())

        world.provider._token = issued  # type: ignore[method-assign]

    def _left(self) -> float:
        return self._term if self._slides else self._ends - self._clock.elapsed()


def pass_hours(hours: float, world: World, keeper: Keeper) -> None:
    """Let time pass, and run the keeper's timer only once in half an hour."""
    for _ in range(int(2 * hours)):
        world.clock.advance(1800)
        world.run_once(keeper)


@proves("TIM-3")
@pytest.mark.parametrize(
    ("lifetime", "term", "due"),
    [
        (3600.0, 1800.0, 1500.0),
        (3600.0, 600.0, 480.0),
        (3600.0, 60.0, 48.0),
        (3600.0, 20.0, 16.0),
        (3600.0, 86_400.0, 3300.0),
        (None, 86_400.0, 86_100.0),
    ],
)
def test_renewal_comes_before_the_earlier_of_both_ends(
    world: World, lifetime: float | None, term: float, due: float
) -> None:
    world.provider.lifetime = lifetime
    Server(world, term, slides=True)
    keeper = world.signed_in()
    for number in range(1, 6):
        world.clock.advance(due - 1)
        world.run_once(keeper)
        assert len(world.provider.sent) == number - 1
        assert keeper.status("me").freshness is Freshness.FRESH
        world.clock.advance(1)
        world.run_once(keeper)
        assert len(world.provider.sent) == number
    assert token_of(keeper.get("me")) == "at-6"


def test_access_token_is_served_until_its_own_end(world: World) -> None:
    Server(world, 1800.0, slides=False)
    keeper = world.signed_in()
    world.clock.advance(1000)
    world.provider.revoked = True
    world.pass_time(2599, keeper)
    assert token_of(keeper.get("me")) == "at-1"
    world.clock.advance(2)
    with raises_code(LoginRequired, "sign-in-required"):
        keeper.get("me")


@pytest.mark.parametrize("lead", [None, 600.0])
def test_end_that_does_not_move_is_not_approached_by_ever_shorter_renewals(world: World, lead: float | None) -> None:
    Server(world, 1800.0, slides=False)
    keeper = world.signed_in()
    (managed,) = keeper.all_managed()
    managed.context = evolve(managed.context, description=_with_lead(managed.context.description, lead))
    world.pass_time(1800, keeper)
    assert 1 <= len(world.provider.sent) <= 2
    assert keeper.get("me").expired() is False


@pytest.mark.parametrize("stated", [-5.0, 0.0, 0.5, 1.0])
def test_end_that_no_renewal_could_precede_is_ignored(world: World, stated: float) -> None:
    """Some servers say 0 if a refresh token does not expire."""
    Server(world, stated, slides=True)
    keeper = world.signed_in()
    world.pass_time(3299, keeper)
    assert world.provider.sent == []
    world.pass_time(2, keeper)
    assert world.provider.sent == ["rt-1"]


def _with_lead(description: Description, lead: float | None) -> Description:
    return evolve(description, lead=lead)


def test_warning_is_sent_once_for_a_sign_in_that_ends(world: World) -> None:
    world.provider.lifetime = 8 * 3600.0
    Server(world, 30 * DAY, slides=False)
    keeper = world.signed_in()
    events = collect(keeper)
    pass_hours(27 * 24 - 1, world, keeper)
    assert not [event for event in events if isinstance(event, SignInEnding)]
    assert keeper.status("me").sign_in_ending is False
    pass_hours(48, world, keeper)
    (warning,) = [event for event in events if isinstance(event, SignInEnding)]
    assert warning == SignInEnding(profile="me", ends_at=warning.ends_at)
    assert warning.ends_at.timestamp() == pytest.approx(world.clock.now().wall + DAY + 3600, abs=5)
    assert keeper.status("me").sign_in_ending is True
    world.provider.living.clear()
    pass_hours(48, world, keeper)
    assert [type(event) for event in events].count(SignInEnding) == 1
    assert [type(event) for event in events].count(SignInNeeded) == 1


def test_sliding_sign_in_is_not_warned_of_unless_renewals_fail(world: World) -> None:
    Server(world, 7200.0, slides=True)
    keeper = world.signed_in()
    events = collect(keeper)
    world.pass_time(4 * 3600, keeper, step=10)
    assert not [event for event in events if isinstance(event, SignInEnding)]
    world.provider.script.extend([LoginRequired("gone")])
    world.pass_time(7200, keeper, step=10)
    assert [type(event) for event in events].count(SignInEnding) == 1


def test_what_is_stored_says_when_the_sign_in_ends(world: World) -> None:
    Server(world, 30 * DAY, slides=False)
    keeper = world.signed_in()
    world.clock.advance(3300)
    world.run_once(keeper)
    other = world.keeper().get("me")
    assert other.sign_in_term == pytest.approx(30 * DAY)
    assert other.renewable_for == pytest.approx(30 * DAY - 3300)
    assert other.sign_in_ends_at is not None


def test_recheck_counts_for_credentials_without_any_end(world: World) -> None:
    credential = OAuthToken(obtained=world.clock.now(), access_token=world.signed_in().get("me").token)  # type: ignore[arg-type]
    assert seconds_until_due(credential, None, 0.0, world.clock.now()) == float("inf")
