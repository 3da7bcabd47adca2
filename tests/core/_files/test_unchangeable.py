"""Files that settings and variables name, which another user must not be able to change (TRU-14)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from freshkey._files.bounded import NotRegularError, TooLongError
from freshkey._files.unchangeable import ensure_unchangeable, read_unchangeable
from freshkey._trust.project_files import ensure_own_environment, ensure_trusted
from freshkey.errors import ConfigurationError
from raises_code import raises_code
from second_user import SecondUser


of_posix = pytest.mark.skipif(
    os.name == "nt", reason="Windows has no modes and owners, and Wine 8 makes no symbolic links"
)


def hers(place: Path, user: SecondUser) -> None:
    os.chown(place, user.uid, user.gid)


def everyones(place: Path, _user: SecondUser) -> None:
    place.chmod(0o777)


@pytest.fixture
def named(open_tmp_path: Path) -> Path:
    file = open_tmp_path / "above" / "folder" / "named.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    return file


@of_posix
@pytest.mark.parametrize("change", [hers, everyones])
@pytest.mark.parametrize("level", ["named.json", "folder", "above"])
def test_what_another_user_can_change_is_not_used(
    second_user: SecondUser, named: Path, level: str, change: Callable[[Path, SecondUser], None]
) -> None:
    """TRU-14: whatever names it, and on every level."""
    ensure_unchangeable("X_FILE", named)
    change(next(at for at in (named, *named.parents) if at.name == level), second_user)
    with raises_code(ConfigurationError, "unsafe-file") as caught:
        ensure_unchangeable("X_FILE", named)
    assert "X_FILE" in caught.value.message
    assert level in caught.value.message
    with raises_code(ConfigurationError, "unsafe-file"):
        read_unchangeable("X_FILE", named, 10)
    with raises_code(ConfigurationError, "unsafe-file"):
        ensure_trusted("X_FILE", named, named.parent / "state")
    environ = {"SSL_CERT_FILE": str(named)}
    with raises_code(ConfigurationError, "unsafe-file"):
        ensure_own_environment(named.parent / "state", None, environ)


@of_posix
def test_link_of_another_user_is_not_followed(second_user: SecondUser, open_tmp_path: Path, named: Path) -> None:
    """TRU-14: the file is root's, the choice is hers."""
    (open_tmp_path / "drop").mkdir()
    (open_tmp_path / "drop").chmod(0o1777)
    link = open_tmp_path / "drop" / "link"
    second_user.run("os.symlink(sys.argv[1], sys.argv[2])", named, link)
    with raises_code(ConfigurationError, "unsafe-file"):
        read_unchangeable("X_FILE", link, 10)
    os.chown(link, 0, 0, follow_symlinks=False)
    assert read_unchangeable("X_FILE", link, 10) == b"{}"


@of_posix
def test_directory_in_which_others_can_create_files(second_user: SecondUser, open_tmp_path: Path) -> None:
    """TRU-14: a sticky directory protects what is in it, but another user can add an authority."""
    assert second_user.uid != os.geteuid()
    folder = open_tmp_path / "certificates"
    folder.mkdir()
    ensure_unchangeable("SSL_CERT_DIR", folder)
    folder.chmod(0o1777)
    with raises_code(ConfigurationError, "unsafe-file"):
        ensure_unchangeable("SSL_CERT_DIR", folder)


@of_posix
def test_what_is_readable_or_protected_is_used(tmp_path: Path) -> None:
    """As Kubernetes projects tokens: links in a sticky directory for all, world-readable files."""
    volume = tmp_path / "serviceaccount"
    (volume / "..2026").mkdir(parents=True)
    (volume / "..2026" / "token").write_text("made-up")
    (volume / "..2026" / "token").chmod(0o644)
    (volume / "..data").symlink_to("..2026")
    (volume / "token").symlink_to("..data/token")
    volume.chmod(0o1777)
    ensure_unchangeable("X_FILE", volume / "token")
    assert read_unchangeable("X_FILE", volume / "token", 10) == b"made-up"


def test_what_is_not_there_is_left_to_the_reader(tmp_path: Path) -> None:
    for path in (tmp_path / "none", "", "nul\0", "x" * 100_000):
        ensure_unchangeable("X_FILE", path)
    with pytest.raises(FileNotFoundError) as caught:
        read_unchangeable("X_FILE", tmp_path / "none", 10)
    assert caught.value.filename == str(tmp_path / "none")
    (tmp_path / "long").write_bytes(b"x" * 11)
    with pytest.raises(TooLongError):
        read_unchangeable("X_FILE", tmp_path / "long", 10)
    with pytest.raises(NotRegularError):
        read_unchangeable("X_FILE", Path(os.devnull), 10)


@of_posix
@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can give files away")
def test_root_uses_a_file_whose_owner_is_no_user_of_this_machine(named: Path) -> None:
    """TRU-14: in a container, files of the host's user are mounted (``-v ~/.aws:/root/.aws``)."""
    os.chown(named, 54_321, 54_321)
    ensure_unchangeable("X_FILE", named)
    assert read_unchangeable("X_FILE", named, 10) == b"{}"
