"""A group that only its user is in does not count as others."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import sys

import pytest

from freshkey._files.permissions import others_may_write


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes say nothing there")

GROUP = 4242


def status(mode: int) -> os.stat_result:
    return os.stat_result((stat.S_IFREG | mode, 0, 0, 1, os.geteuid(), GROUP, 0, 0, 0, 0))


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the group be the user's own, and return the members that it has beside them."""
    members: list[str] = []
    user = pwd.struct_passwd(("ada", "x", os.geteuid(), GROUP, "", "/home/ada", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: user)
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("ada", "x", gid, members)))
    return members


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o750])
def test_what_only_the_owner_writes(mode: int) -> None:
    assert not others_may_write(status(mode))


@pytest.mark.usefixtures("group")
def test_the_group_of_one_person_is_that_person() -> None:
    assert not others_may_write(status(0o664))
    assert others_may_write(status(0o666))
    assert others_may_write(status(0o602))


def test_a_group_with_somebody_else_in_it_is_others(group: list[str]) -> None:
    group.append("ada")
    assert not others_may_write(status(0o660))
    group.append("bob")
    assert others_may_write(status(0o660))


@pytest.mark.usefixtures("group")
def test_a_group_that_many_have_as_their_first_is_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("users", "x", gid, [])))
    assert others_may_write(status(0o660))


@pytest.mark.usefixtures("group")
def test_a_group_that_is_not_the_users_first_is_others(monkeypatch: pytest.MonkeyPatch) -> None:
    user = pwd.struct_passwd(("ada", "x", os.geteuid(), GROUP + 1, "", "/home/ada", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: user)
    assert others_may_write(status(0o660))


def test_a_user_or_group_without_an_entry_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert others_may_write(status(0o660))
