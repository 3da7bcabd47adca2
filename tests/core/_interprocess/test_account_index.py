"""The index of accounts: what it lists, what it costs, and that it may be missing or damaged."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from freshkey._files.state_file import StateFile
from freshkey._interprocess.account_index import DIRECTORY, AccountIndex


ODD = ("ada", "ADA", "a/b", "..", "\u00e4", "a\u0308", "a\nb", "x" * 256)


def files(state_dir: Path) -> list[Path]:
    return sorted(path for path in (state_dir / DIRECTORY).rglob("*") if path.is_file())


def test_lists_what_was_noted_and_not_what_was_removed(tmp_path: Path) -> None:
    index = AccountIndex(tmp_path / "state", "mail")
    assert list(index.accounts()) == []
    for account in ODD:
        index.note(account)
        index.note(account)
    assert sorted(index.accounts()) == sorted(ODD)
    index.remove("ADA")
    index.remove("never there")
    assert sorted(AccountIndex(tmp_path / "state", "mail").accounts()) == sorted({*ODD} - {"ADA"})


def test_profiles_have_lists_of_their_own(tmp_path: Path) -> None:
    mail, work = (AccountIndex(tmp_path / "state", name) for name in ("mail", "work"))
    mail.note("ada")
    work.note("grace")
    assert (list(mail.accounts()), list(work.accounts())) == (["ada"], ["grace"])


@pytest.mark.skipif(sys.platform == "win32", reason="file modes have no meaning there")
def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    AccountIndex(tmp_path / "state", "mail").note("ada")
    for path in ((tmp_path / "state").rglob("*"),):
        assert all(stat.S_IMODE(each.stat().st_mode) & 0o077 == 0 for each in path)


def test_each_account_costs_one_file_however_many_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = AccountIndex(tmp_path / "state", "mail")
    for number in range(300):
        index.note(f"user-{number}")
    written: list[int] = []
    create = StateFile.create

    def counted(file: Any, members: Any) -> bool:
        written.append(len(json.dumps(members)))
        return create(file, members)

    monkeypatch.setattr(StateFile, "create", counted)
    index.note("user-300")
    index.note("user-300")
    index.note("user-7")
    assert written == [len('{"account": "user-300"}')]


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"account": 5}', b'{"account": ""}', b'{"account": "grace"}', b"{}"], ids=repr
)
def test_damaged_or_swapped_file_is_passed_over(tmp_path: Path, damage: bytes) -> None:
    index = AccountIndex(tmp_path / "state", "mail")
    index.note("ada")
    index.note("bob")
    broken = next(path for path in files(tmp_path / "state") if b"ada" in path.read_bytes())
    broken.write_bytes(damage)
    assert list(index.accounts()) == ["bob"]


def test_what_is_not_a_directory_is_harmless(tmp_path: Path) -> None:
    index = AccountIndex(tmp_path / "state", "mail")
    index.note("ada")
    (tmp_path / "state" / DIRECTORY).rename(tmp_path / "away")
    assert list(index.accounts()) == []
    (tmp_path / "state" / DIRECTORY).write_text("in the way")
    index.note("ada")
    index.remove("ada")
    assert list(index.accounts()) == []
