"""A store that was put back to an older copy: its refresh token was used, and is not sent again."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from attrs import evolve

from freshkey._interprocess.hints import HintsFile
from freshkey._renewal.known import MAX_GENERATION
from freshkey._renewal.seen import Mark
from freshkey.errors import LoginRequired
from freshkey.keeper import Keeper
from promises import proves
from raises_code import raises_code
from rotating import User, World, expire, hints, snapshot, token_of


OUTDATED = "stored-sign-in-outdated"


def renewed(world: World, times: int) -> tuple[Keeper, list[dict[str, str]]]:
    """Sign in and renew; return the keeper and what the store contained after each of these."""
    keeper = world.signed_in()
    copies = [world.store.contents]
    for _ in range(times):
        keeper.refresh("me")
        world.settle(keeper)
        copies.append(world.store.contents)
    world.provider.sent.clear()
    return keeper, copies


def put_back(world: World, copy: dict[str, str]) -> None:
    world.store.items._values = dict(copy)


def delete_hints(world: World) -> None:
    for path in (world.state_dir / "hints").iterdir():
        path.unlink()


def ask(keeper: Keeper) -> Callable[[], object]:
    return lambda: keeper.get("me")


@proves("STO-12")
@pytest.mark.parametrize("to", [0, 1, 2])
def test_token_of_a_store_that_was_put_back_is_not_sent(world: World, to: int) -> None:
    _, copies = renewed(world, 3)
    put_back(world, copies[to])
    fresh = world.keeper()
    assert token_of(fresh.get("me")) == f"at-{to + 1}", "its access token is served until it expires"
    for act in (fresh.refresh, world.keeper().refresh):
        with raises_code(LoginRequired, OUTDATED) as caught:
            act("me")
        assert caught.value.hint == "Run: freshkey login me"
    expire(world)
    with raises_code(LoginRequired, OUTDATED):
        world.keeper().get("me")
    assert (world.provider.sent, world.provider.revoked) == ([], False)
    assert world.keeper().status("me").sign_in_code == OUTDATED


@proves("STO-12")
def test_next_sign_in_is_numbered_above_what_is_known(world: World) -> None:
    keeper, copies = renewed(world, 2)
    put_back(world, copies[0])
    another = world.keeper()
    with raises_code(LoginRequired, OUTDATED):
        another.refresh("me")
    user = User()
    another.login("me", interaction=user)
    assert user.questions == [], "what cannot be renewed is not asked about"
    assert snapshot(world).generation == 4
    another.refresh("me")
    assert (snapshot(world).generation, hints(world).generation) == (5, 5)
    assert token_of(keeper.refresh("me")) == "at-6"


def test_record_that_is_there_stays_until_the_next_one_is_complete(world: World) -> None:
    _, copies = renewed(world, 3)
    put_back(world, copies[1])
    world.keeper().login("me", interaction=User())
    assert snapshot(world).generation == 5
    assert any(item.startswith("0.") for item in world.store.contents), "generation 2"


@proves("STO-12")
def test_newer_copy_that_is_put_back_works_again(world: World) -> None:
    _, copies = renewed(world, 2)
    put_back(world, copies[0])
    keeper = world.keeper()
    with raises_code(LoginRequired, OUTDATED):
        keeper.refresh("me")
    put_back(world, copies[2])
    keeper.refresh("me")
    assert world.provider.sent == ["rt-3"]


@proves("STO-12")
def test_process_that_saw_the_newer_record_needs_no_hints(world: World) -> None:
    keeper, copies = renewed(world, 2)
    put_back(world, copies[0])
    delete_hints(world)
    with raises_code(LoginRequired, OUTDATED):
        keeper.refresh("me")
    assert world.provider.sent == []


def switch(world: World, keychain: str, contents: dict[str, str]) -> Keeper:
    """Begin a session that has another keychain under the same state directory."""
    world.store.identity = keychain
    put_back(world, contents)
    return world.keeper()


@proves("STO-12")
@pytest.mark.parametrize("ends", [False, True], ids=["sign-in", "sign-out"])
def test_keychain_of_another_session_makes_no_sign_in_outdated(world: World, ends: bool) -> None:
    world.store.identity = "gnome"
    _, copies = renewed(world, 1)
    desktop = copies[1]

    other = switch(world, "kde", {})
    other.login("me", interaction=User())
    other.refresh("me")
    if ends:
        other.logout("me")
    elsewhere = world.store.contents
    world.provider.sent.clear()

    expire(world)
    switch(world, "gnome", desktop).get("me")
    assert world.provider.sent == ["rt-2"], "it belongs to its own sign-in, and was never sent"

    outdated = switch(world, "gnome", desktop)
    with raises_code(LoginRequired, OUTDATED):
        outdated.refresh("me")
    back = switch(world, "kde", elsewhere)
    if ends:
        with raises_code(LoginRequired, "no-credential-found"):
            back.get("me")
        return
    back.refresh("me")
    back = switch(world, "kde", elsewhere)
    with raises_code(LoginRequired, OUTDATED):
        back.refresh("me")


@proves("STO-12")
def test_hints_of_an_older_version_count_for_every_keychain(world: World) -> None:
    world.store.identity = "gnome"
    _, copies = renewed(world, 2)
    file = HintsFile(world.state_dir, "me")
    file.write(evolve(file.read(), store=""))
    put_back(world, copies[0])
    with raises_code(LoginRequired, OUTDATED):
        world.keeper().refresh("me")


def test_process_that_saw_a_record_accepts_a_later_sign_in_that_starts_over(world: World) -> None:
    keeper, _ = renewed(world, 2)
    put_back(world, {})
    delete_hints(world)
    world.clock.advance(60.0)
    world.keeper().login("me", interaction=User())
    assert snapshot(world).generation == 1
    keeper.refresh("me")
    assert world.provider.sent == ["rt-4"]


def test_without_hints_and_memory_no_one_can_know(world: World) -> None:
    _, copies = renewed(world, 1)
    put_back(world, copies[0])
    delete_hints(world)
    with pytest.raises(LoginRequired):
        world.keeper().refresh("me")
    assert world.provider.sent == ["rt-1"]


@proves("STO-12")
def test_intent_in_the_copy_does_not_allow_a_sending(world: World) -> None:
    keeper = world.signed_in()
    copies = []
    world.provider.script.append(lambda: copies.append(world.store.contents))
    keeper.refresh("me")
    world.settle(keeper)
    world.provider.sent.clear()
    put_back(world, copies[0])
    assert snapshot(world).intent is not None
    with raises_code(LoginRequired, OUTDATED):
        world.keeper().refresh("me")
    assert world.provider.sent == []


@proves("STO-12")
@pytest.mark.parametrize(("behind", "sent"), [(1, ["rt-3"]), (2, [])])
def test_damaged_record_is_a_trace_of_what_replaced_the_one_before_it(
    world: World, behind: int, sent: list[str]
) -> None:
    _, copies = renewed(world, 3)
    put_back(world, copies[3 - behind])
    newer = {name for name in world.store.contents if name.startswith(f"{(4 - behind + 1) % 2}.")}
    for name in newer or {f"{(4 - behind + 1) % 2}.0"}:
        world.store.items.set(name, "damaged")
    with pytest.raises(LoginRequired):
        world.keeper().refresh("me")
    assert world.provider.sent == sent


@proves("STO-12")
@pytest.mark.parametrize("single_use", [True, False])
@pytest.mark.parametrize("by_memory", [True, False])
def test_sign_in_that_the_user_ended_is_not_revived(world: World, single_use: bool, by_memory: bool) -> None:
    world.provider.single_use = single_use
    keeper, copies = renewed(world, 1)
    keeper.logout("me")
    world.provider.revocations.clear()
    put_back(world, copies[1])
    if by_memory:
        delete_hints(world)
    reader = keeper if by_memory else world.keeper()
    for act in (reader.get, reader.refresh):
        with raises_code(LoginRequired, "no-credential-found"):
            act("me")
    assert world.provider.sent == []
    user = User()
    reader.login("me", interaction=user)
    assert user.questions == []
    assert snapshot(world).generation > 3
    reader.refresh("me")


def test_sign_out_revokes_what_was_put_back_and_deletes_it(world: World) -> None:
    keeper, copies = renewed(world, 1)
    keeper.logout("me")
    put_back(world, copies[1])
    assert world.keeper().logout("me").revoked is True
    there = snapshot(world)
    assert there.generation > 3
    assert there.payload is None


@proves("STO-12")
def test_token_that_can_be_used_again_is_sent(world: World) -> None:
    world.provider.single_use = False
    _, copies = renewed(world, 2)
    put_back(world, copies[0])
    world.keeper().refresh("me")
    assert world.provider.sent == ["rt-1"]
    assert snapshot(world).generation == 4


@proves("STO-12")
def test_what_is_known_of_one_store_says_nothing_about_another(world: World) -> None:
    keeper, copies = renewed(world, 2)
    kept = world.store.contents
    put_back(world, {})
    world.store.kind = "another"
    keeper = world.keeper()
    keeper.login("me", interaction=User())
    assert snapshot(world).generation == 1
    keeper.refresh("me")
    world.provider.sent.clear()
    world.store.kind = "failing"
    put_back(world, kept)
    world.keeper().login("me", interaction=User())
    assert snapshot(world).generation == 4
    put_back(world, copies[0])
    with raises_code(LoginRequired, OUTDATED):
        world.keeper().refresh("me")
    assert world.provider.sent == []


@proves("STO-12")
def test_hints_of_an_older_version_apply_to_the_store_in_use(world: World) -> None:
    _, copies = renewed(world, 2)
    (path,) = (world.state_dir / "hints").iterdir()
    said = json.loads(path.read_text("utf-8"))
    del said["store"], said["elsewhere"]
    path.write_text(json.dumps(said), "utf-8")
    put_back(world, copies[0])
    with raises_code(LoginRequired, OUTDATED):
        world.keeper().refresh("me")
    assert world.provider.sent == []


@pytest.mark.parametrize("generation", [MAX_GENERATION + 1, -1])
def test_absurd_hints_do_not_lock_anyone_out(world: World, generation: int) -> None:
    renewed(world, 1)
    file = HintsFile(world.state_dir, "me")
    file.write(file.read().with_saved("", generation, signed_out=False))
    world.keeper().refresh("me")
    assert world.provider.sent == ["rt-2"]
    assert Mark().generation == 0
