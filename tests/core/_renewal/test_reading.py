"""What is read before a renewal: the winning source, the stored credential, damage, and where a sign-in belongs."""

from __future__ import annotations

import json
import logging

import pytest
from attrs import evolve

from freshkey._renewal.reading import read, stored_credential
from freshkey.errors import (
    ConfigurationError,
    LoginRequired,
    OutcomeUnknown,
    ProviderRefused,
    StoreUnavailable,
    TransientError,
)
from freshkey.events import Event, RenewalFailed, SignedOut, SourceChanged
from freshkey.model.profile import Profile
from freshkey.model.source import Detected
from freshkey.secret import Secret
from promises import proves
from raises_code import raises_code
from rotating import (
    MACHINE,
    SIGN_IN,
    VARIABLE,
    Listener,
    Telling,
    User,
    World,
    collect,
    expire,
    hints,
    snapshot,
    token_of,
)
from waiting import until


# --- damage -------------------------------------------------------------------------------------------------------


def damage(world: World, generation: int) -> None:
    world.store.items.set(f"{generation % 2}.0", "damaged")


def test_corrupt_store_is_reported_and_accepts_a_new_sign_in(world: World) -> None:
    keeper = world.signed_in()
    damage(world, 1)
    with raises_code(LoginRequired, "stored-credential-corrupt") as caught:
        world.keeper().get("me")
    assert caught.value.hint == "Run: freshkey login me"
    keeper.login("me", interaction=User())
    assert token_of(world.keeper().get("me")) == "at-2"


def test_access_token_of_an_older_record_is_used_if_the_newest_is_damaged(world: World) -> None:
    keeper = world.signed_in()
    keeper.refresh("me")
    world.settle(keeper)
    damage(world, 2)
    fresh = world.keeper()
    assert token_of(fresh.get("me")) == "at-1"
    assert world.provider.sent == ["rt-1"]


@pytest.mark.parametrize("first", [None, TransientError("no route")])
def test_refresh_token_of_an_older_record_is_sent_once(world: World, first: Exception | None) -> None:
    keeper = world.signed_in()
    keeper.refresh("me")
    world.settle(keeper)
    damage(world, 2)
    expire(world)
    world.provider.sent.clear()
    if first is not None:
        world.provider.script.extend([first] * 4)
        with pytest.raises(TransientError):
            world.keeper().get("me")
        world.clock.advance(61)
        world.provider.sent.clear()
    world.provider.script.append(OutcomeUnknown("the connection broke"))
    with pytest.raises(OutcomeUnknown):
        world.keeper().get("me")
    assert world.provider.sent == ["rt-1"], "a retry is not retried"
    for _ in range(2):
        world.clock.advance(61)
        with raises_code(LoginRequired, "renewal-response-lost"):
            world.keeper().get("me")
    assert world.provider.sent == ["rt-1"]


@proves("FAULT-27")
def test_an_older_generation_than_was_saved_is_reported(world: World, caplog: pytest.LogCaptureFixture) -> None:
    keeper = world.signed_in()
    keeper.refresh("me")
    world.settle(keeper)
    damage(world, 2)
    world.journal.clear()
    with caplog.at_level(logging.WARNING, "freshkey"):
        world.keeper().get("me")
    assert "1 instead of 2" in caplog.text
    assert world.journal == ["load", "load"]


def test_store_with_delayed_writes_is_read_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    keeper = world.signed_in()
    late = snapshot(world)
    keeper.refresh("me")
    world.settle(keeper)
    readings = [snapshot(world), late]
    world.store.load = readings.pop  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING, "freshkey"):
        assert token_of(world.keeper().get("me")) == "at-2"
    assert caplog.text == ""


def test_stored_credential_is_read_even_if_another_source_wins(world: World) -> None:
    assert stored_credential(world.keeper()._open_profile("me").context) is None
    signed_in = token_of(world.signed_in().get("me"))
    world.provider.variable = "borrowed-1"
    keeper = world.keeper()
    assert token_of(keeper.get("me")) == "borrowed-1"
    stored = stored_credential(keeper._open_profile("me").context)
    assert stored is not None
    assert token_of(stored) == signed_in


# --- without a store ----------------------------------------------------------------------------------------------


def test_store_is_not_asked_for_what_it_does_not_hold(world: World) -> None:
    world.provider.borrows_only = True
    world.provider.variable = "borrowed-1"
    world.store.vanish()
    keeper = world.keeper()
    assert token_of(keeper.refresh("me")) == "borrowed-1"
    assert token_of(world.keeper().get("me")) == "borrowed-1"
    assert keeper.status("me").source == VARIABLE
    assert keeper.explain("me").steps[0].wins
    assert keeper.logout("me") == SignedOut(profile="me", revoked=None, detail="not signed in")
    world.provider.variable = None
    with raises_code(LoginRequired, "no-credential-found") as caught:
        world.keeper().get("me")
    assert caught.value.hint == "Provide one of these: A variable"
    assert not {"lock", "load", "save"} & set(world.journal)


def test_refresh_of_a_borrowed_credential_takes_no_lock_of_the_store(world: World) -> None:
    world.provider.variable = "borrowed-1"
    assert token_of(world.keeper().refresh("me")) == "borrowed-1"
    assert "lock" not in world.journal


def test_renewal_goes_on_without_the_store_once_another_source_wins(world: World) -> None:
    keeper = world.signed_in()
    world.provider.variable = "borrowed-1"
    world.store.vanish()
    world.clock.advance(3700)
    assert token_of(keeper.get("me")) == "borrowed-1"


def test_sign_in_that_appears_while_waiting_for_the_lock_is_renewed_under_the_lock_of_the_store(world: World) -> None:
    world.signed_in()
    world.provider.variable = "borrowed-1"
    keeper = world.keeper()
    keeper.get("me")
    world.provider.variable = None
    world.clock.advance(3700)
    world.journal.clear()
    assert token_of(keeper.get("me")) == "at-2"
    world.settle(keeper)
    assert world.journal[:4] == ["load", "lock", "load", "intend"]


@pytest.mark.parametrize("machine", [False, True], ids=["no source", "an owned source"])
def test_missing_store_is_passed_over_if_nothing_was_ever_stored(world: World, machine: bool) -> None:
    world.store.vanish()
    world.provider.machine = machine
    kind, code = (StoreUnavailable, "store-unavailable") if machine else (LoginRequired, "no-credential-found")
    with raises_code(kind, code) as caught:
        world.keeper().get("me")
    assert "the store fails" in caught.value.message
    assert "get a store" in str(caught.value.hint).lower()
    assert world.provider.acquired == []


def test_application_does_not_ask_for_a_sign_in_that_could_not_be_stored(world: World) -> None:
    world.store.vanish()
    with raises_code(LoginRequired, "no-credential-found"):
        world.keeper(interaction=world.user).get("me")
    assert world.user.opened == []


def test_saying_that_there_is_no_credential_takes_no_lock_of_the_store(world: World) -> None:
    world.store.failing = {"lock"}
    with raises_code(LoginRequired, "no-credential-found"):
        world.keeper().get("me")
    with raises_code(StoreUnavailable, "store-unavailable"):
        world.keeper(interaction=world.user).get("me")
    assert world.user.opened == []


def test_application_does_not_ask_for_a_sign_in_that_would_be_hidden(world: World) -> None:
    world.signed_in()
    world.user.opened.clear()
    world.provider.variable = "borrowed-1"
    world.provider.acquire_error = LoginRequired("the variable has expired", code="variable-expired")
    with raises_code(LoginRequired, "variable-expired"):
        world.keeper(interaction=world.user).get("me")
    assert world.user.opened == []


def test_missing_store_is_an_error_if_someone_signed_in_until_they_sign_out(world: World) -> None:
    keeper = world.signed_in()
    world.store.vanish()
    for call in (world.keeper().get, world.keeper().status, world.keeper().refresh, world.keeper().logout):
        with raises_code(StoreUnavailable, "store-unavailable"):
            call("me")
    assert "cannot be used" in world.keeper().explain("me").steps[1].why
    world.store.failing.clear()
    keeper.logout("me")
    world.store.vanish()
    with raises_code(LoginRequired, "no-credential-found"):
        world.keeper().get("me")


def test_locked_store_is_an_error_even_if_nothing_is_known_to_be_stored(world: World) -> None:
    world.store.failing = {"load"}
    with raises_code(StoreUnavailable, "store-unavailable"):
        world.keeper().get("me")
    world.provider.variable = "borrowed-1"
    assert token_of(world.keeper().get("me")) == "borrowed-1"


def test_store_that_cannot_be_read_is_tried_once(world: World) -> None:
    world.store.failing = {"load"}
    world.provider.variable = "borrowed-1"
    world.keeper(approve=lambda question: True).explain("me")
    assert world.journal.count("load") == 1


# --- where it belongs ---------------------------------------------------------------------------------------------


def test_stored_sign_in_of_another_client_is_not_used(world: World) -> None:
    world.signed_in()
    world.provider.binding = {"client_id": "another-client"}
    keeper = world.keeper()
    for _ in range(2):
        with raises_code(LoginRequired, "sign-in-settings-changed") as caught:
            keeper.get("me")
        assert "client ID" in caught.value.message
    assert keeper.status("me").sign_in_needed == caught.value.message
    assert keeper.status("me").credential is None
    signed_out = keeper.logout("me")
    assert (signed_out.revoked, world.provider.revocations) == (False, [])
    assert "client ID" in signed_out.detail
    keeper.login("me", interaction=User())


def test_binding_that_only_one_side_has_is_not_a_mismatch(world: World) -> None:
    world.signed_in()
    world.provider.binding = {"issuer": "https://as.example.com", "client_id": "a-client"}
    assert token_of(world.keeper().get("me")) == "at-1"


# --- the walk -----------------------------------------------------------------------------------------------------


def test_a_borrowed_credential_that_appears_is_used_from_the_next_renewal(world: World) -> None:
    keeper = world.signed_in()
    events = collect(keeper)
    world.provider.variable = "borrowed-1"
    assert token_of(keeper.get("me")) == "at-1"
    world.clock.advance(3600)
    assert token_of(keeper.get("me")) == "borrowed-1"
    world.provider.variable = None
    world.clock.advance(3600)
    assert token_of(keeper.get("me")) == "at-2"
    world.settle(keeper)
    until(lambda: len(events) == 4)
    assert events[0] == SourceChanged(profile="me", before="sign-in", after=VARIABLE)
    assert events[2] == SourceChanged(profile="me", before=VARIABLE, after="sign-in")
    assert [getattr(event, "source", None) for event in events] == [None, VARIABLE, None, "sign-in"]


def test_refusal_is_remembered_after_a_borrowed_credential(world: World) -> None:
    keeper = world.signed_in()
    expire(world)
    world.provider.revoked = True
    with pytest.raises(LoginRequired):
        keeper.get("me")
    world.provider.variable = "borrowed-1"
    world.keeper().get("me")
    world.provider.variable = None
    with pytest.raises(LoginRequired):
        world.keeper().get("me")
    assert world.provider.sent == ["rt-1"]


def test_owned_source_without_user_is_acquired_and_stored(world: World) -> None:
    world.provider.machine = True
    keeper = world.keeper()
    assert token_of(keeper.get("me")) == "at-1"
    assert world.journal == ["load", "lock", "load", f"acquire {MACHINE}", "save", "release"]
    assert token_of(world.keeper().get("me")) == "at-1"
    world.clock.advance(3600)
    assert token_of(keeper.get("me")) == "at-2"
    assert snapshot(world).generation == 2
    assert world.provider.acquired == [MACHINE, MACHINE]
    assert world.user.opened == []


def test_refused_borrowed_credential_is_not_fetched_again_within_the_floor(world: World) -> None:
    world.provider.variable = "borrowed-1"
    keeper, other = world.keeper(), world.keeper()
    refused = keeper.get("me")
    events = collect(keeper)
    world.clock.advance(10)
    for each in (keeper, other, keeper):
        with raises_code(TransientError, "renewal-paused") as caught:
            each.get("me", refused=refused)
        assert "next try in 20 s" in caught.value.message
        assert caught.value.retry_after == 20
        world.settle(each)
    assert world.provider.acquired == [VARIABLE]
    until(lambda: events)
    assert [event.retry_in for event in events if isinstance(event, RenewalFailed)] == [20]
    world.clock.advance(21)
    with raises_code(ProviderRefused, "credential-refused") as no_newer:
        keeper.get("me", refused=refused)
    assert "'variable'" in no_newer.value.message
    world.settle(keeper)
    world.clock.advance(61)
    world.provider.variable = "borrowed-2"
    assert token_of(keeper.get("me", refused=refused)) == "borrowed-2"


def test_reading_publishes_nothing(world: World) -> None:
    world.signed_in()
    keeper = world.keeper()
    keeper.describe("me")
    (managed,) = keeper.all_managed()
    found = read(managed.context)
    assert found.winner is not None
    assert found.stored is not None
    assert (found.winner.id, token_of(found.stored), found.snapshot.generation) == ("sign-in", "at-1", 1)
    assert managed.held is None


def test_hints_and_notification_file_contain_no_secret(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    keeper.get("me")
    world.settle(keeper)
    files = [path for path in world.state_dir.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"changed"}
    for path in files:
        text = path.read_text()
        assert "at-" not in text
        assert "rt-" not in text
    (hints_file,) = (world.state_dir / "hints").iterdir()
    assert json.loads(hints_file.read_text())["generation"] == 2


def test_a_failure_is_an_event_with_the_pause(world: World) -> None:
    keeper = world.signed_in()
    order: list[Event] = []
    keeper.subscribe(order.append)
    world.clock.advance(3600)
    world.provider.script.append(ProviderRefused("not now"))
    with pytest.raises(ProviderRefused):
        keeper.get("me")
    world.settle(keeper)
    until(lambda: order)
    assert order == [RenewalFailed(profile="me", error="me: not now", code="provider-refused", retry_in=30.0)]


# --- borrowed credentials ---------------------------------------------------------------------------------------------


def test_user_decides_once_between_found_credential_and_sign_in(world: World) -> None:
    world.signed_in()
    world.provider.variable = "borrowed-1"
    user = User(agrees=False)
    assert token_of(world.keeper(interaction=user).get("me")) == "at-1"
    assert token_of(world.keeper(interaction=user).get("me")) == "at-1"
    assert len(user.questions) == 1
    world.provider.variable = "borrowed-2"
    another = User(agrees=True)
    assert token_of(world.keeper(approve=another.confirm).get("me")) == "borrowed-2"
    assert len(another.questions) == 1


def test_refused_credential_past_its_floor_is_replaced_even_if_another_process_just_got_one(
    world: World,
) -> None:
    world.provider.lifetime, world.provider.variable = 100.0, "key-1"
    keeper, another = world.keeper(), world.keeper()
    refused = keeper.get("me")
    world.clock.advance(5)
    another.get("me")
    world.clock.advance(5)
    world.provider.variable = "key-2"
    assert token_of(keeper.get("me", refused=refused)) == "key-2"


def test_stored_credential_of_a_removed_source_is_not_used(world: World) -> None:
    world.provider.machine = True
    world.keeper().get("me")
    world.provider.machine = False
    with raises_code(LoginRequired, "no-credential-found"):
        world.keeper().get("me")


def test_stored_credential_of_an_unknown_source_is_not_a_sign_out(world: World) -> None:
    keeper = world.signed_in()
    (managed,) = keeper.all_managed()
    record = snapshot(world).record
    assert record is not None
    assert managed.held is not None
    payload = managed.context.codec.encode(evolve(managed.held.credential, source="a newer source"))
    world.store._slots.save(evolve(record, generation=2, payload=payload))
    expire(world)
    with raises_code(LoginRequired, "sign-in-settings-changed") as caught:
        keeper.get("me")
    assert "'a newer source'" in caught.value.message
    assert (caught.value.hint or "").endswith("freshkey logout me")


def test_sign_in_with_a_source_that_is_ruled_out_is_not_replaced(world: World) -> None:
    keeper = world.signed_in()
    (managed,) = keeper.all_managed()
    assert managed.held is not None
    record, stored = snapshot(world).record, managed.held.credential
    assert record is not None
    payload = managed.context.codec.encode(evolve(stored, source="another"))
    world.store._slots.save(evolve(record, generation=2, payload=payload))
    world.provider.machine = True  # which gets a credential without a user
    with raises_code(LoginRequired, "sign-in-settings-changed"):
        world.keeper().get("me")
    kept = snapshot(world).payload
    assert kept is not None
    assert managed.context.codec.decode(kept).renewal_secret == stored.renewal_secret


def test_sources_are_checked_with_the_profile(world: World) -> None:
    looked_for: list[str] = []
    detect = world.provider._look

    def note(profile: Profile) -> Detected | None:
        looked_for.append(profile.name)
        return detect(profile)

    world.provider._look = note  # type: ignore[method-assign]
    world.provider.variable = "borrowed-1"
    world.keeper().get("me")
    assert set(looked_for) == {"me"}


def test_borrowed_refresh_token_is_renewed_without_the_store(world: World) -> None:
    world.provider.variable = "borrowed-1"
    world.provider.lends = Secret("rt-0")
    keeper = world.keeper()
    assert token_of(keeper.get("me")) == "borrowed-1"
    expire(world)
    assert token_of(keeper.get("me")) == "at-1"
    assert world.journal == ["refresh"]
    assert world.provider.sent == ["rt-0"]


def test_non_interactive_session_uses_found_credential_without_asking(world: World) -> None:
    world.signed_in()
    world.provider.variable = "borrowed-1"
    assert token_of(world.keeper().get("me")) == "borrowed-1"


def test_bare_mode_neither_reads_nor_locks_the_store(world: World) -> None:
    world.signed_in()
    world.journal.clear()
    keeper = world.keeper(bare=True)
    with raises_code(LoginRequired, "no-credential-found") as caught:
        keeper.get("me")
    assert str(caught.value.hint).endswith(": A variable")
    with raises_code(LoginRequired, "no-credential-found"):
        world.keeper(bare=True, interaction=world.user).get("me")
    with raises_code(ConfigurationError, "bare-mode"):
        keeper.login("me", interaction=world.user)
    with raises_code(ConfigurationError, "bare-mode"):
        keeper.logout("me")
    assert keeper.status("me").store is None
    world.provider.variable = "borrowed-1"
    assert token_of(keeper.get("me")) == "borrowed-1"
    assert keeper.explain("me").steps[1].why == "bare mode uses only explicitly provided credentials"
    assert world.journal == [f"acquire {VARIABLE}"]


def test_credential_without_expiry_is_returned_while_its_source_is_rechecked(world: World) -> None:
    world.provider.lifetime, world.provider.recheck, world.provider.variable = None, 300.0, "key-1"
    keeper = world.keeper()
    assert token_of(keeper.get("me")) == "key-1"
    world.provider.variable = "key-2"
    world.clock.advance(299)
    assert token_of(keeper.get("me")) == "key-1"
    world.settle(keeper)
    world.clock.advance(1)
    assert world.run_once(keeper) > 0
    assert world.provider.acquired == [VARIABLE]
    assert token_of(keeper.get("me")) == "key-1"
    world.settle(keeper)
    assert world.provider.acquired == [VARIABLE, VARIABLE]
    assert token_of(keeper.get("me")) == "key-2"


def test_credential_without_expiry_is_returned_if_its_recheck_fails(world: World) -> None:
    world.provider.lifetime, world.provider.recheck, world.provider.variable = None, 300.0, "key-1"
    keeper = world.keeper()
    keeper.get("me")
    world.clock.advance(301)
    world.provider.acquire_error = ProviderRefused("the helper is gone")
    for _ in range(3):
        assert token_of(keeper.get("me")) == "key-1"
        world.settle(keeper)
    assert len(world.provider.acquired) == 2


def test_refused_credential_without_expiry_is_rechecked_at_once(world: World) -> None:
    world.provider.lifetime, world.provider.recheck, world.provider.variable = None, 300.0, "key-1"
    keeper, another = world.keeper(), world.keeper()
    refused = keeper.get("me")
    another.get("me")
    world.clock.advance(60)
    world.provider.variable = "key-2"
    assert token_of(another.get("me", refused=refused)) == "key-2"
    # What another process just obtained is not shared with this one, so it is no reason to wait.
    assert token_of(keeper.get("me", refused=refused)) == "key-2"
    with raises_code(TransientError, "renewal-paused"):
        keeper.get("me", refused=keeper.get("me"))


@pytest.mark.parametrize("single_use", [False, True])
def test_renewal_gets_the_profile_and_the_reporter_of_the_keeper(
    world: World, telling: Telling, single_use: bool
) -> None:
    telling.single_use = single_use
    listener = Listener()
    keeper = world.signed_in(reporter=listener)
    expire(world)
    keeper.get("me")
    assert listener.heard == ["renewing for me"]


def test_non_interactive_source_cannot_ask_the_user(world: World, telling: Telling) -> None:
    telling.machine = telling.wants_a_person = True
    listener = Listener()
    keeper = world.keeper(reporter=listener)
    with raises_code(LoginRequired, "not-signed-in") as caught:
        keeper.get("me")
    assert (caught.value.profile, caught.value.hint) == ("me", "Run: freshkey login me")
    world.settle(keeper)
    assert hints(world).sign_in_code is None, "there was no credential that could have been refused"
    telling.wants_a_person = False
    with raises_code(LoginRequired, "not-signed-in"):
        keeper.get("me")
    assert listener.heard == ["acquiring for me"], "what was asked for and refused is not asked for in a loop"
    world.clock.advance(31)
    assert token_of(keeper.get("me")) == "at-1"
    assert listener.heard == ["acquiring for me"] * 2


def test_interactive_sign_in_gets_the_profile(world: World, telling: Telling, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "freshkey"):
        assert token_of(world.keeper(interaction=world.user).get("me")) == "at-1"
    assert "acquiring for me" in caplog.text
    assert len(world.user.opened) == 1


def test_messages_of_acquire_reach_the_reporter(world: World) -> None:
    listener = Listener()
    world.provider.variable = "key-1"
    world.provider.says = "the helper is slow"
    world.keeper(reporter=listener).get("me")
    assert listener.heard == ["the helper is slow"]


def test_provider_can_see_whether_a_caller_waits_or_the_timer_renews(world: World) -> None:
    world.provider.variable = "borrowed-1"
    keeper = world.keeper()
    keeper.get("me")
    world.clock.advance(3400)
    world.run_once(keeper)
    world.clock.advance(3600)
    keeper.get("me")
    world.settle(keeper)
    keeper.login("me", interaction=world.user)
    assert world.provider.attended == [True, False, True, True]


@pytest.mark.parametrize("setting", [{"source": MACHINE}, {"skip": [SIGN_IN]}], ids=["source", "skip"])
def test_stored_credential_of_a_source_that_is_not_used_any_more_is_apart(
    world: World, setting: dict[str, object]
) -> None:
    keeper = world.signed_in()
    world.provider.machine = True
    (managed,) = keeper.all_managed()
    assert read(managed.context).displaced is None
    found = read(world.keeper(settings=setting)._open_profile("me").context)
    assert found.stored is None
    assert found.displaced is not None
    assert found.displaced.source == SIGN_IN
