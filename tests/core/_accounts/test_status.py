"""Status: what is in use, what is hidden, and what to do next."""

from __future__ import annotations

import pytest

from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, ProviderRefused, TransientError
from freshkey.expiry import Freshness
from freshkey.keeper import Keeper
from raises_code import raises_code
from rotating import MACHINE, SIGN_IN, VARIABLE, World, token_of


def test_sign_in_over_a_machine_source_is_what_every_answer_says(world: World) -> None:
    world.provider.machine_first = True
    keeper = world.keeper()
    assert keeper.get("me").source == MACHINE
    keeper.login("me", source=SIGN_IN, interaction=world.user)

    def check(token: str) -> None:
        for each in (keeper, world.keeper()):
            assert (each.get("me").source, token_of(each.get("me"))) == (SIGN_IN, token)
            status = each.status("me")
            assert (status.source, status.credential) == (SIGN_IN, each.get("me"))
            assert [step.source.id for step in each.explain("me").steps if step.wins] == [SIGN_IN]

    check("at-2")
    world.clock.advance(3700)
    assert token_of(keeper.get("me")) == "at-3"
    world.settle(keeper)
    check("at-3")
    keeper.logout("me")
    assert keeper.get("me").source == MACHINE, "until the sign-out"


@pytest.mark.parametrize("pin", [{"source": MACHINE}, {"skip": [SIGN_IN]}], ids=["source", "skip"])
def test_sign_in_that_the_profile_does_not_use_any_more_is_not_served(
    world: World, pin: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    world.signed_in()
    world.provider.machine = True
    keeper = world.keeper(settings=pin)
    assert keeper.status("me").source == MACHINE
    assert keeper.status("me").credential is None
    assert keeper.get("me").source == MACHINE
    assert "the stored credential from source 'sign-in' is replaced" in caplog.text
    credential = keeper.status("me").credential
    assert credential is not None
    assert credential.source == MACHINE


@pytest.mark.parametrize("pin", [{"source": MACHINE}, {"skip": [SIGN_IN]}], ids=["source", "skip"])
def test_signing_in_where_the_profile_would_not_use_it_is_an_error(world: World, pin: dict[str, object]) -> None:
    world.provider.machine = True
    with raises_code(ConfigurationError, "source-not-used"):
        world.keeper(settings=pin).login("me", source=SIGN_IN, interaction=world.user)
    assert world.user.opened == []


def test_failure_with_other_settings_is_not_the_last_error(world: World) -> None:
    keeper = world.signed_in()
    world.provider.script.append(ProviderRefused("no such client", code="example-refused"))
    with pytest.raises(ProviderRefused):
        keeper.refresh("me")
    assert world.keeper().status("me").last_error_code == "example-refused"
    status = world.keeper(settings={"tool": "another"}).status("me")
    assert (status.last_error, status.last_error_code) == (None, None)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TransientError("exit status 1", code="command-failed"), "an earlier attempt to renew failed for now"),
        (
            LoginRequired("it has ended", hint="Run: tool login"),
            "an earlier attempt to renew found that the user must act",
        ),
    ],
)
def test_failure_of_another_tool_comes_with_a_next_step(world: World, error: FreshkeyError, told: str) -> None:
    world.provider.variable, world.provider.acquire_error = "borrowed-1", error
    keeper = world.keeper()
    with pytest.raises(type(error)):
        keeper.get("me")
    world.settle(keeper)
    here, elsewhere = keeper.status("me"), world.keeper().status("me")
    assert (here.last_error, here.next_step) == (error.message, error.hint)
    assert str(elsewhere.last_error).startswith(told)
    assert "next try" not in str(elsewhere.last_error), "the next command looks at once"
    assert elsewhere.next_step == "Check the token from a variable, then run: freshkey refresh me"
    assert (elsewhere.source, elsewhere.sign_in_needed) == (VARIABLE, None)
    world.provider.acquire_error = None
    world.clock.advance(1)
    assert token_of(world.keeper().get("me")) == "borrowed-1"
    after = world.keeper().status("me")
    assert (after.last_error, after.next_step) == (None, None)


def test_failed_renewal_says_what_to_do_once_the_sign_in_has_expired(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3400)
    world.provider.script.append(ProviderRefused("no such client", code="example-refused"))
    with pytest.raises(ProviderRefused):
        keeper.refresh("me")
    assert world.keeper().status("me").next_step is None, "it still works"
    world.clock.advance(300)
    status = world.keeper().status("me")
    assert (status.last_error_code, status.next_step) == ("example-refused", "Wait, or run: freshkey refresh me")


def test_failure_of_the_sign_in_says_nothing_about_another_source(world: World) -> None:
    world.signed_in()
    world.provider.living.clear()
    world.clock.advance(3700)
    with pytest.raises(LoginRequired):
        world.keeper().get("me")
    assert world.keeper().status("me").last_error is not None
    world.provider.variable = "borrowed-1"
    status = world.keeper().status("me")
    assert (status.source, status.last_error, status.last_error_code, status.next_step) == (VARIABLE, None, None, None)


def test_sign_in_that_ended_is_not_replaced_by_a_machine_source(world: World) -> None:
    world.provider.machine_first = True
    keeper = world.keeper()
    keeper.login("me", source=SIGN_IN, interaction=world.user)
    world.provider.living.clear()
    world.clock.advance(3700)
    with pytest.raises(LoginRequired):
        keeper.get("me")
    assert world.provider.acquired == [SIGN_IN]


def test_sign_in_hidden_by_an_earlier_source_is_shown(world: World) -> None:
    keeper = world.signed_in()
    assert keeper.status("me").hidden is None
    world.provider.variable = "borrowed-1"
    status = world.keeper().status("me")
    assert (status.source, status.credential, status.store) == (VARIABLE, None, None)
    assert status.hidden is not None
    assert (status.hidden.source.id, status.hidden.store) == (SIGN_IN, "failing")
    assert (status.hidden.hidden_by.origin, token_of(status.hidden.credential)) == ("a variable", "at-1")
    keeper.logout("me")
    assert world.keeper().status("me").hidden is None


def test_status_shows_only_the_credential_of_the_source_in_use(world: World) -> None:
    keeper = world.signed_in()
    world.provider.variable = "borrowed-1"
    assert keeper.status("me").credential is None, "the sign-in in memory is not the one that other processes use"
    other = world.keeper(approve=lambda question: True)
    assert (other.status("me").source, other.status("me").credential) == (VARIABLE, None)
    assert token_of(other.get("me")) == "borrowed-1"
    credential = other.status("me").credential
    assert credential is not None
    assert token_of(credential) == "borrowed-1"


def test_store_is_not_asked_about_a_hidden_sign_in_where_nothing_is_stored(world: World) -> None:
    world.provider.variable = "borrowed-1"
    assert world.keeper().status("me").hidden is None
    assert "load" not in world.journal


def test_hidden_sign_in_that_cannot_be_read_is_left_out(world: World) -> None:
    world.signed_in()
    world.provider.variable = "borrowed-1"
    world.store.failing = {"load"}
    assert world.keeper().status("me").hidden is None


def test_next_step_is_there_until_a_source_has_a_credential(world: World) -> None:
    keeper = world.keeper()
    status = keeper.status("me")
    assert (status.source, status.next_step, status.renews) == (None, "Run: freshkey login me", False)
    keeper.login("me", interaction=world.user)
    assert keeper.status("me").next_step is None


def test_next_step_without_a_store_names_the_other_sources(world: World) -> None:
    world.store.vanish()
    status = world.keeper().status("me")
    assert (status.store, status.source) == (None, None)
    assert str(status.next_step).startswith("Provide one of these: A variable. To sign in instead, get a store")


def test_expired_sign_in_that_the_next_use_renews_is_not_over(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3700)
    status = world.keeper().status("me")
    assert (status.freshness, status.renews, status.sign_in_needed) == (Freshness.EXPIRED, True, None)
    assert token_of(keeper.get("me")) == "at-2"


def test_expired_sign_in_that_cannot_be_renewed_is_over(world: World) -> None:
    world.provider.machine = False
    keeper = world.signed_in()
    world.provider.answers = lambda token: type(token)(
        obtained=token.obtained, lifetime=token.lifetime, access_token=token.access_token
    )
    keeper.refresh("me")
    assert (keeper.status("me").renews, keeper.status("me").sign_in_needed) == (False, None)
    world.clock.advance(3700)
    status = keeper.status("me")
    assert (status.sign_in_code, status.next_step, status.renews) == ("sign-in-ended", "Run: freshkey login me", False)


def test_refused_sign_in_is_over(world: World) -> None:
    keeper = world.signed_in()
    world.provider.living.clear()
    world.clock.advance(3700)
    with pytest.raises(LoginRequired):
        keeper.get("me")
    status = world.keeper().status("me")
    assert status.sign_in_needed == "the sign-in can no longer be renewed"
    assert (status.next_step, status.renews) == ("Run: freshkey login me", False)


@pytest.mark.parametrize("found", [True, False])
def test_setting_that_the_chosen_source_ignores_is_named_even_if_nothing_is_found_there(
    world: World, found: bool
) -> None:
    world.provider.variable = "borrowed-1" if found else None
    chosen = world.keeper(settings={"source": VARIABLE, "tool": "another"})
    assert chosen.status("me").ignored == ("tool",)
    (why,) = [step.why for step in chosen.explain("me").steps if step.source.id == VARIABLE]
    assert why.endswith("; not used: tool")
    if not found:
        with raises_code(LoginRequired, "no-credential-found") as caught:
            chosen.get("me")
        assert caught.value.message == "no credential found in source 'variable', which does not use tool"


@pytest.mark.parametrize(
    "settings", [{"tool": "another"}, {"source": VARIABLE}, {"source": SIGN_IN, "tool": "another"}]
)
def test_setting_that_may_have_an_effect_is_not_called_ignored(world: World, settings: dict[str, object]) -> None:
    keeper = world.keeper(settings=settings)
    assert keeper.status("me").ignored == ()
    with raises_code(LoginRequired, "no-credential-found") as caught:
        keeper.get("me")
    assert caught.value.message == "no credential found"
    assert all("not used" not in step.why for step in keeper.explain("me").steps)


def test_explanation_says_that_the_sign_in_is_over(world: World) -> None:
    def why(keeper: Keeper) -> str:
        (step,) = [step for step in keeper.explain("me").steps if step.wins]
        return step.why

    keeper = world.signed_in()
    assert why(keeper) == "first source with a credential"
    world.clock.advance(3700)
    assert why(keeper) == "first source with a credential", "the next use renews it"
    world.provider.living.clear()
    with pytest.raises(LoginRequired):
        keeper.get("me")
    for each in (keeper, world.keeper()):
        assert why(each).startswith("first source with a credential, but the ")
        assert world.keeper().status("me").sign_in_needed is not None
    assert why(world.keeper()) == "first source with a credential, but the sign-in can no longer be renewed"
    keeper.login("me", interaction=world.user)
    assert why(world.keeper()) == "first source with a credential"


def test_explanation_says_that_what_cannot_be_renewed_has_expired(world: World) -> None:
    keeper = world.unrenewable(600.0)
    world.clock.advance(700)
    assert keeper.explain("me").steps[1].why.endswith(", but the sign-in has expired and cannot be renewed")


@pytest.mark.parametrize("skip", [[], [SIGN_IN]])
def test_explanation_blames_the_source_whose_sign_in_belongs_elsewhere(world: World, skip: list[str]) -> None:
    world.provider.binding = {"client_id": "a-client"}
    world.signed_in()
    world.provider.binding = {"client_id": "another"}
    world.provider.machine_first = True
    steps = world.keeper(settings={"skip": skip}).explain("me").steps
    blamed, other = (SIGN_IN, MACHINE) if not skip else (MACHINE, SIGN_IN)
    why = {step.source.id: step.why for step in steps}
    assert why[blamed].startswith("cannot be used: the stored sign-in belongs to a different client ID")
    assert why[other] == ("nothing found" if not skip else f"not reached: fix {MACHINE!r} first")
