"""What processes agree on between two attempts to renew: pauses after failures, and refusals that are final."""

from __future__ import annotations

import json

import pytest
from attrs import evolve

from freshkey._interprocess import hints as hints_file
from freshkey._renewal.attempts import Attempts
from freshkey._renewal.reading import read
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    PluginBroken,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.events import RenewalFailed, SignInNeeded
from freshkey.hooks import hookimpl
from freshkey.keeper import Keeper
from freshkey.model.credential import Credential
from freshkey.model.interaction import Interaction
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from promises import proves
from raises_code import raises_code
from rotating import (
    SIGN_IN,
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
    assert snapshot(world).record == kept.record
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
        for other in (world.keeper(), world.keeper()):
            with raises_code(LoginRequired, "sign-in-required") as caught:
                other.get("me")
            assert caught.value.hint == "Run: freshkey login me"
            with raises_code(LoginRequired, "sign-in-required"):
                other.refresh("me")
    assert world.provider.sent == ["rt-1"], "the store is enough, without hints"


def test_sign_in_that_ended_as_announced_is_not_called_revoked(world: World) -> None:
    keeper = world.signed_in()
    world.provider.answers = lambda token: evolve(token, renewable_for=7200.0)
    ends_at = keeper.refresh("me").sign_in_ends_at
    world.clock.advance(7300)
    world.provider.revoked = True
    for each in (keeper, world.keeper(), keeper):
        with raises_code(LoginRequired, "sign-in-required") as caught:
            each.get("me")
        assert caught.value.hint is not None
        assert "as the provider had announced. Run: freshkey login me" in caught.value.hint
        assert f"{ends_at:%Y-%m-%d %H:%M:%S} UTC" in caught.value.hint
    assert world.provider.sent == ["rt-1", "rt-2"]


def refuse(world: World) -> None:
    """Let the next renewal be refused for good, with a code and a hint of the provider."""
    world.provider.script.append(LoginRequired("revoked", hint="Ask an admin", code="example-account-locked"))


def test_every_process_raises_the_code_of_a_refusal(world: World) -> None:
    world.provider.single_use = False
    keeper = world.signed_in()
    expire(world)
    refuse(world)
    for _ in range(2):
        with raises_code(LoginRequired, "example-account-locked") as caught:
            keeper.get("me")
        assert (caught.value.profile, caught.value.message, caught.value.hint) == ("me", "revoked", "Ask an admin")
        world.settle(keeper)
    with raises_code(LoginRequired, "example-account-locked") as caught:
        world.keeper().get("me")
    message = "the sign-in can no longer be renewed: example account locked"
    assert (caught.value.message, caught.value.hint) == (message, "Run: freshkey login me")
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
        assert caught.value.profile == "me"
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
    assert caught.value.message == "the sign-in can no longer be renewed"
    assert str(caught.value.hint).endswith("Run: freshkey login me")
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


# --- found before the token was sent (ROT-5) ------------------------------------------------------------------------

MOVED = "sign-in-settings-changed"


def moved() -> LoginRequired:
    return LoginRequired("another endpoint", unsent=True, hint="Restore the settings", code=MOVED)


@proves("ROT-5")
@pytest.mark.parametrize("single_use", [True, False])
def test_what_is_found_before_the_token_is_sent_is_final_nowhere(world: World, single_use: bool) -> None:
    world.provider.single_use = single_use
    keeper = world.signed_in()
    expire(world)
    world.provider.script.append(moved())
    events = collect(keeper)
    for _ in range(3):
        with raises_code(LoginRequired, MOVED) as caught:
            keeper.get("me")
        assert caught.value.hint == "Restore the settings"
    until(lambda: any(isinstance(event, SignInNeeded) for event in events))
    assert world.provider.sent == ["rt-1"], "one attempt, and then a pause"
    assert hints(world).refused_generation == 0
    assert keeper.status("me").sign_in_needed == "another endpoint"
    assert token_of(world.keeper().get("me")) == "at-2", "all is as before, and no one else has to wait"


@proves("ROT-5")
def test_timer_tries_again_after_what_was_found_before_the_token_was_sent(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3400)
    world.provider.script.append(moved())
    keeper.get("me")
    world.settle(keeper)
    world.pass_time(61, keeper)
    assert token_of(keeper.get("me")) == "at-2"


@proves("ROT-5")
def test_new_sign_in_is_found_at_once_after_what_was_found_before_the_token_was_sent(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    world.provider.script.append(moved())
    with raises_code(LoginRequired, MOVED):
        keeper.get("me")
    world.keeper().login("me", interaction=world.user)
    assert token_of(keeper.get("me")) == "at-2"


@proves("FAULT-40", "ROT-5")
@pytest.mark.parametrize("single_use", [True, False])
def test_doubtful_refusal_ends_no_sign_in(world: World, single_use: bool) -> None:
    world.provider.single_use = single_use
    keeper = world.signed_in()
    expire(world)
    world.provider.script.append(LoginRequired("denied", doubtful=True))
    for _ in range(3):
        with pytest.raises(LoginRequired):
            keeper.get("me")
    assert len(world.provider.sent) == 1
    assert hints(world).refused_generation == 0
    world.clock.advance(3600)
    assert token_of(keeper.get("me")) == "at-2"


@proves("ROT-5", "ROT-6")
@pytest.mark.parametrize("single_use", [True, False])
def test_doubtful_refusal_pauses_its_process_alone_and_status_says_it(world: World, single_use: bool) -> None:
    world.provider.single_use = single_use
    world.random = 1.0
    keeper, other = world.signed_in(), world.keeper()
    expire(world)
    world.provider.script.append(LoginRequired("denied", doubtful=True))
    for wait in (60, 50, 40):
        with raises_code(LoginRequired, "sign-in-probably-ended") as caught:
            keeper.get("me")
        assert isinstance(caught.value, LoginRequired)
        assert caught.value.retry_after == wait
        assert not caught.value.final
        world.settle(keeper)
        world.clock.advance(10)
    assert len(world.provider.sent) == 1
    for each in (keeper, other):
        status = each.status("me")
        assert status.sign_in_code == "sign-in-probably-ended"
        assert status.next_step == "Run: freshkey login me"
        assert not status.renews
    assert token_of(other.get("me")) == "at-2"
    assert token_of(keeper.get("me")) == "at-2"


@proves("ROT-5", "ROT-6")
@pytest.mark.parametrize("single_use", [True, False])
def test_doubtful_refusals_in_a_row_are_tried_at_growing_distances(world: World, single_use: bool) -> None:
    world.provider.single_use = single_use
    world.random = 1.0
    keeper = world.signed_in()
    expire(world)
    world.provider.script.extend(LoginRequired(f"denied (request {each})", doubtful=True) for each in range(999))
    events = collect(keeper)
    world.pass_time(24 * 3600, keeper, step=10)
    until(lambda: events)
    assert [type(event) for event in events] == [SignInNeeded], "the user is told once"
    assert 24 <= len(world.provider.sent) <= 36
    world.provider.script.clear()
    world.pass_time(3600, keeper, step=10)
    assert token_of(keeper.get("me")) == token_of(world.keeper().get("me"))
    assert (keeper.status("me").sign_in_needed, hints(world).kind) == (None, None)


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
    (event,) = events
    assert isinstance(event, RenewalFailed)
    assert (event.code, event.retry_in) == ("temporarily-unavailable", 100.0)
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
    assert hints(world).kind is None


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


@pytest.mark.parametrize("kind", [ProviderRefused, TransientError, ProtocolError, PluginBroken])
def test_other_processes_raise_the_same_class_and_code_in_their_own_words(
    world: World, kind: type[FreshkeyError]
) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = kind("canary-text", hint="canary-hint", code="example-key-expired")
    with raises_code(kind, "example-key-expired"):
        get_once(world.keeper())
    acquired = list(world.provider.acquired)
    world.clock.advance(12)
    for _ in range(2):
        with raises_code(kind, "example-key-expired") as caught:
            world.keeper().get("me")
        assert type(caught.value) is kind
        assert caught.value.profile == "me"
        assert "canary" not in str(caught.value)
        assert caught.value.message.endswith(": example key expired (found 12 s ago; next try in 18 s)")
        assert caught.value.hint == "Check the token from a variable, then run: freshkey refresh me"
    assert world.provider.acquired == acquired
    world.clock.advance(61)
    world.provider.acquire_error = None
    world.keeper().get("me")
    assert (hints(world).kind, hints(world).error_code) == (None, None)


def get_once(keeper: Keeper) -> None:
    """Get a credential with only one attempt: nothing is retried while a keeper closes."""
    keeper._open_profile("me").close()
    keeper.get("me")


KINDS = [LoginRequired, ProviderRefused, TransientError, ProtocolError, ConfigurationError, PluginBroken]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_pause_ends_when_the_source_changes(world: World, kind: type[FreshkeyError], elsewhere: bool) -> None:
    world.provider.variable, world.provider.version = "borrowed-1", "before"
    world.provider.acquire_error = kind("it has ended")
    first = world.keeper()
    keeper = world.keeper() if elsewhere else first
    for each in (first, keeper):
        with pytest.raises(kind):
            get_once(each)
        world.settle(each)
    acquired = len(world.provider.acquired)
    world.provider.acquire_error = None
    if kind is not ConfigurationError or not elsewhere:
        with pytest.raises(kind):
            get_once(keeper)
        world.settle(keeper)
        assert len(world.provider.acquired) == acquired, "nothing has changed"
    world.provider.version = "after"
    assert token_of(keeper.get("me")) == "borrowed-1"


def test_another_source_need_not_wait_for_the_one_that_failed(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = LoginRequired("it has ended")
    with pytest.raises(LoginRequired):
        keeper.get("me")
    world.settle(keeper)
    world.provider.variable, world.provider.acquire_error = None, None
    assert token_of(keeper.get("me")) == "at-2"


def test_looking_again_during_a_pause_reports_nothing_new(world: World) -> None:
    world.provider.variable, world.provider.acquire_error = "borrowed-1", ProviderRefused("not this one")
    keeper = world.keeper()
    events = collect(keeper)
    for seconds in (0, 12, 10):
        world.clock.advance(seconds)
        with raises_code(ProviderRefused, "provider-refused") as caught:
            keeper.get("me")
        world.settle(keeper)
    assert caught.value.message == "not this one (found 22 s ago; next try in 8 s)"
    assert world.provider.acquired == [VARIABLE]
    until(lambda: events)
    assert [type(event) for event in events] == [RenewalFailed]


def test_source_that_each_attempt_changes_is_not_tried_in_a_loop(world: World) -> None:
    """For example a helper command with a log file among its arguments."""
    world.provider.variable, world.provider.acquire_error = "borrowed-1", ProviderRefused("not this one")
    original = world.provider.acquire

    def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
        world.provider.version = f"written {len(world.provider.acquired)}"
        return original(profile, source, interaction)

    world.provider.acquire = hookimpl(acquire)  # type: ignore[method-assign]
    for keeper in [world.keeper()] * 5 + [world.keeper() for _ in range(5)]:
        with pytest.raises(ProviderRefused):
            keeper.get("me")
        world.settle(keeper)
    assert len(world.provider.acquired) == 2


@pytest.mark.parametrize("owned", [False, True])
def test_pause_applies_to_the_same_settings_only(world: World, owned: bool) -> None:
    if owned:
        world.signed_in()
        expire(world)
        world.provider.script.append(ProviderRefused("not this tool"))
    else:
        world.provider.variable, world.provider.acquire_error = "borrowed-1", ProviderRefused("not this tool")
    with pytest.raises(ProviderRefused):
        world.keeper(settings={"tool": "team"}).get("me")
    world.provider.acquire_error = None
    with pytest.raises(ProviderRefused):
        world.keeper(settings={"tool": "team"}).get("me")
    assert token_of(world.keeper(settings={"tool": "good"}).get("me")) == ("at-2" if owned else "borrowed-1")


def test_secret_settings_count_without_being_shared(world: World) -> None:
    world.provider.variable, world.provider.acquire_error = "borrowed-1", ProviderRefused("not this password")
    with pytest.raises(ProviderRefused):
        world.keeper(settings={"password": "canary-one"}).get("me")
    world.provider.acquire_error = None
    with pytest.raises(ProviderRefused):
        world.keeper(settings={"password": "canary-one"}).get("me")
    assert token_of(world.keeper(settings={"password": "canary-two"}).get("me")) == "borrowed-1"
    assert "canary" not in str([path.read_bytes() for path in world.state_dir.rglob("*.json")])


@pytest.mark.parametrize(
    ("error", "looks"),
    [
        (LoginRequired("signed out"), True),
        (ProviderRefused("not this one"), True),
        (PluginBroken("it broke"), True),
        (TransientError("exit status 1", code="command-failed"), True),
        (ProtocolError("two lines", code="invalid-command-output"), True),
        (TransientError("too many requests", retry_after=40.0), False),
        (ProtocolError("not JSON"), False),
    ],
)
def test_typed_command_looks_again_but_repeats_no_request(world: World, error: FreshkeyError, looks: bool) -> None:
    world.provider.variable, world.provider.acquire_error = "borrowed-1", error
    with raises_code(FreshkeyError, error.code):
        get_once(world.keeper())
    world.provider.acquire_error = None
    with raises_code(FreshkeyError, error.code):
        world.keeper().get("me")
    typed = world.keeper(at_terminal=True)
    if looks:
        assert token_of(typed.get("me")) == "borrowed-1"
    else:
        with raises_code(type(error), error.code):
            typed.get("me")


@pytest.mark.parametrize(
    ("error", "later"),
    [
        (TransientError("exit status 1", code="command-failed"), False),
        (LoginRequired("signed out", hint="Run: tool login", code="example-signed-out"), False),
        (LoginRequired("denied", doubtful=True), False),
        (TransientError("too many requests", retry_after=40.0), True),
        (ProviderRefused("not this account"), True),
    ],
)
def test_failure_that_only_the_user_can_end_holds_back_those_who_waited_for_it(
    world: World, error: FreshkeyError, later: bool
) -> None:
    world.provider.variable, world.provider.acquire_error = "borrowed-1", error.for_another_caller()
    with pytest.raises(type(error)):
        get_once(world.keeper())
    context, found_at = world.keeper()._open_profile("me").context, world.clock.elapsed()
    attempts, reading = Attempts(context, {}), read(context)
    waited = attempts.reason_to_wait(reading, None, found_at)
    assert waited is not None
    assert waited.error.code == hints(world).error_code
    assert (attempts.reason_to_wait(reading, None, found_at + 0.001) is not None) is later


def test_each_process_hears_from_the_provider_how_to_sign_in_to_another_tool(world: World) -> None:
    world.provider.variable = "borrowed-1"
    error = LoginRequired("the other tool signed out", hint="Run: tool login", code="example-signed-out")
    world.provider.acquire_error = error
    for count in range(1, 4):
        keeper = world.keeper()
        for _ in range(3):
            with raises_code(LoginRequired, "example-signed-out") as caught:
                keeper.get("me")
            world.settle(keeper)
            assert caught.value.hint == "Run: tool login"
            assert caught.value.message.startswith("the other tool signed out")
        assert len(world.provider.acquired) == count, "within one process it is a reason to wait"
        world.clock.advance(1)
    world.provider.acquire_error = None
    assert token_of(world.keeper().get("me")) == "borrowed-1"


@proves("NET-1")
@pytest.mark.parametrize("owned", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        TransientError("the certificate of proxy.example is unknown", local=True, code="example-unknown-ca"),
        IntermediaryAnswer("a page", code="example-page"),
        IntermediaryAnswer("an empty response", may_be_refusal=True, code="example-empty"),
    ],
    ids=lambda error: error.code,
)
def test_failure_of_a_process_s_own_surroundings_holds_back_no_other(
    world: World, owned: bool, error: FreshkeyError
) -> None:
    keeper = world.signed_in() if owned else world.keeper()
    world.random = 1.0
    if owned:
        expire(world)
    else:
        world.provider.variable = "borrowed-1"
    world.provider.acquire_error = error
    world.provider.script.append(error)
    with raises_code(type(error), error.code):
        get_once(keeper)
    world.settle(keeper)
    with raises_code(type(error), error.code) as caught:
        keeper.get("me")
    assert "found 0 s ago; next try in 60 s" in caught.value.message, "it pauses this process"
    world.provider.acquire_error = None
    world.clock.advance(0.01)
    assert token_of(world.keeper().get("me")) == ("at-2" if owned else "borrowed-1")


def test_what_was_waited_for_in_vain_is_tried_again_soon(world: World) -> None:
    world.random = 1.0
    keeper = world.keeper()
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = TransientError("no metadata server yet", local=True, starting=True)
    with raises_code(TransientError, "temporarily-unavailable"):
        get_once(keeper)
    world.settle(keeper)
    with raises_code(TransientError, "temporarily-unavailable") as caught:
        keeper.get("me")
    assert "next try in 2 s" in caught.value.message
    world.provider.acquire_error = None
    world.clock.advance(2.1)
    assert token_of(keeper.get("me")) == "borrowed-1"


def test_local_failures_in_a_row_lengthen_the_pause_of_this_process(world: World) -> None:
    world.provider.lifetime, world.random = 100.0, 1.0
    keeper = world.signed_in()
    expire(world)
    events = collect(keeper)
    for count in range(1, 4):
        world.provider.script.extend([TransientError("no route", local=True)] * 4)
        with pytest.raises(TransientError):
            get_once(keeper)
        until(lambda count=count: len(events) == count)  # type: ignore[misc]
        world.settle(keeper)
        world.clock.advance(61)
    assert [event.retry_in for event in events if isinstance(event, RenewalFailed)] == [20.0, 40.0, 60.0]


def test_refused_borrowed_credential_is_fetched_again_at_once_if_its_source_changed(world: World) -> None:
    world.provider.variable = "borrowed-1"
    keeper = world.keeper()
    refused = keeper.get("me")
    world.provider.variable = "borrowed-2"
    assert token_of(keeper.get("me", refused=refused)) == "borrowed-2"


def test_refusal_of_the_sign_in_does_not_pause_another_source(world: World) -> None:
    keeper = world.signed_in()
    world.provider.variable = "borrowed-1"
    keeper.get("me")  # notes the attempt floor of the variable
    world.provider.variable = None
    expire(world)
    world.provider.revoked = True
    with pytest.raises(LoginRequired):
        world.keeper().get("me")
    assert hints(world).source == SIGN_IN
    world.provider.variable = "borrowed-2"
    assert token_of(world.keeper().get("me")) == "borrowed-2"


def test_texts_of_errors_are_never_written(world: World) -> None:
    world.signed_in()
    expire(world)
    world.provider.script.append(LoginRequired("canary-text", hint="canary-hint", code="example-locked"))
    with pytest.raises(LoginRequired):
        world.keeper().get("me")
    world.provider.variable = "borrowed-1"
    for kind in KINDS:
        world.provider.acquire_error = kind("canary-text", hint="canary-hint")
        with pytest.raises(kind):
            get_once(world.keeper())
        world.clock.advance(61)
        files = [path for path in world.state_dir.rglob("*") if path.is_file()]
        assert files
        assert not [path for path in files if b"canary" in path.read_bytes()]


def test_unknown_class_of_a_newer_version_is_a_transient_error(world: World) -> None:
    world.provider.variable, world.provider.acquire_error = "borrowed-1", ProviderRefused("no")
    with pytest.raises(ProviderRefused):
        world.keeper().get("me")
    (path,) = (world.state_dir / "hints").iterdir()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"kind": "os.system"}))
    with raises_code(TransientError, "provider-refused") as caught:
        world.keeper().get("me")
    assert caught.value.retry_after == 30.0


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
    with raises_code(TransientError, "credential-already-expired") as caught:
        world.keeper().get("me")
    assert world.provider.acquired == [VARIABLE]
    assert "clock" in (caught.value.hint or "")
    assert "who hands the credential out" in (caught.value.hint or "")


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


def test_paused_host_of_one_process_does_not_pause_others(world: World) -> None:
    keeper, other = world.signed_in(), world.keeper()
    other.get("me")
    expire(world)
    (managed,) = keeper.all_managed()
    break_host(managed.context)
    world.provider.script.extend([call_host, call_host])
    with raises_code(TransientError, "host-paused"):
        keeper.get("me")
    assert token_of(other.get("me")) == "at-2"


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


def test_sign_in_in_another_process_ends_the_pause(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(4000)
    world.provider.script.extend([TransientError("down", code="example-down")] * 8)
    for _ in range(2):
        with raises_code(TransientError, "example-down"):
            keeper.get("me")
    world.settle(keeper)
    world.provider.script.clear()
    other = world.keeper()
    other.login("me", interaction=world.user, replace=True)

    assert token_of(keeper.get("me")) == token_of(other.get("me"))
