"""Bounded reading of regular files: anything else is an error, and pipes do not block."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from freshkey._files.bounded import NotRegularError, TooLongError, file_version, open_regular, read_bounded
from waiting import leaving_nothing


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"12345")
    return tmp_path / "file"


def test_file_up_to_the_limit_is_read(file: Path) -> None:
    assert read_bounded(file, 5) == b"12345"
    with pytest.raises(TooLongError):
        read_bounded(file, 4)


@pytest.mark.skipif(sys.platform == "win32", reason="Wine 8 makes no symbolic links")
def test_links_are_followed_only_if_allowed(file: Path) -> None:
    link = file.with_name("link")
    link.symlink_to(file)
    assert read_bounded(link, 5) == b"12345"
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        read_bounded(link, 5, follow=False)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in directories")
@pytest.mark.timeout(10)
def test_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(NotRegularError):
        read_bounded(tmp_path / "pipe", 5)


@pytest.mark.parametrize(("name", "error"), [("none", FileNotFoundError), (".", IsADirectoryError)])
def test_missing_file_or_directory_is_an_os_error(tmp_path: Path, name: str, error: type[OSError]) -> None:
    with pytest.raises(error):
        read_bounded(tmp_path / name, 5)


def test_check_gets_the_status_of_the_opened_file(file: Path) -> None:
    seen: list[os.stat_result] = []
    with open_regular(file, check=seen.append) as opened:
        assert os.path.samestat(seen[0], os.fstat(opened.fileno()))


def test_file_is_closed_if_the_check_refuses_it(file: Path) -> None:
    def refuse(status: os.stat_result) -> None:
        raise LookupError

    with leaving_nothing(), pytest.raises(LookupError):
        read_bounded(file, 5, check=refuse)


def test_a_version_changes_with_content_and_presence(tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    seen = [file_version(path, other)]
    path.write_text("one")
    seen.append(file_version(path, other))
    (tmp_path / "new").write_text("two")  # same size, another inode: as a program that replaces the file leaves it
    (tmp_path / "new").replace(path)
    seen.append(file_version(path, other))
    other.write_text("")
    seen.append(file_version(path, other))
    path.chmod(0o400)
    seen.append(file_version(path, other))
    assert len(set(seen)) == (4 if sys.platform == "win32" else 5)  # Windows has no time of a change of modes
    assert file_version(path, other) == seen[-1]
    assert file_version(tmp_path / "\0") == "-"
