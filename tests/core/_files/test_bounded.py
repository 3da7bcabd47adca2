"""One way to read a file: whatever lies there instead of one is told apart, and nobody waits for it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from freshkey._files.bounded import NotRegularError, TooLongError, open_regular, read_bounded
from waiting import leaving_nothing


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"12345")
    return tmp_path / "file"


def test_as_much_as_is_allowed_is_read(file: Path) -> None:
    assert read_bounded(file, 5) == b"12345"
    with pytest.raises(TooLongError):
        read_bounded(file, 4)


def test_links_are_followed_unless_they_must_not_be(file: Path) -> None:
    link = file.with_name("link")
    link.symlink_to(file)
    assert read_bounded(link, 5) == b"12345"
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        read_bounded(link, 5, follow=False)


@pytest.mark.timeout(10)
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(NotRegularError):
        read_bounded(tmp_path / "pipe", 5)


@pytest.mark.parametrize(("name", "error"), [("none", FileNotFoundError), (".", IsADirectoryError)])
def test_what_is_no_file_is_an_error_of_the_system(tmp_path: Path, name: str, error: type[OSError]) -> None:
    with pytest.raises(error):
        read_bounded(tmp_path / name, 5)


def test_the_file_that_was_opened_is_the_one_that_is_checked(file: Path) -> None:
    seen: list[os.stat_result] = []
    with open_regular(file, check=seen.append) as opened:
        assert os.path.samestat(seen[0], os.fstat(opened.fileno()))


def test_what_a_check_refuses_is_not_read_and_not_left_open(file: Path) -> None:
    def refuse(status: os.stat_result) -> None:
        raise LookupError

    with leaving_nothing(), pytest.raises(LookupError):
        read_bounded(file, 5, check=refuse)
