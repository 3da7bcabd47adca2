"""What processes agree on between two attempts to renew: pauses after failures, and refusals that are final."""

from __future__ import annotations

import json

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
from promises import proves
from raises_code import raises_code
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


@proves("FAULT-30", "ROT-5")
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
    assert token_of(keeper.get("me")) == "at-1", "the access token is returned until it expires"
    assert token_of(world.keeper().get("me")) == "at-1", "in other processes too"
    world.clock.advance(200)
    for each in (keeper, world.keeper(), keeper):
        with raises_code(LoginRequired, "sign-in-required") as caught:
            each.get("me")
        assert "used elsewhere" in str(caught.value.hint), "every process shows the hint"
        with pytest.raises(LoginRequired):
            each.refresh("me")
    assert world.provider.sent == ["rt-1"]
    assert snapshot(world) == kept
    world.settle(keeper)
    assert [type(event) for event in events] == [SignInNeeded]


def test_refused_token_is_never_sent_again_if_hints_cannot_be_written(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    world.provider.revoked = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hints_file.HintsFile, "write", lambda self, hints: None)
        for _ in range(3):
            with raises_code(LoginRequired, "sign-in-required") as caught:
                keeper.get("me")
            assert "used elsewhere" in str(caught.value.hint)
            world.settle(keeper)
    assert world.provider.sent == ["rt-1"]


def refuse(world: World) -> None:
    """Let the next renewal be refused for good, with a code and a hint of the provider."""
    world.provider.script.append(LoginRequired("revoked", hint="Ask an admin", code="example-account-locked"))


def test_every_process_raises_the_code_of_a_refusal(world: World) -> None:
    world.provider.single_use = False
    keeper = world.signed_in()
    expire(world)
    refuse(world)
    for each in (keeper, keeper, world.keeper()):
        with raises_code(LoginRequired, "example-account-locked") as caught:
            each.get("me")
        assert (caught.value.profile, caught.value.message, caught.value.hint) == ("me", "revoked", "Ask an admin")
        world.settle(each)
    assert world.provider.sent == ["rt-1"]


class NumberedError(LoginRequired):
    """An error class of a plugin that uses the name `code` for something else."""

    code = 400  # type: ignore[assignment]  # what a plugin written without types may do


def test_code_that_is_not_one_does_not_lose_the_refusal(world: World) -> None:  # ROT-5
    keeper = world.signed_in()
    world.clock.advance(3700)
    world.provider.script.append(NumberedError("revoked"))
    for each in (keeper, keeper, world.keeper()):
        with raises_code(LoginRequired, "sign-in-required") as caught:
            each.get("me")
        assert caught.value.message == "revoked"
    assert world.provider.sent == ["rt-1"]


def test_remembered_refusal_names_the_command_and_drops_its_cause(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3700)
    error = LoginRequired("revoked")
    error.__cause__ = ValueError(world.provider)
    world.provider.script.append(error)
    with raises_code(LoginRequired, "sign-in-required"):
        keeper.get("me")
    with raises_code(LoginRequired, "sign-in-required") as caught:
        keeper.refresh("me")
    assert str(caught.value.hint).endswith("freshkey login me")
    assert caught.value.__cause__ is None


def test_refusal_in_hints_of_an_older_version_gets_the_default_code(world: World) -> None:
    world.signed_in()
    expire(world)
    (path,) = (world.state_dir / "hints").iterdir()
    older = {"generation": 1, "sign_in_needed": "revoked", "error": "revoked", "refused_generation": 1}
    path.write_text(json.dumps(older))
    with raises_code(LoginRequired, "sign-in-required") as caught:
        world.keeper().get("me")
    assert (caught.value.message, caught.value.hint) == ("revoked", "Run: freshkey login me")
    assert world.provider.sent == []


def test_a_new_code_for_the_same_refusal_is_reported_again(world: World) -> None:
    keeper = world.keeper()
    events = collect(keeper)
    world.provider.variable = "borrowed-1"
    for code in ("example-expired", "example-expired", "example-locked"):
        world.provider.acquire_error = LoginRequired("not usable", code=code)
        with raises_code(LoginRequired, code):
            keeper.get("me")
        world.settle(keeper)
        world.clock.advance(61)
    assert [type(event) for event in events] == [SignInNeeded] * 2


def test_a_new_sign_in_ends_the_refusal_everywhere(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    other.get("me")
    expire(world)
    world.provider.revoked = True
    for each in (keeper, other):
        with pytest.raises(LoginRequired):
            each.get("me")
        world.settle(each)
    assert keeper.status("me").sign_in_needed is not None
    keeper.login("me", interaction=User())
    assert token_of(other.get("me")) == token_of(keeper.get("me"))
    assert keeper.status("me").sign_in_needed is None
    expire(world)
    assert token_of(keeper.get("me")) == "at-3"


@proves("FAULT-29", "ROT-5")
def test_token_renewed_by_another_host_is_adopted_after_a_refusal(world: World) -> None:
    """This host's lock does not keep out another host that shares the store."""
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
def test_expired_token_renewed_by_another_host_is_renewed_again(world: World, by_user: bool) -> None:
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


def test_user_who_declined_is_not_asked_again(world: World) -> None:
    user = User(declines=True)
    keeper = world.keeper(interaction=user)
    for _ in range(2):
        with pytest.raises(LoginRequired):
            keeper.get("me")
        world.settle(keeper)
    assert len(user.opened) == 1


def test_failed_sign_in_does_not_send_the_refused_token_again(world: World) -> None:
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


@proves("FAULT-33", "NET-3")
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
        with raises_code(TransientError, "temporarily-unavailable") as caught:
            other.get("me")
        assert caught.value.retry_after is not None
        world.settle(other)
    assert len(world.provider.sent) == asked
    until(lambda: events)
    assert events == [RenewalFailed(profile="me", error="me: no route", code="temporarily-unavailable", retry_in=100.0)]
    with raises_code(TransientError, "temporarily-unavailable"):
        world.keeper().get("me")
    world.clock.advance(0.5)
    assert token_of(other.get("me")) == "at-2", "asking again does not prolong the pause"


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


def test_configuration_error_is_checked_again_at_once(world: World) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = ConfigurationError("no such file", hint="Create it", code="example-no-file")
    for _ in range(2):
        with raises_code(ConfigurationError, "example-no-file") as caught:
            world.keeper().get("me")
        assert (caught.value.profile, caught.value.hint) == ("me", "Create it")
    assert hints(world).error_code == "example-no-file"
    world.provider.acquire_error = None
    assert token_of(world.keeper().get("me")) == "borrowed-1"


@pytest.mark.parametrize("kind", [LoginRequired, ProviderRefused])
def test_other_processes_raise_the_same_code_and_hint(world: World, kind: type[FreshkeyError]) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = kind("it has ended", hint="Run the other tool", code="example-key-expired")
    for _ in range(2):
        with raises_code(FreshkeyError, "example-key-expired") as caught:
            world.keeper().get("me")
        assert (caught.value.profile, caught.value.hint) == ("me", "Run the other tool")
    assert world.provider.acquired == [VARIABLE]
    world.clock.advance(61)
    world.provider.acquire_error = None
    world.keeper().get("me")
    assert (hints(world).error, hints(world).error_code, hints(world).hint) == (None, None, None)


def test_bare_mode_ignores_failures_of_other_processes(world: World) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = ProviderRefused("not this one")
    failing = world.keeper(bare=True)
    for _ in range(2):
        with raises_code(ProviderRefused, "provider-refused"):
            failing.get("me")
    assert world.provider.acquired == [VARIABLE], "within one process it is a reason"
    world.provider.acquire_error = None
    assert token_of(world.keeper(bare=True).get("me")) == "borrowed-1"


def test_owned_credential_expired_on_arrival_is_a_failure(world: World) -> None:
    """TIM-4; its refresh token is saved anyway."""
    keeper = world.signed_in()
    world.clock.advance(3400)
    world.provider.answers = expired
    events = collect(keeper)
    assert token_of(keeper.get("me")) == "at-1"
    world.settle(keeper)
    until(lambda: events)
    assert [type(event) for event in events] == [RenewalFailed]
    assert token_of(keeper.get("me")) == "at-1", "the old one is still valid"
    assert snapshot(world).generation == hints(world).generation == 2
    world.clock.advance(200)
    with raises_code(TransientError, "credential-already-expired"):
        keeper.get("me")
    world.provider.answers = lambda token: token
    world.clock.advance(61)
    assert token_of(keeper.get("me")) == f"at-{len(world.provider.sent) + 1}"


def test_borrowed_credential_expired_on_arrival_is_a_failure(world: World) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.lifetime = 0.0
    with raises_code(TransientError, "credential-already-expired"):
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


def test_refusal_during_a_pause_replaces_the_transient_error(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    current = other.get("me")
    expire(world)
    world.provider.script.append(TransientError("no route", retry_after=100.0))
    with raises_code(TransientError, "temporarily-unavailable"):
        keeper.get("me")
    world.provider.revoked = True
    with raises_code(LoginRequired, "sign-in-required"):
        keeper.refresh("me")
    for refused in (None, current):
        with raises_code(LoginRequired, "sign-in-required"):
            other.get("me", refused=refused)
        world.settle(other)


@pytest.mark.parametrize("single_use", [False, True])
def test_failed_connection_is_retried_unless_the_process_exits(
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
        with raises_code(TransientError, "temporarily-unavailable"):
            keeper.get("me")
    assert world.journal.count("refresh") == (3 if single_use else 1)


@pytest.mark.parametrize("single_use", [False, True])
def test_paused_host_is_called_only_if_the_user_asks(world: World, single_use: bool) -> None:
    world.provider.single_use = single_use
    keeper = world.signed_in()
    expire(world)
    (managed,) = keeper.all_managed()
    break_host(managed.context)
    world.provider.script.extend([call_host, call_host])
    with raises_code(TransientError, "host-paused"):
        keeper.get("me")
    world.settle(keeper)
    assert token_of(keeper.refresh("me")) == "at-2"


def test_pause_applies_to_the_source_that_failed_last(world: World) -> None:
    keeper = world.signed_in()
    world.provider.variable = "borrowed-1"
    expire(world)
    assert token_of(keeper.get("me")) == "borrowed-1"
    world.provider.variable = None
    expire(world)
    world.provider.script.append(TransientError("no route", retry_after=100.0))
    with raises_code(TransientError, "temporarily-unavailable"):
        keeper.get("me")
    with raises_code(TransientError, "temporarily-unavailable"):
        world.keeper().get("me")
    assert world.provider.sent == ["rt-1"]


def test_processes_share_the_refusal_of_another_tool(world: World) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = LoginRequired("the other tool signed out", code="example-signed-out")
    for _ in range(2):
        with raises_code(LoginRequired, "example-signed-out"):
            world.keeper().get("me")
    assert world.provider.acquired == [VARIABLE]
