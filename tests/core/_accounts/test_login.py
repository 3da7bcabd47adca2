"""Sign-in, sign-out and status."""

from __future__ import annotations

import threading

import pytest

from freshkey._interprocess.hints import HintsFile
from freshkey._plugins.hook_caller import HookCaller
from freshkey._stores.keychain import prompts
from freshkey.errors import ConfigurationError, LoginRequired, StoreUnavailable, TransientError
from freshkey.events import SignedOut
from freshkey.expiry import Freshness
from freshkey.model.identity import Identity
from promises import proves
from raises_code import raises_code
from rotating import SIGN_IN, VARIABLE, User, World, collect, token_of
from waiting import until


# --- sign-in ------------------------------------------------------------------------------------------------------


def test_sign_in_probes_the_store_asks_the_user_and_saves_in_that_order(world: World) -> None:
    keeper = world.keeper()
    credential = keeper.login("me", interaction=world.user)
    world.settle(keeper)
    until(lambda: world.journal[-1] == "release")
    assert world.journal == ["probe", "load", f"acquire {SIGN_IN}", "lock", "load", "save", "release"]
    assert token_of(credential) == "at-1"
    assert keeper.get("me") is credential
    assert token_of(world.keeper().get("me")) == "at-1"


def test_unwritable_store_is_reported_before_the_user_is_asked(world: World) -> None:
    world.store.failing.add("probe")
    with pytest.raises(StoreUnavailable) as caught:
        world.keeper().login("me", interaction=world.user)
    assert caught.value.profile == "me"
    assert world.user.opened == []


def test_advice_on_a_missing_setting_also_says_that_there_is_no_store(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ConfigurationError("not set up", hint="Set x. Or run: freshkey login me --api-key", code="invalid-setting")

    def acquire(*_: object) -> None:
        raise error

    monkeypatch.setattr(HookCaller, "setup", lambda *_: "Set x")
    monkeypatch.setattr(HookCaller, "acquire", acquire)
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        world.keeper().login("me", interaction=world.user)
    assert caught.value.hint == "Set x. Or run: freshkey login me --api-key"

    world.store.vanish()
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        world.keeper().login("me", interaction=world.user)
    assert "To sign in instead, set x. Also get a store; then run: freshkey login me" in str(caught.value.hint)


def test_sign_in_without_a_user_names_the_command_to_run(world: World) -> None:
    with raises_code(LoginRequired, "not-signed-in") as caught:
        world.keeper().login("me")
    assert "freshkey login me" in str(caught.value)


def test_interaction_argument_overrides_the_keepers_interaction(world: World) -> None:
    own, other = User(), User()
    keeper = world.keeper(interaction=own)
    keeper.login("me")
    keeper.login("me", interaction=other)
    assert (len(own.opened), len(other.opened)) == (1, 1)


@proves("FAULT-9", "STO-3")
def test_keychain_prompts_are_waited_for_only_during_sign_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    patient: list[tuple[str, bool]] = []
    monkeypatch.setattr(world.store, "_step", lambda verb: patient.append((verb, prompts.expected())))
    with prompts.shown():
        keeper = world.keeper()
        keeper.login("me", interaction=world.user)
        assert patient == [(verb, True) for verb in ("probe", "load", "lock", "load", "save")]

        patient.clear()
        keeper.refresh("me")
        with pytest.raises(LoginRequired):
            keeper.login("me")
        assert {expected for _, expected in patient} == {False}


@pytest.mark.parametrize(
    ("source", "code"), [(VARIABLE, "nothing-to-sign-in-to"), ("no-such-source", "unknown-source")]
)
def test_sign_in_requires_an_owned_source(world: World, source: str, code: str) -> None:
    with raises_code(ConfigurationError, code) as caught:
        world.keeper().login("me", source=source, interaction=world.user)
    assert source in str(caught.value)
    assert world.user.opened == []


def test_new_sign_in_keeps_known_details_of_the_same_account(world: World) -> None:
    world.provider.identity = Identity(account="ada", extra={"plan": "max", "rate_limit_tier": "high"})
    keeper = world.signed_in()
    world.provider.identity = Identity(account="ada")
    assert keeper.login("me", interaction=world.user).identity.extra["plan"] == "max"
    world.provider.identity = Identity(account="bob")
    assert keeper.login("me", interaction=world.user).identity == Identity(account="bob")


def test_sign_in_uses_the_named_source(world: World) -> None:
    assert world.keeper().login("me", source=SIGN_IN, interaction=world.user).source == SIGN_IN


def test_failed_sign_in_keeps_the_stored_credential(world: World) -> None:
    keeper = world.signed_in()
    before = world.store.contents
    world.provider.acquire_error = TransientError("no route")
    with pytest.raises(TransientError):
        keeper.login("me", interaction=world.user)
    assert world.store.contents == before
    assert token_of(keeper.get("me")) == "at-1"


def test_sign_in_after_sign_out_continues_the_generations(world: World) -> None:
    keeper = world.signed_in()
    keeper.logout("me")
    keeper.login("me", interaction=world.user)
    assert keeper.status("me").generation == 3


def test_sign_in_with_an_emptied_store_continues_the_generations(world: World) -> None:
    """Processes that hold generation 2 would ignore a generation 1 as older."""
    keeper, other = world.signed_in(), world.keeper()
    keeper.refresh("me")
    world.settle(keeper)
    other.get("me")
    world.store.items._values.clear()
    keeper.login("me", interaction=world.user)
    assert keeper.status("me").generation == 3
    world.run_once(other)
    assert token_of(other.get("me")) == token_of(keeper.get("me"))


def test_sign_in_waits_for_a_renewal_and_replaces_its_result(world: World) -> None:
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


def test_save_is_retried_if_the_store_fails_after_the_sign_in(world: World) -> None:
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


# --- sign-out -----------------------------------------------------------------------------------------------------


def test_sign_out_revokes_and_then_removes_the_credential(world: World) -> None:
    keeper = world.signed_in()
    events = collect(keeper)
    said = keeper.logout("me")
    assert said == SignedOut(profile="me", revoked=True, detail="revoked at the provider and deleted from the store")
    assert world.provider.revocations == ["rt-1"]
    assert not any("at-1" in value or "rt-1" in value for value in world.store.contents.values())
    until(lambda: events == [said])
    for each in (keeper, world.keeper()):
        with pytest.raises(LoginRequired):
            each.get("me")
    assert keeper.status("me").generation == 2


def test_sign_out_removes_the_credential_even_if_revoking_fails(world: World) -> None:
    keeper = world.signed_in()
    world.provider.revoke_error = TransientError("no route")
    said = keeper.logout("me")
    assert said.revoked is False
    assert said.detail == "deleted from the store, but not revoked at the provider: no route"
    with pytest.raises(LoginRequired):
        keeper.get("me")


def test_sign_out_succeeds_if_the_provider_does_not_support_revocation(world: World) -> None:
    world.provider.revocable = False
    keeper = world.signed_in()
    said = keeper.logout("me")
    assert (said.revoked, said.detail) == (None, "deleted from the store; the provider does not support revocation")


def test_sign_out_without_a_sign_in_says_so(world: World) -> None:
    keeper = world.signed_in()
    keeper.logout("me")
    for each in (keeper, world.keeper()):
        assert each.logout("me") == SignedOut(profile="me", revoked=None, detail="not signed in")
    assert len(world.provider.revocations) == 1


def test_sign_out_in_bare_mode_is_an_error(world: World) -> None:
    world.signed_in()
    before = world.store.contents
    with raises_code(ConfigurationError, "bare-mode") as caught:
        world.keeper(bare=True).logout("me")
    assert caught.value.profile == "me"
    assert world.store.contents == before


def test_unreadable_record_can_be_removed(world: World) -> None:
    world.signed_in()
    world.provider.formats = {}
    said = world.keeper().logout("me")
    assert said.revoked is False
    assert "at-1" not in str(world.store.contents)


def test_failed_sign_out_keeps_the_sign_in(world: World) -> None:
    keeper = world.signed_in()
    world.store.failing.add("load")
    with pytest.raises(StoreUnavailable) as caught:
        keeper.logout("me")
    assert caught.value.profile == "me"
    world.store.failing.clear()
    assert token_of(keeper.get("me")) == "at-1"
    assert world.provider.revocations == []


# --- status -------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("used_before", [False, True])
def test_sign_in_that_an_earlier_source_hides_is_stored_and_not_used(world: World, used_before: bool) -> None:
    world.provider.variable = "borrowed-1"
    keeper = world.keeper()
    if used_before:
        keeper.get("me")
    assert token_of(keeper.login("me", interaction=world.user)) == "at-1"
    for each in (keeper, world.keeper()):
        assert token_of(each.get("me")) == "borrowed-1", "in the keeper that signed in as in all others"
    world.provider.variable = None
    assert token_of(world.keeper().get("me")) == "at-1"


def test_sign_in_is_used_if_the_user_prefers_it_or_has_not_been_asked(world: World) -> None:
    keeper = world.keeper(approve=lambda question: False)
    world.provider.variable = "borrowed-1"
    for number in (1, 2):
        keeper.login("me", interaction=world.user)
        assert token_of(keeper.get("me")) == f"at-{number}"
        assert token_of(world.keeper(approve=lambda question: False).get("me")) == f"at-{number}"


def test_status_without_a_sign_in(world: World) -> None:
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


def test_status_has_the_error_of_the_last_attempt(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.script.extend([TransientError("no route")] * 4)
    with pytest.raises(TransientError):
        keeper.get("me")
    assert keeper.status("me").last_error == "no route"
    elsewhere = world.keeper().status("me")
    assert elsewhere.last_error == "an earlier attempt to renew failed for now (found 0 s ago; next try in 30 s)"
    assert elsewhere.last_error_code == "temporarily-unavailable"
    world.clock.advance(31)
    keeper.get("me")
    assert world.keeper().status("me").last_error is None


def test_status_says_that_a_sign_in_is_needed(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.revoked = True
    with pytest.raises(LoginRequired):
        keeper.get("me")
    assert keeper.status("me").sign_in_needed == "the server no longer knows the refresh token"
    status = world.keeper().status("me")
    assert status.sign_in_needed == "the sign-in can no longer be renewed"
    assert status.sign_in_code == "sign-in-required"
    assert status.credential is not None
    keeper.login("me", interaction=world.user)
    assert world.keeper().status("me").sign_in_needed is None


def test_status_fails_with_the_store(world: World) -> None:
    world.store.failing.add("load")
    with pytest.raises(StoreUnavailable):
        world.keeper().status("me")


def test_sign_out_clears_old_hints(world: World) -> None:
    keeper = world.signed_in()
    keeper.logout("me")
    hints = HintsFile(world.state_dir, "me").read()
    assert (hints.generation, hints.attempted, hints.kind) == (2, None, None)
