"""A user's private group does not count as other users."""

from __future__ import annotations

import os
import stat
import sys
from types import SimpleNamespace

import pytest

from freshkey._files import permissions
from freshkey._files.permissions import MAX_AGE, others_may_write


if sys.platform != "win32":
    import grp
    import pwd


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="file modes have no meaning there")

GROUP = 4242


def status(mode: int) -> os.stat_result:
    return os.stat_result((stat.S_IFREG | mode, 0, 0, 1, os.geteuid(), GROUP, 0, 0, 0, 0))


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permissions, "_answers", {})


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make the group the user's private group, and return its list of additional members."""
    members: list[str] = []
    user = pwd.struct_passwd(("ada", "x", os.geteuid(), GROUP, "", "/home/ada", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: user)
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("ada", "x", gid, members)))
    return members


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o750])
def test_files_that_only_the_owner_can_write(mode: int) -> None:
    assert not others_may_write(status(mode))


@pytest.mark.usefixtures("group")
def test_private_group_does_not_count_as_others() -> None:
    assert not others_may_write(status(0o664))
    assert others_may_write(status(0o666))
    assert others_may_write(status(0o602))


def test_group_with_another_member_counts_as_others(group: list[str]) -> None:
    group.append("ada")
    assert not others_may_write(status(0o660))
    group.append("bob")
    permissions._answers.clear()
    assert others_may_write(status(0o660))


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize(("uid", "counts"), [(500, True), (1001, True), (7, False)])
def test_person_with_the_same_primary_group_counts_as_others(
    uid: int, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group does not list those whose primary group it is. Accounts of the system are nobody."""
    other = pwd.struct_passwd(("eve", "x", uid, GROUP, "", "/home/eve", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [pwd.getpwuid(os.geteuid()), other])
    assert others_may_write(status(0o660)) == counts


def test_group_whose_members_become_root_does_not_count_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {50: "staff", 80: "admin", GROUP: "staff"}
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group((names[gid], "x", gid, ["eve"])))
    for platform, gid, counts in (
        ("linux", 50, False),
        ("linux", GROUP, True),
        ("linux", 80, True),
        ("darwin", 80, False),
    ):
        monkeypatch.setattr(sys, "platform", platform)
        permissions._answers.clear()
        found = os.stat_result((stat.S_IFREG | 0o664, 0, 0, 1, 0, gid, 0, 0, 0, 0))
        assert others_may_write(found) == counts, (platform, gid)


@pytest.mark.usefixtures("group")
def test_shared_primary_group_counts_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("users", "x", gid, [])))
    assert others_may_write(status(0o660))


@pytest.mark.usefixtures("group")
def test_group_that_is_not_primary_counts_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    user = pwd.struct_passwd(("ada", "x", os.geteuid(), GROUP + 1, "", "/home/ada", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: user)
    assert others_may_write(status(0o660))


def test_group_of_a_user_without_a_passwd_entry_counts_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_entry(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    assert others_may_write(status(0o660))


@pytest.mark.parametrize("own", [True, False])
def test_directory_service_is_asked_once_per_group_for_a_while(
    own: bool, group: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With LDAP or SSSD, the list of all users can take seconds, and each directory of a umask of 002 needs it."""
    calls: list[str] = []

    def counted(name: str, found: object) -> object:
        calls.append(name)
        return found

    user, entry = pwd.getpwuid(os.geteuid()), grp.getgrgid(GROUP)
    group += [] if own else ["bob"]
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: counted("getpwuid", user))
    monkeypatch.setattr(pwd, "getpwall", lambda: counted("getpwall", [user]))
    monkeypatch.setattr(grp, "getgrgid", lambda gid: counted("getgrgid", entry))
    now = 1000.0
    monkeypatch.setattr("freshkey._files.permissions.time", SimpleNamespace(monotonic=lambda: now))
    for _ in range(20):
        assert others_may_write(status(0o775)) != own
    once = [*calls]
    assert once.count("getpwall") == own, "names and members come first"
    assert once.count("getpwuid") == 1
    assert once.count("getgrgid") <= 2

    now += MAX_AGE
    assert others_may_write(status(0o775)) != own
    assert calls == 2 * once
