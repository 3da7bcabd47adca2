"""What processes agree on between two attempts: pauses after failures, and refusals that are final."""

from __future__ import annotations

import pytest
from attrs import evolve

from freshkey._interprocess import hints as hints_file
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    ProviderRefused,
    TransientError,
)
from freshkey.events import RenewalFailed, SignInNeeded
from matrix import row
from rotating import (
    VARIABLE,
    User,
    World,
    break_host,
    call_host,
    collect,
    expire,
    expired,
    hints,
    snapshot,
    token_of,
)
from waiting import until


# --- refused for good (ROT-5) -------------------------------------------------------------------------------------


@row(30, "ROT-5")
def test_a_refused_token_is_never_sent_again(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3400)
    world.provider.revoked = True
    kept = snapshot(world)
    events = collect(keeper)
    assert token_of(keeper.get("me")) == "at-1"
    world.settle(keeper)
    until(lambda: events)
    assert [type(event) for event in events] == [SignInNeeded]
    assert token_of(keeper.get("me")) == "at-1", "the access token is served until its own end"
    assert token_of(world.keeper().get("me")) == "at-1", "in other processes as well"
    world.clock.advance(200)
    for each in (keeper, world.keeper(), keeper):
        with pytest.raises(LoginRequired, match="the server no longer knows the refresh token"):
            each.get("me")
        with pytest.raises(LoginRequired):
            each.refresh("me")
    assert world.provider.sent == ["rt-1"]
    assert snapshot(world) == kept
    world.settle(keeper)
    assert [type(event) for event in events] == [SignInNeeded]


def test_a_refused_token_is_never_sent_again_where_hints_cannot_be_written(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    world.provider.revoked = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hints_file.HintsFile, "write", lambda self, hints: None)
        for _ in range(3):
            with pytest.raises(LoginRequired, match="no longer knows"):
                keeper.get("me")
            world.settle(keeper)
    assert world.provider.sent == ["rt-1"]


def test_a_new_sign_in_ends_the_refusal_everywhere(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    other.get("me")
    expire(world)
    world.provider.revoked = True
    for each in (keeper, other):
        with pytest.raises(LoginRequired):
            each.get("me")
        world.settle(each)
    assert keeper.status("me").sign_in_needed == "the server no longer knows the refresh token"
    keeper.login("me", interaction=User())
    assert token_of(other.get("me")) == token_of(keeper.get("me"))
    assert keeper.status("me").sign_in_needed is None
    expire(world)
    assert token_of(keeper.get("me")) == "at-3"


@row(29, "ROT-5")
def test_a_token_renewed_beyond_the_lock_is_adopted_after_a_refusal(world: World) -> None:
    """Another host that shares the store is not kept out by this host's lock."""
    keeper = world.signed_in()
    expire(world)

    def elsewhere() -> None:
        world.provider.living.clear()
        newer = world.provider._issue()
        record = snapshot(world).record
        assert record is not None
        codec = next(iter(keeper.all_managed())).context.codec
        for generation in (2, 3):
            world.store._slots.save(evolve(record, generation=generation, payload=codec.encode(newer)))

    world.provider.script.append(elsewhere)
    assert token_of(keeper.get("me")) == "at-2"
    assert world.provider.sent == ["rt-1"]


@pytest.mark.parametrize("by_user", [False, True])
def test_a_token_renewed_beyond_the_lock_that_is_old_by_now_is_renewed_in_turn(world: World, by_user: bool) -> None:
    keeper = world.signed_in()
    expire(world)
    (managed,) = keeper.all_managed()
    if by_user:
        break_host(managed.context)

    def elsewhere() -> None:
        newer = expired(world.provider._issue())
        record = snapshot(world).record
        assert record is not None
        codec = next(iter(keeper.all_managed())).context.codec
        for generation in (2, 3):
            world.store._slots.save(evolve(record, generation=generation, payload=codec.encode(newer)))
        raise LoginRequired("the server no longer knows the refresh token")

    world.provider.script.extend([elsewhere, call_host])
    assert token_of(keeper.refresh("me") if by_user else keeper.get("me")) == "at-3"
    assert world.provider.sent == ["rt-1", "rt-2"]


def test_a_person_who_declined_is_not_asked_again_by_itself(world: World) -> None:
    user = User(declines=True)
    keeper = world.keeper(interaction=user)
    for _ in range(2):
        with pytest.raises(LoginRequired):
            keeper.get("me")
        world.settle(keeper)
    assert len(user.opened) == 1


def test_a_person_who_fails_to_sign_in_does_not_cause_the_dead_token_to_be_sent_again(world: World) -> None:
    user = User()
    keeper = world.keeper(interaction=user)
    keeper.get("me")
    expire(world)
    world.provider.revoked = True
    world.provider.acquire_error = TransientError("no route to the authorization page")
    with pytest.raises(TransientError):
        keeper.get("me")
    world.settle(keeper)
    world.clock.advance(61)
    world.provider.acquire_error = None
    assert token_of(keeper.get("me")) == "at-2"
    assert world.provider.sent == ["rt-1"]


# --- pauses -------------------------------------------------------------------------------------------------------


@row(33, "NET-3")
def test_processes_share_the_pause_after_a_failure(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    other.get("me")
    expire(world)
    world.provider.script.extend([TransientError("no route", retry_after=100.0)])
    with pytest.raises(TransientError):
        keeper.get("me")
    asked = len(world.provider.sent)
    events = collect(other)
    for seconds in (0, 50, 49.5):
        world.clock.advance(seconds)
        with pytest.raises(TransientError, match="no route") as caught:
            other.get("me")
        assert caught.value.retry_after is not None
        world.settle(other)
    assert len(world.provider.sent) == asked
    until(lambda: events)
    assert events == [RenewalFailed(profile="me", error="me: no route", retry_in=100.0)]
    with pytest.raises(TransientError, match="no route"):
        world.keeper().get("me")
    world.clock.advance(0.5)
    assert token_of(other.get("me")) == "at-2", "asking meanwhile has not prolonged the pause"


def test_pauses_grow_with_failures_and_end_with_success(world: World) -> None:
    world.random = 1.0
    keeper = world.signed_in()
    events = collect(keeper)
    expire(world)
    for _ in range(3):
        world.provider.script.append(ProviderRefused("not now"))
        with pytest.raises(ProviderRefused):
            keeper.get("me")
        world.settle(keeper)
        world.clock.advance(61)
    until(lambda: len(events) == 3)
    assert [event.retry_in for event in events if isinstance(event, RenewalFailed)] == [60.0, 60.0, 60.0]
    assert hints(world).failures == 3
    keeper.get("me")
    assert hints(world).failures == 0
    assert hints(world).error is None


def test_what_is_wrong_with_a_configuration_is_looked_at_again_at_once(world: World) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = ConfigurationError("there is no such file", hint="Make it")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"^me: there is no such file\. Make it$"):
            world.keeper().get("me")
    assert hints(world).error == "there is no such file"
    world.provider.acquire_error = None
    assert token_of(world.keeper().get("me")) == "borrowed-1"


@pytest.mark.parametrize("kind", [LoginRequired, ProviderRefused])
def test_other_processes_pass_on_what_to_do(world: World, kind: type[FreshkeyError]) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = kind("it has ended", hint="Run the other tool")
    for _ in range(2):
        with pytest.raises(FreshkeyError, match=r"^me: it has ended\. Run the other tool$"):
            world.keeper().get("me")
    assert world.provider.acquired == [VARIABLE]
    world.clock.advance(61)
    world.provider.acquire_error = None
    world.keeper().get("me")
    assert hints(world).hint is None


def test_in_bare_mode_what_failed_elsewhere_is_no_reason_to_wait(world: World) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = ProviderRefused("not this one")
    failing = world.keeper(bare=True)
    for _ in range(2):
        with pytest.raises(ProviderRefused, match="not this one"):
            failing.get("me")
    assert world.provider.acquired == [VARIABLE], "within one process it is"
    world.provider.acquire_error = None
    assert token_of(world.keeper(bare=True).get("me")) == "borrowed-1"


def test_a_credential_that_comes_expired_is_a_failure(world: World) -> None:
    """TIM-4; its refresh token is kept all the same."""
    keeper = world.signed_in()
    world.clock.advance(3400)
    world.provider.answers = expired
    events = collect(keeper)
    assert token_of(keeper.get("me")) == "at-1"
    world.settle(keeper)
    until(lambda: events)
    assert [type(event) for event in events] == [RenewalFailed]
    assert token_of(keeper.get("me")) == "at-1", "what was there is still good"
    assert snapshot(world).generation == hints(world).generation == 2
    world.clock.advance(200)
    with pytest.raises(TransientError, match="had already expired"):
        keeper.get("me")
    world.provider.answers = lambda token: token
    world.clock.advance(61)
    assert token_of(keeper.get("me")) == f"at-{len(world.provider.sent) + 1}"


def test_a_borrowed_credential_that_comes_expired_is_a_failure(world: World) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.lifetime = 0.0
    with pytest.raises(TransientError, match="had already expired"):
        world.keeper().get("me")
    assert world.provider.acquired == [VARIABLE]


def test_the_pause_after_a_failure_fits_the_lifetime(world: World) -> None:
    world.provider.lifetime = 100.0
    keeper = world.signed_in()
    assert hints(world).pause == 10.0
    events = collect(keeper)
    expire(world)
    world.provider.script.append(ProviderRefused("not now"))
    with pytest.raises(ProviderRefused):
        keeper.get("me")
    until(lambda: events)
    assert [event.retry_in for event in events if isinstance(event, RenewalFailed)] == [10.0]


def test_a_refusal_in_the_middle_of_a_pause_is_what_other_processes_hear(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    current = other.get("me")
    expire(world)
    world.provider.script.append(TransientError("no route", retry_after=100.0))
    with pytest.raises(TransientError, match="no route"):
        keeper.get("me")
    world.provider.revoked = True
    with pytest.raises(LoginRequired, match="no longer knows"):
        keeper.refresh("me")
    for refused in (None, current):
        with pytest.raises(LoginRequired, match="no longer knows"):
            other.get("me", refused=refused)
        world.settle(other)


@pytest.mark.parametrize("single_use", [False, True])
def test_a_failing_connection_is_tried_again_at_once_unless_the_process_exits(
    world: World, monkeypatch: pytest.MonkeyPatch, single_use: bool
) -> None:
    world.provider.single_use = single_use
    keeper = world.signed_in()
    expire(world)
    world.provider.script.extend([TransientError("no route")] * 2)
    assert token_of(keeper.get("me")) == "at-2"
    world.settle(keeper)
    expire(world)
    monkeypatch.setattr("freshkey._renewal.rotation.process_is_exiting", lambda: not single_use)
    world.provider.script.extend([TransientError("no route")] * 2)
    if single_use:
        assert token_of(keeper.get("me")) == "at-3"
    else:
        with pytest.raises(TransientError, match="no route"):
            keeper.get("me")
    assert world.journal.count("refresh") == (3 if single_use else 1)


@pytest.mark.parametrize("single_use", [False, True])
def test_a_host_that_fails_is_spared_unless_a_person_asks(world: World, single_use: bool) -> None:
    world.provider.single_use = single_use
    keeper = world.signed_in()
    expire(world)
    (managed,) = keeper.all_managed()
    break_host(managed.context)
    world.provider.script.extend([call_host, call_host])
    with pytest.raises(TransientError, match=r"as\.example\.com is left alone"):
        keeper.get("me")
    world.settle(keeper)
    assert token_of(keeper.refresh("me")) == "at-2"


def test_a_pause_is_about_the_source_that_failed_last(world: World) -> None:
    keeper = world.signed_in()
    world.provider.variable = "borrowed-1"
    expire(world)
    assert token_of(keeper.get("me")) == "borrowed-1"
    world.provider.variable = None
    expire(world)
    world.provider.script.append(TransientError("no route", retry_after=100.0))
    with pytest.raises(TransientError, match="no route"):
        keeper.get("me")
    with pytest.raises(TransientError, match="no route"):
        world.keeper().get("me")
    assert world.provider.sent == ["rt-1"]


def test_processes_share_that_another_tool_needs_a_person(world: World) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = LoginRequired("the other tool signed out")
    for _ in range(2):
        with pytest.raises(LoginRequired, match="the other tool signed out"):
            world.keeper().get("me")
    assert world.provider.acquired == [VARIABLE]
