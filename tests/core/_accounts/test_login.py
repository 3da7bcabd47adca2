"""Signing in, signing out, and how things stand."""

from __future__ import annotations

import threading

import pytest

from freshkey._interprocess.hints import HintsFile
from freshkey._stores.keychain import prompts
from freshkey.errors import ConfigurationError, LoginRequired, StoreUnavailable, TransientError
from freshkey.events import SignedOut
from freshkey.expiry import Freshness
from freshkey.model.identity import Identity
from matrix import row
from rotating import SIGN_IN, VARIABLE, User, World, collect, token_of
from waiting import until


# --- signing in ---------------------------------------------------------------------------------------------------


def test_a_sign_in_proves_the_store_asks_and_keeps_in_that_order(world: World) -> None:
    keeper = world.keeper()
    credential = keeper.login("me", interaction=world.user)
    world.settle(keeper)
    until(lambda: world.journal[-1] == "release")
    assert world.journal == ["probe", f"acquire {SIGN_IN}", "lock", "load", "save", "release"]
    assert token_of(credential) == "at-1"
    assert keeper.get("me") is credential
    assert token_of(world.keeper().get("me")) == "at-1"


def test_a_store_that_cannot_be_written_is_told_before_a_person_is_asked(world: World) -> None:
    world.store.failing.add("probe")
    with pytest.raises(StoreUnavailable) as caught:
        world.keeper().login("me", interaction=world.user)
    assert caught.value.profile == "me"
    assert world.user.opened == []


def test_a_sign_in_without_anybody_says_what_to_run(world: World) -> None:
    with pytest.raises(LoginRequired, match="freshkey login me"):
        world.keeper().login("me")


def test_a_sign_in_asks_the_keepers_person_unless_told_otherwise(world: World) -> None:
    own, other = User(), User()
    keeper = world.keeper(interaction=own)
    keeper.login("me")
    keeper.login("me", interaction=other)
    assert (len(own.opened), len(other.opened)) == (1, 1)


@row(9, "STO-3")
def test_the_store_may_take_its_time_only_while_a_person_signs_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient: list[tuple[str, bool]] = []
    monkeypatch.setattr(world.store, "_step", lambda verb: patient.append((verb, prompts.expected())))
    with prompts.shown():
        keeper = world.keeper()
        keeper.login("me", interaction=world.user)
        assert patient == [(verb, True) for verb in ("probe", "lock", "load", "save")]

        patient.clear()
        keeper.refresh("me")
        with pytest.raises(LoginRequired):
            keeper.login("me")
        assert {expected for _, expected in patient} == {False}


@pytest.mark.parametrize("source", [VARIABLE, "no-such-source"])
def test_only_an_owned_source_can_be_signed_in_to(world: World, source: str) -> None:
    with pytest.raises(ConfigurationError, match=source):
        world.keeper().login("me", source=source, interaction=world.user)
    assert world.user.opened == []


def test_signing_in_again_keeps_a_plan_that_is_not_told_this_time(world: World) -> None:
    world.provider.identity = Identity(account="ada", extra={"plan": "max", "rate_limit_tier": "high"})
    keeper = world.signed_in()
    world.provider.identity = Identity(account="ada")
    assert keeper.login("me", interaction=world.user).identity.extra["plan"] == "max"
    world.provider.identity = Identity(account="somebody-else")
    assert keeper.login("me", interaction=world.user).identity == Identity(account="somebody-else")


def test_a_source_can_be_named(world: World) -> None:
    assert world.keeper().login("me", source=SIGN_IN, interaction=world.user).source == SIGN_IN


def test_a_sign_in_that_fails_loses_nothing(world: World) -> None:
    keeper = world.signed_in()
    before = world.store.contents
    world.provider.acquire_error = TransientError("no route")
    with pytest.raises(TransientError):
        keeper.login("me", interaction=world.user)
    assert world.store.contents == before
    assert token_of(keeper.get("me")) == "at-1"


def test_a_sign_in_after_a_sign_out_counts_on(world: World) -> None:
    keeper = world.signed_in()
    keeper.logout("me")
    keeper.login("me", interaction=world.user)
    assert keeper.status("me").generation == 3


def test_a_sign_in_into_an_emptied_store_counts_on(world: World) -> None:
    """I5: processes that hold generation 2 would take a 1 for older."""
    keeper, other = world.signed_in(), world.keeper()
    keeper.refresh("me")
    world.settle(keeper)
    other.get("me")
    world.store.items._values.clear()
    keeper.login("me", interaction=world.user)
    assert keeper.status("me").generation == 3
    world.run_once(other)
    assert token_of(other.get("me")) == token_of(keeper.get("me"))


def test_a_sign_in_waits_for_a_renewal_and_wins(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3400)
    world.provider.gate.clear()
    keeper.get("me")
    until(lambda: world.provider.inside == 1)
    signed_in = threading.Event()

    def sign_in() -> None:
        keeper.login("me", interaction=world.user)
        signed_in.set()

    threading.Thread(target=sign_in).start()
    until(lambda: len(world.user.opened) == 2)
    assert not signed_in.is_set()
    world.provider.gate.set()
    assert signed_in.wait(20)
    world.settle(keeper)
    assert keeper.status("me").generation == 3
    assert world.provider.sent == ["rt-1"]


def test_a_locked_store_after_the_sign_in_keeps_on_trying(world: World) -> None:
    keeper = world.keeper()
    world.store.failing.add("save")
    answers: list[str] = []
    signing = threading.Thread(target=lambda: answers.append(token_of(keeper.login("me", interaction=world.user))))
    signing.start()
    world.clock.wait_until_waiting(1)
    world.store.failing.clear()
    world.clock.advance(1)
    signing.join(20)
    assert answers == ["at-1"]
    assert keeper.status("me").generation == 1


# --- signing out --------------------------------------------------------------------------------------------------


def test_a_sign_out_revokes_and_then_removes(world: World) -> None:
    keeper = world.signed_in()
    events = collect(keeper)
    said = keeper.logout("me")
    assert said == SignedOut(profile="me", revoked=True, detail="revoked at the provider and removed here")
    assert world.provider.revocations == ["rt-1"]
    assert not any("at-1" in value or "rt-1" in value for value in world.store.contents.values())
    until(lambda: events == [said])
    for each in (keeper, world.keeper()):
        with pytest.raises(LoginRequired):
            each.get("me")
    assert keeper.status("me").generation == 2


def test_a_sign_out_that_cannot_revoke_removes_all_the_same_and_says_so(world: World) -> None:
    keeper = world.signed_in()
    world.provider.revoke_error = TransientError("no route")
    said = keeper.logout("me")
    assert said.revoked is False
    assert said.detail == "removed here, but not revoked at the provider: no route"
    with pytest.raises(LoginRequired):
        keeper.get("me")


def test_a_provider_that_cannot_revoke_is_no_failure(world: World) -> None:
    world.provider.revocable = False
    keeper = world.signed_in()
    said = keeper.logout("me")
    assert (said.revoked, said.detail) == (None, "removed here; the provider cannot revoke")


def test_a_sign_out_of_nobody_says_so(world: World) -> None:
    keeper = world.signed_in()
    keeper.logout("me")
    for each in (keeper, world.keeper()):
        assert each.logout("me") == SignedOut(profile="me", revoked=None, detail="nobody was signed in")
    assert len(world.provider.revocations) == 1


def test_a_record_that_cannot_be_read_can_still_be_removed(world: World) -> None:
    world.signed_in()
    world.provider.formats = {}
    said = world.keeper().logout("me")
    assert said.revoked is False
    assert "at-1" not in str(world.store.contents)


def test_a_store_that_cannot_be_written_keeps_the_sign_in(world: World) -> None:
    keeper = world.signed_in()
    world.store.failing.add("load")
    with pytest.raises(StoreUnavailable) as caught:
        keeper.logout("me")
    assert caught.value.profile == "me"
    world.store.failing.clear()
    assert token_of(keeper.get("me")) == "at-1"
    assert world.provider.revocations == []


# --- how things stand ---------------------------------------------------------------------------------------------


def test_status_of_a_signed_in_profile(world: World) -> None:
    world.signed_in()
    world.journal.clear()
    keeper = world.keeper()
    status = keeper.status("me")
    assert (status.store, status.source, status.generation) == ("failing", SIGN_IN, 1)
    assert status.credential is not None
    assert status.freshness is Freshness.FRESH
    assert (status.sign_in_needed, status.last_error) == (None, None)
    assert world.journal == ["load"]
    world.clock.advance(3400)
    assert keeper.status("me").freshness is Freshness.DUE
    world.clock.advance(200)
    assert keeper.status("me").freshness is Freshness.EXPIRED
    assert world.provider.sent == []


def test_status_of_nobody(world: World) -> None:
    status = world.keeper().status()
    assert (status.profile.name, status.store, status.source, status.generation) == ("me", "failing", None, 0)
    assert (status.credential, status.freshness) == (None, None)


def test_status_of_a_borrowed_credential_needs_no_store(world: World) -> None:
    world.provider.variable = "borrowed-1"
    keeper = world.keeper()
    assert keeper.status("me").credential is None
    keeper.get("me")
    status = keeper.status("me")
    assert (status.store, status.source, status.generation) == (None, VARIABLE, 0)
    assert status.credential is not None
    assert world.journal == [f"acquire {VARIABLE}"]


def test_status_tells_what_went_wrong_last(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.script.extend([TransientError("no route")] * 4)
    with pytest.raises(TransientError):
        keeper.get("me")
    assert world.keeper().status("me").last_error == "no route"
    world.clock.advance(31)
    keeper.get("me")
    assert world.keeper().status("me").last_error is None


def test_status_tells_that_a_person_is_needed(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.revoked = True
    with pytest.raises(LoginRequired):
        keeper.get("me")
    status = world.keeper().status("me")
    assert status.sign_in_needed == "the server no longer knows the refresh token"
    assert status.credential is not None
    keeper.login("me", interaction=world.user)
    assert world.keeper().status("me").sign_in_needed is None


def test_status_fails_with_the_store(world: World) -> None:
    world.store.failing.add("load")
    with pytest.raises(StoreUnavailable):
        world.keeper().status("me")


def test_a_sign_out_leaves_no_old_hints(world: World) -> None:
    keeper = world.signed_in()
    keeper.logout("me")
    hints = HintsFile(world.state_dir, "me").read()
    assert (hints.generation, hints.attempted, hints.error) == (2, None, None)
