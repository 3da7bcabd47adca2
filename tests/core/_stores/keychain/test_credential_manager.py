"""Windows Credential Manager: one entry for each item, and errors that say what to do; the real one on Windows."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from keyring.backends import Windows

import credential_manager
from credential_manager import GENERIC, MAX_NAME, MAX_USER_NAME, entries
from freshkey._accounts.import_key import ForeignItem
from freshkey._stores.keychain import store as keychain_store
from freshkey._stores.keychain.backends import open_backend
from freshkey._stores.keychain.session import CREDENTIAL_MANAGER
from freshkey._stores.keychain.store import KeyringItems, service_prefix, store
from freshkey._stores.records.chunks import MAX_ITEMS
from freshkey._stores.records.slots import ASIDE
from freshkey.errors import ConfigurationError, StoreUnavailable
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore, Snapshot
from promises import proves
from raises_code import raises_code
from scripted_items import a_record, an_intent


@pytest.fixture(autouse=True)
def windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use Credential Manager, with small items, as freshkey does on Windows."""
    (tmp_path / "entries").mkdir()
    credential_manager.use(tmp_path / "entries", monkeypatch)


@pytest.fixture
def name() -> Iterator[str]:
    """A name of entries that no one else uses; they are deleted at the end."""
    name = f"freshkey-test-{uuid.uuid4().hex}"
    yield name
    credential_manager.clear(name)


@pytest.fixture
def mine(profile: Profile) -> Iterator[Profile]:
    """A profile whose entries are deleted at the end."""
    yield profile
    credential_manager.clear(service_prefix(profile).split(":")[1])


def opened(profile: Profile, **settings: object) -> CredentialStore:
    found: CredentialStore = store(evolve(profile, store_settings={"timeout": 30.0, **settings}))
    return found


def calls() -> Any:
    library: Any = Windows
    return library.win32cred


def unchanged() -> Any:
    """Return the backend as it comes from keyring."""
    library: Any = Windows
    return library.WinVaultKeyring()


def kept(profile: Profile) -> list[str]:
    """Return the names of the profile's entries, without the prefix that each should have."""
    prefix = service_prefix(profile)
    return [each.replace(prefix, "") for each in entries(prefix.split(":")[1])]


@proves("FAULT-10", "STO-5", "STO-6")
def test_each_item_has_one_entry_however_often_it_is_replaced(mine: Profile) -> None:
    held = opened(mine)
    held.probe()
    for generation in range(1, 6):
        held.intend(an_intent(generation))
        held.save(a_record(generation, "x" * 5000))
        assert opened(mine).load() == Snapshot(record=a_record(generation, "x" * 5000))
    count = len(kept(mine)) // 2

    assert kept(mine) == sorted(f"{slot}.{index}" for slot in (0, 1) for index in range(count))


@proves("STO-10")
def test_sign_out_leaves_no_entry_with_a_secret(mine: Profile) -> None:
    held = opened(mine)
    for generation in (1, 2, 3):
        held.intend(an_intent(generation))
        held.save(a_record(generation, "x" * 5000))
    held.save(a_record(4, None))

    assert kept(mine) == ["0.0"]
    held.forget()  # type: ignore[attr-defined]
    assert kept(mine) == []


@pytest.mark.parametrize("named", [False, True])
def test_copies_of_keyring_go_with_the_next_write_or_the_item(mine: Profile, named: bool) -> None:
    """They are in the way of no one, but each contains a secret; nothing else removes them."""
    original = unchanged()
    for value in ("old", "older"):
        for item in ("0.0", "1.0", "1.1"):
            original.set_password(service_prefix(mine) + item, "me", value)
    assert len(kept(mine)) == 6

    held = opened(mine, **({"backend": CREDENTIAL_MANAGER} if named else {}))
    held.save(a_record(1))
    held.save(a_record(2))
    assert held.load() == Snapshot(record=a_record(2))
    held.save(a_record(3, None))

    assert kept(mine) == ["1.0"]


def test_copy_of_keyring_is_deleted_before_the_entry_so_that_it_is_never_read(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = unchanged()
    original.set_password(name, "me", "old")
    original.set_password(name, "me", "new")
    gone = []
    delete = calls().CredDelete

    def noting(target: str, kind: int) -> None:
        delete(target, kind)
        gone.append((target, original.get_password(name, "me")))

    monkeypatch.setattr(calls(), "CredDelete", noting)
    backend = open_backend()
    backend.delete_password(name, "me")

    assert gone == [(f"me@{name}", "new"), (name, None)]


def test_entries_of_another_user_name_are_not_deleted(name: str) -> None:
    original = unchanged()
    original.set_password(name, "me", "mine")
    original.set_password(f"me@{name}", "someone", "theirs")
    original.set_password(f"{name}-2", "someone", "theirs, too")

    KeyringItems(name, "me", worker=keychain_store.WORKER).delete("")
    KeyringItems(f"{name}-2", "me", worker=keychain_store.WORKER).delete("")

    assert entries(name) == sorted([f"{name}-2", f"me@{name}"])


@pytest.mark.parametrize("named", [None, CREDENTIAL_MANAGER])
def test_entries_stay_on_this_computer(name: str, named: str | None) -> None:
    open_backend(named).set_password(name, "me", "value")

    assert calls().CredRead(name, GENERIC)["Persist"] == calls().CRED_PERSIST_LOCAL_MACHINE


def test_named_backend_may_be_told_by_the_environment_to_copy_entries_to_other_computers(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYRING_PROPERTY_PERSIST", "enterprise")
    for named, expected in ((None, "LOCAL_MACHINE"), (CREDENTIAL_MANAGER, "ENTERPRISE")):
        open_backend(named).set_password(name, "me", "value")
        assert calls().CredRead(name, GENERIC)["Persist"] == getattr(calls(), f"CRED_PERSIST_{expected}")


@pytest.mark.skipif(sys.platform != "win32", reason="only Credential Manager ignores the case of names")
def test_profiles_whose_names_differ_only_in_case_have_their_own_items(mine: Profile) -> None:
    found = [evolve(mine, name=each) for each in ("me", "Me", "ME")]
    for generation, each in enumerate(found, start=1):
        opened(each).save(a_record(generation))

    assert [opened(each).load().generation for each in found] == [1, 2, 3]
    assert len({service_prefix(each).lower() for each in found}) == 3
    assert service_prefix(mine).endswith(":me:")


def test_freshkeys_own_items_are_reserved_in_any_case(profile: Profile) -> None:
    with raises_code(ConfigurationError, "reserved-keychain-item"):
        ForeignItem.of(profile, "FreshKey:0:me:1.0", "me", {})


def test_longest_names_of_items_are_within_the_limits(profile: Profile, tmp_path: Path) -> None:
    longest = evolve(profile, name="M" * 64, project_dir=tmp_path)
    service = f"{service_prefix(longest)}{ASIDE}.{MAX_ITEMS}"

    assert len(f"{longest.key}@{service}") < 256 < MAX_NAME
    assert len(longest.key) < MAX_USER_NAME


@pytest.mark.parametrize(("service", "username"), [("", "jürgen"), (" Ключ €𝄞", "Жанна@example.com"), ("", "")])
@pytest.mark.filterwarnings("ignore:Empty usernames")
def test_item_of_another_program_with_any_name_is_read_and_deleted(
    name: str, profile: Profile, service: str, username: str
) -> None:
    unchanged().set_password(name + service, username, "schlüssel-🔑")
    found = ForeignItem.of(profile, name + service, username, {})
    secret = found.read()
    assert secret is not None
    assert secret.reveal() == "schlüssel-🔑"

    found.delete(secret)
    assert found.read() is None
    assert entries(name) == []


def test_item_that_is_no_text_counts_as_damaged_and_is_replaced(mine: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """keyring raises UnicodeDecodeError for an entry that is neither UTF-16 nor UTF-8."""
    held = opened(mine)
    held.save(a_record(1))
    read = calls().CredRead
    broken = service_prefix(mine) + "1.0"

    def read_broken(TargetName: str, Type: int) -> dict[str, Any]:  # noqa: N803  as of Windows
        found: dict[str, Any] = read(TargetName, Type)
        return {**found, "CredentialBlob": b"\xff\xd8\xd8"} if TargetName == broken else found

    monkeypatch.setattr(calls(), "CredRead", read_broken)
    assert opened(mine).load() == Snapshot(damaged=True)
    monkeypatch.setattr(calls(), "CredRead", read)
    assert opened(mine).load() == Snapshot(record=a_record(1))


@pytest.mark.parametrize("number", [2, 1015])
def test_part_of_an_entry_counts_as_damaged_and_is_removed(
    mine: Profile, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A writer that was killed leaves one in Wine."""
    library: Any = Windows
    held = opened(mine)
    held.save(a_record(1))
    held.save(a_record(2))
    read, broken = calls().CredRead, service_prefix(mine) + "0.0"
    deleting: list[str] = []
    delete = calls().CredDelete

    def read_part(TargetName: str, Type: int) -> dict[str, Any]:  # noqa: N803  as of Windows
        if TargetName == broken and not deleting:
            raise library.pywintypes.error(number, "CredRead", "")
        found: dict[str, Any] = read(TargetName, Type)
        return found

    def delete_part(TargetName: str, Type: int) -> None:  # noqa: N803  as of Windows
        deleting.append(TargetName)  # the double reads what it deletes
        delete(TargetName, Type)

    with monkeypatch.context() as torn:
        torn.setattr(calls(), "CredRead", read_part)
        torn.setattr(calls(), "CredDelete", delete_part)
        assert opened(mine).load().record == a_record(1)
        KeyringItems(service_prefix(mine), mine.key, worker=keychain_store.WORKER).delete("0.0")
    with pytest.raises(library.pywintypes.error):
        read(broken, calls().CRED_TYPE_GENERIC)


@pytest.mark.parametrize(
    ("number", "code", "facts"),
    [
        (1312, "no-keychain", ["desktop session", 'store = "file"']),
        (8, "keychain-failed", ["Windows error 8", "no room", "no longer need", 'store = "file"']),
        (1783, "keychain-failed", ["Windows error 1783", "limits the size", 'store = "file"']),
        (87, "keychain-failed", ["Windows error 87", "limits the size"]),
        (5, "keychain-failed", ["Windows error 5", "denied access"]),
        (1722, "keychain-failed", ["Windows error 1722", "net helpmsg 1722", 'store = "file"']),
    ],
)
@pytest.mark.parametrize("call", ["CredRead", "CredWrite", "CredDelete"])
def test_error_of_windows_gets_a_code_and_a_hint(
    mine: Profile, monkeypatch: pytest.MonkeyPatch, call: str, number: int, *, code: str, facts: list[str]
) -> None:
    library: Any = Windows
    held = opened(mine)
    held.save(a_record(1))
    held.save(a_record(2))

    def fail(*_arguments: object, **_named: object) -> None:
        raise library.pywintypes.error(number, call, "sk-canary")

    with monkeypatch.context() as broken, raises_code(StoreUnavailable, code) as caught:
        broken.setattr(calls(), call, fail)
        held.save(a_record(3, None))

    assert [fact for fact in facts if fact not in str(caught.value)] == []
    assert "sk-canary" not in str(caught.value)
    assert caught.value.absent == (number == 1312)
    assert caught.value.__context__ is None


def test_item_that_is_too_large_for_windows_is_refused_with_the_reason(name: str) -> None:
    items = KeyringItems(name, "me", worker=keychain_store.WORKER)
    items.set("", "x" * 1280)
    with raises_code(StoreUnavailable, "keychain-failed") as caught:
        items.set("", "x" * 1281)

    assert "1783" in caught.value.message
    assert items.get("") == "x" * 1280
