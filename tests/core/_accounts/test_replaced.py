"""A second sign-in: the user is asked, and what it replaces is revoked, but never before the new one is saved."""

from __future__ import annotations

import threading

import pytest
from attrs import evolve

from freshkey.errors import LoginRequired, TransientError
from freshkey.model.credential import Credential
from freshkey.model.description import Validity
from freshkey.model.identity import Identity
from promises import proves
from rotating import User, World, token_of
from waiting import until


class Unreachable(User):
    """A user who cannot be asked, but who signs in."""

    def confirm(self, question: str) -> bool:
        raise LoginRequired(question)


def test_the_first_sign_in_asks_nothing(world: World) -> None:
    world.signed_in()

    assert (world.user.questions, world.user.notices) == ([], [])


@proves("NET-9")
def test_a_second_sign_in_is_saved_before_the_first_is_revoked(world: World) -> None:
    keeper = world.signed_in()
    world.journal.clear()

    newer = keeper.login("me", interaction=world.user)

    assert world.user.questions == ["me is already signed in as ada@example.com. Sign in again and replace that?"]
    assert world.provider.revocations == ["rt-1"]
    assert world.journal.index("save") < world.journal.index("revoke")
    assert world.user.notices == ["Revoked the sign-in that was replaced"]
    assert keeper.get("me") is newer
    assert token_of(world.keeper().get("me")) == "at-2"


def test_a_user_who_declines_keeps_the_sign_in(world: World) -> None:
    keeper = world.signed_in()
    user = User(agrees=False)

    assert token_of(keeper.login("me", interaction=user)) == "at-1"
    assert (user.opened, user.notices) == ([], ["Kept the existing sign-in"])
    assert world.provider.revocations == []
    assert token_of(keeper.get("me")) == "at-1"


def test_the_question_can_be_answered_in_advance(world: World) -> None:
    world.signed_in().login("me", replace=True, interaction=world.user)

    assert world.user.questions == []
    assert world.provider.revocations == ["rt-1"]


def test_where_no_one_can_be_asked_the_sign_in_goes_on(world: World) -> None:
    world.signed_in().login("me", interaction=Unreachable())

    assert world.provider.revocations == ["rt-1"]


def test_the_sign_in_of_another_process_is_replaced_too(world: World) -> None:
    world.signed_in()

    world.keeper().login("me", interaction=world.user)

    assert len(world.user.questions) == 1
    assert world.provider.revocations == ["rt-1"]


@proves("STO-10")
@pytest.mark.parametrize("agrees", [True, False])
def test_a_sign_in_is_found_without_hints(world: World, *, agrees: bool) -> None:
    world.signed_in()
    (world.state_dir / "hints").rename(world.state_dir / "hints-gone")
    user = User(agrees=agrees)

    assert token_of(world.keeper().login("me", interaction=user)) == ("at-2" if agrees else "at-1")
    assert user.questions == ["me is already signed in as ada@example.com. Sign in again and replace that?"]
    assert world.provider.revocations == (["rt-1"] if agrees else [])


def test_the_newest_refresh_token_is_revoked(world: World) -> None:
    keeper = world.signed_in()
    keeper.refresh("me")
    world.settle(keeper)

    keeper.login("me", interaction=world.user)

    assert world.provider.revocations == ["rt-2"]


def test_a_failed_revocation_is_reported_and_not_fatal(world: World) -> None:
    keeper = world.signed_in()
    world.provider.revoke_error = TransientError("no route")

    assert token_of(keeper.login("me", interaction=world.user)) == "at-2"
    assert world.user.notices == ["The sign-in that was replaced is not revoked at the provider: no route"]
    assert token_of(keeper.get("me")) == "at-2"


def test_a_plugin_that_breaks_while_revoking_is_reported_and_not_fatal(world: World) -> None:
    keeper = world.signed_in()
    world.provider.revoke_error = ValueError("rt-1")

    assert token_of(keeper.login("me", interaction=world.user)) == "at-2"
    (notice,) = world.user.notices
    assert "not revoked" in notice
    assert "rt-1" not in notice


def test_a_provider_that_cannot_revoke_is_reported(world: World) -> None:
    world.provider.revocable = False

    world.signed_in().login("me", interaction=world.user)

    (notice,) = world.user.notices
    assert "may still be valid" in notice


def test_a_failed_sign_in_revokes_nothing(world: World) -> None:
    keeper = world.signed_in()
    world.provider.acquire_error = TransientError("no route")

    with pytest.raises(TransientError):
        keeper.login("me", interaction=world.user)
    assert world.provider.revocations == []
    assert token_of(keeper.get("me")) == "at-1"


def test_nothing_is_revoked_while_the_new_sign_in_cannot_be_saved(world: World) -> None:
    keeper = world.signed_in()
    world.store.failing.add("save")
    signing = threading.Thread(target=lambda: keeper.login("me", interaction=world.user))
    signing.start()
    world.clock.wait_until_waiting(1)
    assert world.provider.revocations == []

    world.store.failing.clear()
    world.clock.advance(1)
    signing.join(20)
    assert world.provider.revocations == ["rt-1"]


def test_a_sign_in_that_the_server_no_longer_accepts_is_replaced_without_a_question(world: World) -> None:
    keeper = world.signed_in()
    world.clock.advance(3600)
    world.provider.revoked = True
    with pytest.raises(LoginRequired):
        keeper.get("me")

    world.keeper().login("me", interaction=world.user)

    assert (world.user.questions, world.user.notices) == ([], [])
    assert world.provider.revocations == []


def test_after_signing_out_there_is_nothing_to_replace(world: World) -> None:
    keeper = world.signed_in()
    keeper.logout("me")

    keeper.login("me", interaction=world.user)

    assert world.user.questions == []
    assert world.provider.revocations == ["rt-1"]  # of the sign-out


def test_a_server_that_returns_the_same_refresh_token_is_not_asked_to_revoke_it(world: World) -> None:
    world.provider.single_use = False

    world.signed_in().login("me", interaction=world.user)

    assert world.provider.revocations == []
    assert world.user.notices == []


def test_a_sign_in_for_another_server_is_reported_as_not_revoked(world: World) -> None:
    world.signed_in()
    world.provider.binding = {"client_id": "another-client"}

    world.keeper().login("me", interaction=world.user)

    assert world.user.questions == []
    assert world.provider.revocations == []
    (notice,) = world.user.notices
    assert "different client ID" in notice


# --- a server that ends all sign-ins of an account at once --------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "revoked"),
    [
        (Identity(account="ada"), []),
        (Identity(email="ada@example.com"), []),
        (Identity(), []),
        (Identity(account="bob"), ["rt-1"]),
        (Identity(email="bob@example.com"), ["rt-1"]),
    ],
)
def test_only_another_accounts_sign_in_is_revoked_if_revoking_ends_them_all(
    world: World, account: Identity, revoked: list[str]
) -> None:
    world.provider.revokes_alone = False
    keeper = world.signed_in()
    world.provider.identity = account

    keeper.login("me", interaction=world.user)

    assert world.provider.revocations == revoked
    assert len(world.user.notices) == 1
    assert ("not revoked" in world.user.notices[0]) is (revoked == [])


def test_a_sign_in_that_ended_with_the_old_one_is_repeated_once(world: World) -> None:
    keeper = world.signed_in()
    world.provider.validity = Validity.REFUSED

    newer: Credential = keeper.login("me", interaction=world.user)

    assert token_of(newer) == "at-3"
    assert world.provider.revocations == ["rt-1"]
    assert len(world.user.opened) == 3
    assert "once more" in world.user.notices[-1]
    world.settle(keeper)
    assert token_of(world.keeper().get("me")) == "at-3"
    until(lambda: world.journal[-1] == "load")


@pytest.mark.parametrize("validity", [Validity.VALID, Validity.UNREACHABLE, Validity.UNCHECKABLE, Validity.EXPIRED])
def test_a_sign_in_is_not_repeated_without_a_refusal(world: World, validity: Validity) -> None:
    keeper = world.signed_in()
    world.provider.validity = validity

    assert token_of(keeper.login("me", interaction=world.user)) == "at-2"


def test_another_accounts_sign_in_is_not_repeated(world: World) -> None:
    keeper = world.signed_in()
    world.provider.validity = Validity.REFUSED
    world.provider.identity = evolve(world.provider.identity, account="bob", email="bob@example.com")

    assert token_of(keeper.login("me", interaction=world.user)) == "at-2"
