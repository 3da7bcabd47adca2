"""The encrypted file store: nothing readable without the key, nothing overwritten with a wrong one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from attrs import evolve
from cryptography.hazmat.primitives.kdf import scrypt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freshkey._files import state_file
from freshkey._files.private import create_private
from freshkey._stores.encrypted_file import key as file_key
from freshkey._stores.encrypted_file.store import store
from freshkey.errors import ConfigurationError, StoreUnavailable
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore, Snapshot
from matrix import row
from scripted_items import a_record, an_intent


@pytest.fixture(autouse=True)
def no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRESHKEY_PASSPHRASE", raising=False)


@pytest.fixture
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make guessing cheap; the real cost has a test of its own."""
    monkeypatch.setattr(file_key, "COST", 1 << 10)


@pytest.fixture
def passphrase(monkeypatch: pytest.MonkeyPatch, cheap_scrypt: None) -> None:
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "correct horse")


def opened(profile: Profile, **options: object) -> CredentialStore:
    found: CredentialStore = store(evolve(profile, store_settings=options))
    return found


def kept_files(profile: Profile) -> dict[str, bytes]:
    folder = profile.state_dir / "store"
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def items(profile: Profile) -> list[Path]:
    return sorted(path for path in (profile.state_dir / "store").iterdir() if path.name != "key.json")


def test_with_a_key_file_the_next_process_reads_what_this_one_kept(profile: Profile) -> None:
    kept = opened(profile)
    kept.probe()
    kept.save(a_record(1))
    kept.intend(an_intent(2))

    assert opened(profile).load() == Snapshot(record=a_record(1), intent=an_intent(2))
    assert kept.kind == "file"


@pytest.mark.usefixtures("passphrase")
def test_with_a_passphrase_there_is_no_key_file(profile: Profile) -> None:
    opened(profile).save(a_record(1))

    assert opened(profile).load() == Snapshot(record=a_record(1))
    assert not (profile.state_dir / "file-store.key").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="variables are text there")
@pytest.mark.usefixtures("cheap_scrypt")
def test_a_passphrase_may_be_any_bytes(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", os.fsdecode(b"caf\xe9"))  # UnicodeEncodeError would hold all of it
    opened(profile).save(a_record(1))

    assert opened(profile).load().record == a_record(1)


@pytest.mark.usefixtures("passphrase")
def test_no_file_shows_the_secret_the_passphrase_or_the_key(profile: Profile) -> None:
    opened(profile).save(a_record(1, "sk-canary"))

    everything = b"".join(kept_files(profile).values())
    assert b"canary" not in everything
    assert b"horse" not in everything
    assert b"fk1." not in everything


def test_looking_makes_nothing(profile: Profile) -> None:
    assert opened(profile).load() == Snapshot()
    assert not profile.state_dir.exists()


@row(51, "STO-7")
def test_all_files_are_private_whatever_the_umask(profile: Profile) -> None:
    """STO-7, row 51."""
    before = os.umask(0)
    try:
        with opened(profile).lock(1):
            opened(profile).save(a_record(1))
    finally:
        os.umask(before)

    modes = {path: path.stat().st_mode & 0o777 for path in [profile.state_dir, *profile.state_dir.rglob("*")]}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert len(modes) == 7  # the state directory, store, locks; an item, key.json, the key file and the lock file


def test_the_same_record_is_never_encrypted_alike(profile: Profile) -> None:
    kept = opened(profile)
    kept.save(a_record(1))
    first = items(profile)[0].read_bytes()
    items(profile)[0].unlink()
    kept.save(a_record(1))

    assert items(profile)[0].read_bytes() != first


def test_a_file_cannot_be_passed_off_as_another(profile: Profile) -> None:
    kept = opened(profile)
    kept.save(a_record(1))
    kept.save(a_record(2))
    newer, older = items(profile)
    newer.write_bytes(older.read_bytes())

    assert kept.load() == Snapshot(record=a_record(1), damaged=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(position=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_damage_and_never_another_record(profile: Profile, position: int, bit: int) -> None:
    kept = opened(profile)
    if not profile.state_dir.exists():
        kept.save(a_record(1))
        kept.save(a_record(2))
    path = items(profile)[0]
    good = path.read_bytes()
    bad = bytearray(good)
    bad[position % len(bad)] ^= 1 << bit
    path.write_bytes(bytes(bad))

    assert kept.load() == Snapshot(record=a_record(1), damaged=True)
    path.write_bytes(good)
    assert kept.load() == Snapshot(record=a_record(2))


@pytest.mark.usefixtures("passphrase")
def test_a_wrong_passphrase_reads_and_writes_nothing(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(profile).save(a_record(1))
    before = kept_files(profile)
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "wrong horse")

    wrong = opened(profile)
    for action in (wrong.load, wrong.probe, lambda: wrong.save(a_record(2)), lambda: wrong.intend(an_intent(2))):
        with pytest.raises(StoreUnavailable, match="passphrase in FRESHKEY_PASSPHRASE is not the one") as caught:
            action()
        assert "horse" not in str(caught.value)
    assert kept_files(profile) == before


def test_another_key_file_reads_and_writes_nothing(profile: Profile) -> None:
    opened(profile).save(a_record(1))
    key_file = profile.state_dir / "file-store.key"
    key_file.write_text("A" * 43 + "=\n")

    with pytest.raises(StoreUnavailable, match=r"key file in .*file-store\.key is not the one"):
        opened(profile).load()


def test_a_lost_key_file_is_not_made_anew(profile: Profile) -> None:
    opened(profile).save(a_record(1))
    (profile.state_dir / "file-store.key").unlink()

    for action in (opened(profile).load, opened(profile).probe):
        with pytest.raises(StoreUnavailable, match=r"file-store\.key is missing.*Bring it back"):
            action()
    assert not (profile.state_dir / "file-store.key").exists()


@pytest.mark.parametrize("content", ["", "short", "A" * 100, "é"])
def test_a_key_file_with_something_else_in_it_is_refused(profile: Profile, content: str) -> None:
    opened(profile).save(a_record(1))
    (profile.state_dir / "file-store.key").write_text(content)

    with pytest.raises(StoreUnavailable, match="is no key file"):
        opened(profile).load()


def test_a_key_file_that_others_can_read_is_refused(profile: Profile) -> None:
    opened(profile).save(a_record(1))
    (profile.state_dir / "file-store.key").chmod(0o644)

    with pytest.raises(StoreUnavailable, match="chmod 600"):
        opened(profile).load()


def test_a_key_file_of_ones_own_is_made_where_it_is_wanted(profile: Profile, tmp_path: Path) -> None:
    wanted = tmp_path / "keys.txt"
    opened(profile, key_file=str(wanted)).save(a_record(1))

    assert wanted.stat().st_mode & 0o777 == 0o600
    assert opened(profile, key_file=str(wanted)).load() == Snapshot(record=a_record(1))


@pytest.mark.usefixtures("passphrase")
def test_a_store_begun_with_a_passphrase_asks_for_it(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(profile).save(a_record(1))
    monkeypatch.delenv("FRESHKEY_PASSPHRASE")

    with pytest.raises(StoreUnavailable, match=r"begun with a passphrase.*set FRESHKEY_PASSPHRASE"):
        opened(profile).load()
    with pytest.raises(StoreUnavailable, match=r"needs its passphrase.*FRESHKEY_PASSPHRASE"):
        opened(profile, passphrase_env="FRESHKEY_PASSPHRASE").load()


def test_a_store_begun_with_a_key_file_says_so_to_a_passphrase(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(profile).save(a_record(1))
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "correct horse")

    with pytest.raises(StoreUnavailable, match=r"begun with a key file.*unset FRESHKEY_PASSPHRASE"):
        opened(profile).load()


@pytest.mark.usefixtures("cheap_scrypt")
def test_the_variable_of_the_passphrase_can_have_any_name(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPANY_PASS", "correct horse")
    opened(profile, passphrase_env="COMPANY_PASS").save(a_record(1))

    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "correct horse")
    assert opened(profile).load() == Snapshot(record=a_record(1))


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"kind": "none"}'])
def test_damaged_or_lost_key_information_stops_reading_and_writing(profile: Profile, damage: str) -> None:
    opened(profile).save(a_record(1))
    info = profile.state_dir / "store" / "key.json"
    info.write_text(damage)
    with pytest.raises(StoreUnavailable, match=r"key\.json is damaged"):
        opened(profile).load()

    info.unlink()
    for action in (opened(profile).load, opened(profile).probe):
        with pytest.raises(StoreUnavailable, match=r"key\.json is missing"):
            action()


@pytest.mark.usefixtures("passphrase")
@pytest.mark.parametrize(
    "changed",
    [{"n": 1 << 30}, {"r": 1 << 20}, {"p": 10_000}, {"n": True}, {"n": 3}, {"salt": "é"}, {"salt": 5}, {"schema": 2}],
)
def test_key_information_cannot_ask_for_all_memory_or_for_nonsense(
    profile: Profile, changed: dict[str, object]
) -> None:
    opened(profile).save(a_record(1))
    info = profile.state_dir / "store" / "key.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | changed))

    with pytest.raises(StoreUnavailable, match="is damaged"):
        opened(profile).load()


@pytest.mark.usefixtures("passphrase")
@pytest.mark.parametrize("changed", [{"n": 1 << 19}, {"n": 1 << 20, "r": 32}, {"n": 1 << 17, "r": 8, "p": 3}])
def test_key_information_that_asks_for_too_much_memory_is_refused_before_it_is_taken(
    profile: Profile, changed: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(profile).save(a_record(1))
    info = profile.state_dir / "store" / "key.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | changed))
    monkeypatch.setattr(scrypt.Scrypt, "derive", None)

    with pytest.raises(StoreUnavailable, match=r"key\.json asks for \d+ MiB .* more than the 256 MiB .*Bring it back"):
        opened(profile).load()


@pytest.mark.usefixtures("passphrase")
def test_key_information_may_ask_for_as_much_memory_as_there_is_for_it(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(profile).save(a_record(1))
    monkeypatch.setattr(file_key, "MAX_MEMORY", 1 << 20)  # 128 · 1,024 · 8

    assert opened(profile).load() == Snapshot(record=a_record(1))


def test_guessing_a_passphrase_costs_what_it_should(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "correct horse")
    opened(profile).probe()

    info = json.loads((profile.state_dir / "store" / "key.json").read_text())
    assert (info["n"], info["r"], info["p"]) == (2**17, 8, 1)
    assert len(info["salt"]) == 24


def test_two_profiles_share_the_key_and_nothing_else(profile: Profile) -> None:
    opened(profile).save(a_record(1))
    other = evolve(profile, name="../you")
    opened(other).save(a_record(5))

    assert opened(profile).load() == Snapshot(record=a_record(1))
    assert opened(other).load() == Snapshot(record=a_record(5))


def test_two_first_writers_agree_on_one_key(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = opened(profile), opened(evolve(profile, name="you"))
    made: list[Path] = []

    def overtaken(path: Path, data: bytes) -> bool:
        if not made:
            made.append(path)
            second.save(a_record(1))
        return create_private(path, data)

    monkeypatch.setattr(state_file, "create_private", overtaken)
    first.save(a_record(1))

    assert opened(profile).load() == opened(evolve(profile, name="you")).load() == Snapshot(record=a_record(1))


def test_a_state_directory_that_others_can_write_to_is_refused(profile: Profile) -> None:
    """Row 50."""
    opened(profile).save(a_record(1))
    profile.state_dir.chmod(0o777)

    for action in (opened(profile).load, lambda: opened(profile).save(a_record(2))):
        with pytest.raises(StoreUnavailable, match="chmod 700"):
            action()


def test_signing_out_leaves_one_file_without_a_secret(profile: Profile) -> None:
    kept = opened(profile)
    kept.save(a_record(1))
    kept.save(a_record(2))
    kept.save(a_record(3, payload=None))

    assert [path.name[-3:] for path in items(profile)] == ["1.0"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keyfile": "x"}, "no setting 'stores.file.keyfile'.*Did you mean 'key_file'"),
        ({"key_file": 5}, "'stores.file.key_file' must be a string"),
        ({"key_file": "keys/freshkey.key"}, "'stores.file.key_file' must be an absolute path"),
        ({"key_file": "~nobody-of-that-name/key"}, "'stores.file.key_file' must be an absolute path"),
        ({"key_file": "x", "passphrase_env": "Y"}, "both passphrase_env and key_file"),
    ],
)
def test_a_wrong_setting_is_a_configuration_error(profile: Profile, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        opened(profile, **options)


def test_without_cryptography_the_command_that_installs_it_is_named(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'freshkey\[file\]'"):
        opened(profile)


def test_the_key_does_not_show(tmp_path: Path) -> None:  # LEK-1
    key = file_key.FileKey(
        directory=tmp_path / "store",
        origin=file_key.KEY_FILE,
        passphrase=None,
        passphrase_env="",
        key_file=tmp_path / "key",
    )
    (tmp_path / "store").mkdir(mode=0o700)
    made = key.make()
    assert repr(made) not in repr(key)
