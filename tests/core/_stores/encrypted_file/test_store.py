"""The encrypted file store: unreadable without the key, and never overwritten with a wrong one."""

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
from freshkey._text.shell_words import install_command
from freshkey.errors import ConfigurationError, StoreUnavailable
from freshkey.model.profile import Profile
from freshkey.model.storage import CredentialStore, Snapshot
from promises import proves
from raises_code import raises_code
from scripted_items import a_record, an_intent


@pytest.fixture(autouse=True)
def no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRESHKEY_PASSPHRASE", raising=False)


@pytest.fixture
def cheap_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make key derivation fast; a separate test checks the real cost."""
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


def test_another_store_object_reads_the_records_with_the_key_file(profile: Profile) -> None:
    kept = opened(profile)
    kept.probe()
    kept.save(a_record(1))
    kept.intend(an_intent(2))

    assert opened(profile).load() == Snapshot(record=a_record(1), intent=an_intent(2))
    assert kept.kind == "file"


@pytest.mark.usefixtures("passphrase")
def test_no_key_file_is_created_with_a_passphrase(profile: Profile) -> None:
    opened(profile).save(a_record(1))

    assert opened(profile).load() == Snapshot(record=a_record(1))
    assert not (profile.state_dir / "file-store.key").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="environment variables are text there")
@pytest.mark.usefixtures("cheap_scrypt")
def test_passphrase_may_be_any_bytes(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", os.fsdecode(b"caf\xe9"))  # a UnicodeEncodeError would contain all of it
    opened(profile).save(a_record(1))

    assert opened(profile).load().record == a_record(1)


EMPTY = ["", " ", "\n", "\r\n", "\t", " \n ", "\u00a0", "\u200b", "\ufeff", "\u2028", "\x01"]


@proves("STO-1")
@pytest.mark.usefixtures("cheap_scrypt")
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("value", EMPTY)
def test_passphrase_without_a_character_is_an_error_and_creates_nothing(
    profile: Profile, monkeypatch: pytest.MonkeyPatch, value: str, *, named: bool
) -> None:
    variable = "VAULT" if named else "FRESHKEY_PASSPHRASE"
    monkeypatch.setenv(variable, value)
    kept = opened(profile, **({"passphrase_env": "VAULT"} if named else {}))
    for act in (kept.probe, lambda: kept.save(a_record(1)), lambda: kept.intend(an_intent(1))):
        with raises_code(StoreUnavailable, "file-store-passphrase-empty") as caught:
            act()
    assert variable in caught.value.message
    assert kept_files(profile) == {}
    assert not (profile.state_dir / "file-store.key").exists()


@pytest.mark.usefixtures("cheap_scrypt")
@pytest.mark.parametrize("before", [None, "correct horse"])
def test_existing_store_is_not_opened_with_a_passphrase_without_a_character(
    profile: Profile, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    if before is not None:
        monkeypatch.setenv("FRESHKEY_PASSPHRASE", before)
    opened(profile).save(a_record(1))
    kept = kept_files(profile)
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "\n")
    with raises_code(StoreUnavailable, "file-store-passphrase-empty"):
        opened(profile).load()
    with raises_code(StoreUnavailable, "file-store-passphrase-empty"):
        opened(profile).save(a_record(2))
    assert kept_files(profile) == kept


@pytest.mark.usefixtures("cheap_scrypt")
def test_empty_variable_does_not_matter_where_a_key_file_is_configured(
    profile: Profile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "")
    options = {"key_file": str(tmp_path / "key")}
    opened(profile, **options).save(a_record(1))
    assert opened(profile, **options).load() == Snapshot(record=a_record(1))


@pytest.mark.usefixtures("passphrase")
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_line_break_at_the_end_of_a_passphrase_does_not_matter(
    profile: Profile, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    opened(profile).save(a_record(1))
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "correct horse" + ending)
    assert opened(profile).load() == Snapshot(record=a_record(1))


@pytest.mark.usefixtures("passphrase")
def test_store_of_version_0_1_whose_passphrase_ends_in_a_line_break_opens(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "correct horse\n")
    with monkeypatch.context() as as_before:
        as_before.setattr(file_key.FileKey, "_passphrases", property(lambda self: (self._passphrase,)))
        opened(profile).save(a_record(1))
    assert opened(profile).load() == Snapshot(record=a_record(1))
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "correct horse")
    with raises_code(StoreUnavailable, "file-store-key-mismatch"):
        opened(profile).load()


@pytest.mark.usefixtures("passphrase")
def test_files_do_not_show_the_secret_or_the_passphrase(profile: Profile) -> None:
    opened(profile).save(a_record(1, "sk-canary"))

    everything = b"".join(kept_files(profile).values())
    assert b"canary" not in everything
    assert b"horse" not in everything
    assert b"fk1." not in everything


def test_reading_creates_no_files(profile: Profile) -> None:
    assert opened(profile).load() == Snapshot()
    assert not profile.state_dir.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes; folders of a user are private there")
@proves("FAULT-51", "STO-7")
def test_all_files_are_private_whatever_the_umask(profile: Profile) -> None:
    """STO-7, FAULT-51."""
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


def test_same_record_is_encrypted_differently_each_time(profile: Profile) -> None:
    kept = opened(profile)
    kept.save(a_record(1))
    first = items(profile)[0].read_bytes()
    items(profile)[0].unlink()
    kept.save(a_record(1))

    assert items(profile)[0].read_bytes() != first


def test_swapped_files_are_detected(profile: Profile) -> None:
    kept = opened(profile)
    kept.save(a_record(1))
    kept.save(a_record(2))
    newer, older = items(profile)
    newer.write_bytes(older.read_bytes())

    assert kept.load() == Snapshot(record=a_record(1), damaged=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(position=st.integers(0), bit=st.integers(0, 7))
def test_flipped_bit_is_damage_and_never_another_record(profile: Profile, position: int, bit: int) -> None:
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
def test_wrong_passphrase_reads_and_writes_nothing(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(profile).save(a_record(1))
    before = kept_files(profile)
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "wrong horse")

    wrong = opened(profile)
    for action in (wrong.load, wrong.probe, lambda: wrong.save(a_record(2)), lambda: wrong.intend(an_intent(2))):
        with raises_code(StoreUnavailable, "file-store-key-mismatch") as caught:
            action()
        assert "FRESHKEY_PASSPHRASE" in str(caught.value)
        assert "horse" not in str(caught.value)
    assert kept_files(profile) == before


def test_different_key_file_reads_and_writes_nothing(profile: Profile) -> None:
    opened(profile).save(a_record(1))
    key_file = profile.state_dir / "file-store.key"
    key_file.write_text("A" * 43 + "=\n")

    with raises_code(StoreUnavailable, "file-store-key-mismatch") as caught:
        opened(profile).load()
    assert str(key_file) in str(caught.value)


def test_missing_key_file_is_not_recreated(profile: Profile) -> None:
    opened(profile).save(a_record(1))
    key_file = profile.state_dir / "file-store.key"
    key_file.unlink()

    for action in (opened(profile).load, opened(profile).probe):
        with raises_code(StoreUnavailable, "file-store-key-unusable") as caught:
            action()
        assert str(key_file) in str(caught.value)
    assert not key_file.exists()


@pytest.mark.parametrize("content", ["", "short", "A" * 100, "é"])
def test_key_file_with_invalid_content_is_refused(profile: Profile, content: str) -> None:
    opened(profile).save(a_record(1))
    (profile.state_dir / "file-store.key").write_text(content)

    with raises_code(StoreUnavailable, "file-store-key-unusable") as caught:
        opened(profile).load()
    assert "32 bytes" in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes; folders of a user are private there")
def test_key_file_that_others_can_read_is_refused(profile: Profile) -> None:
    opened(profile).save(a_record(1))
    key_file = profile.state_dir / "file-store.key"
    key_file.chmod(0o644)

    with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
        opened(profile).load()
    assert f"chmod 600 {key_file}" in str(caught.value)


def test_key_file_setting_chooses_where_the_key_file_is_created(profile: Profile, tmp_path: Path) -> None:
    chosen = tmp_path / "keys.txt"
    opened(profile, key_file=str(chosen)).save(a_record(1))

    if sys.platform != "win32":
        assert chosen.stat().st_mode & 0o777 == 0o600
    assert opened(profile, key_file=str(chosen)).load() == Snapshot(record=a_record(1))


@pytest.mark.usefixtures("passphrase")
def test_store_created_with_a_passphrase_requires_it(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(profile).save(a_record(1))
    monkeypatch.delenv("FRESHKEY_PASSPHRASE")

    with raises_code(StoreUnavailable, "file-store-key-mismatch") as caught:
        opened(profile).load()
    assert "Set FRESHKEY_PASSPHRASE" in str(caught.value)
    with raises_code(StoreUnavailable, "file-store-passphrase-missing") as caught:
        opened(profile, passphrase_env="FRESHKEY_PASSPHRASE").load()
    assert "FRESHKEY_PASSPHRASE" in str(caught.value)


def test_store_created_with_a_key_file_refuses_a_passphrase(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(profile).save(a_record(1))
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "correct horse")

    with raises_code(StoreUnavailable, "file-store-key-mismatch") as caught:
        opened(profile).load()
    assert "Unset FRESHKEY_PASSPHRASE" in str(caught.value)


@pytest.mark.usefixtures("cheap_scrypt")
def test_passphrase_variable_can_have_any_name(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPANY_PASS", "correct horse")
    opened(profile, passphrase_env="COMPANY_PASS").save(a_record(1))

    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "correct horse")
    assert opened(profile).load() == Snapshot(record=a_record(1))


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"kind": "none"}'])
def test_damaged_or_missing_key_json_stops_reading_and_writing(profile: Profile, damage: str) -> None:
    opened(profile).save(a_record(1))
    info = profile.state_dir / "store" / "key.json"
    info.write_text(damage)
    with raises_code(StoreUnavailable, "file-store-key-unusable") as caught:
        opened(profile).load()
    assert f"{info} is damaged" in str(caught.value)

    info.unlink()
    for action in (opened(profile).load, opened(profile).probe):
        with raises_code(StoreUnavailable, "file-store-key-unusable") as caught:
            action()
        assert f"{info} is missing" in str(caught.value)


@pytest.mark.usefixtures("passphrase")
@pytest.mark.parametrize(
    "changed",
    [{"n": 1 << 30}, {"r": 1 << 20}, {"p": 10_000}, {"n": True}, {"n": 3}, {"salt": "é"}, {"salt": 5}, {"schema": 2}],
)
def test_key_json_with_invalid_values_is_refused(profile: Profile, changed: dict[str, object]) -> None:
    opened(profile).save(a_record(1))
    info = profile.state_dir / "store" / "key.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | changed))

    with raises_code(StoreUnavailable, "file-store-key-unusable") as caught:
        opened(profile).load()
    assert f"{info} is damaged" in str(caught.value)


@pytest.mark.usefixtures("passphrase")
@pytest.mark.parametrize("changed", [{"n": 1 << 19}, {"n": 1 << 20, "r": 32}, {"n": 1 << 17, "r": 8, "p": 3}])
def test_key_json_that_requires_too_much_memory_is_refused_before_scrypt_runs(
    profile: Profile, changed: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(profile).save(a_record(1))
    info = profile.state_dir / "store" / "key.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | changed))
    monkeypatch.setattr(scrypt.Scrypt, "derive", None)

    with raises_code(StoreUnavailable, "file-store-key-unusable") as caught:
        opened(profile).load()
    assert str(info) in str(caught.value)
    assert "256 MiB" in str(caught.value)


@pytest.mark.usefixtures("passphrase")
def test_key_json_may_require_as_much_memory_as_the_limit(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(profile).save(a_record(1))
    monkeypatch.setattr(file_key, "MAX_MEMORY", 1 << 20)  # 128 · 1,024 · 8

    assert opened(profile).load() == Snapshot(record=a_record(1))


def test_new_store_uses_the_recommended_scrypt_cost(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHKEY_PASSPHRASE", "correct horse")
    opened(profile).probe()

    info = json.loads((profile.state_dir / "store" / "key.json").read_text())
    assert (info["n"], info["r"], info["p"]) == (2**17, 8, 1)
    assert len(info["salt"]) == 24


def test_profiles_share_the_key_but_not_the_records(profile: Profile) -> None:
    opened(profile).save(a_record(1))
    other = evolve(profile, name="../you")
    opened(other).save(a_record(5))

    assert opened(profile).load() == Snapshot(record=a_record(1))
    assert opened(other).load() == Snapshot(record=a_record(5))


def test_concurrent_first_writers_agree_on_one_key(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes; folders of a user are private there")
def test_state_directory_that_others_can_write_to_is_refused(profile: Profile) -> None:
    """FAULT-50."""
    opened(profile).save(a_record(1))
    profile.state_dir.chmod(0o777)

    for action in (opened(profile).load, lambda: opened(profile).save(a_record(2))):
        with raises_code(StoreUnavailable, "unsafe-store-path") as caught:
            action()
        assert f"chmod 700 {profile.state_dir}" in str(caught.value)


def test_sign_out_leaves_one_file_without_a_secret(profile: Profile) -> None:
    kept = opened(profile)
    kept.save(a_record(1))
    kept.save(a_record(2))
    kept.save(a_record(3, payload=None))

    assert [path.name[-3:] for path in items(profile)] == ["1.0"]


_RELATIVE = ("invalid-setting", ("'stores.file.key_file'", "an absolute path"))


@pytest.mark.parametrize(
    ("options", "code", "facts"),
    [
        ({"keyfile": "x"}, "unknown-setting", ("'stores.file.keyfile'", "'key_file'")),
        ({"key_file": 5}, "invalid-setting", ("'stores.file.key_file'", "a string")),
        ({"key_file": "keys/freshkey.key"}, *_RELATIVE),
        pytest.param(
            {"key_file": "~no-such-user/key"},
            *_RELATIVE,
            marks=pytest.mark.skipif(sys.platform == "win32", reason="~user of any user is a path there"),
        ),
        ({"key_file": "\\key" if sys.platform == "win32" else "./key"}, *_RELATIVE),
        ({"key_file": "x", "passphrase_env": "Y"}, "invalid-setting", ("both passphrase_env and key_file",)),
    ],
)
def test_invalid_setting_is_a_configuration_error(
    profile: Profile, options: dict[str, object], code: str, facts: tuple[str, ...]
) -> None:
    with raises_code(ConfigurationError, code) as caught:
        opened(profile, **options)
    assert [fact for fact in facts if fact not in str(caught.value)] == []


def test_error_without_cryptography_names_the_command_that_installs_it(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)

    with raises_code(ConfigurationError, "missing-package") as caught:
        opened(profile)
    assert install_command("freshkey[file]") in str(caught.value)


def test_repr_does_not_show_the_key(tmp_path: Path) -> None:  # LEK-1
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
