"""Opens files that only this user and root can change: each directory on the way is checked.

As with sshd, the directories above the user's home directory do not count for what is in it.

Every component is opened relative to the one above (openat(2)) and checked through its descriptor, so the file that is
opened is the one whose directories were checked, whatever is renamed meanwhile. Symbolic links are followed by hand:
one counts only if its directory is safe and it belongs to this user or root.
See docs/decisions.md, "Every directory above a file is checked, through its descriptor".
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO, Final

from attrs import frozen

from freshkey._files.bounded import NotRegularError, TooLongError, open_regular
from freshkey._files.permissions import is_anothers, is_foreign, others_may_replace, others_may_write, system_home


MAX_LINKS: Final = 40
"""Symbolic links on one path, as in Linux (path_resolution(7))."""

O_SEARCH: Final = {"darwin": 0x4010_0000, "freebsd": 0x0004_0000}
"""The flag of POSIX, which `os` does not have, by `sys.platform` without its version (from each system's fcntl.h)."""


def search_flags(platform: str = sys.platform) -> int:
    """Return the flags that open a directory to enter it, also if it cannot be listed, as a home of mode 0711."""
    search = getattr(os, "O_PATH", None) or O_SEARCH.get(platform.rstrip("0123456789."), os.O_RDONLY)
    return search | sum(getattr(os, name, 0) for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC"))


_SEARCH: Final = search_flags()
_READ: Final = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK"))
_LIST: Final = _READ | getattr(os, "O_DIRECTORY", 0)


class UnsafePathError(Exception):
    """Another user can change a file, or a directory or link on the way to it.

    Attributes:
        place: What they can change.
        owner: Their user ID if they own it; None if its mode lets others write.
        is_ours: Whether it is the user's to mend: they own it, or it is in their home directory.
    """

    def __init__(self, place: Path, owner: int | None, *, is_ours: bool = True) -> None:
        super().__init__(str(place))
        self.place, self.owner, self.is_ours = place, owner, is_ours


@frozen
class _Home:
    """The user's home directory: where it is, and every directory and link above it on the way there."""

    place: str | None = None
    above: frozenset[str] = frozenset()

    def contains(self, place: str) -> bool:
        return self.place is not None and (place == self.place or place.startswith(f"{self.place}/"))


_homes: dict[Path, _Home] = {}


def _home() -> _Home:
    path = system_home()
    if path is None:
        return _Home()
    if path not in _homes:
        walk = None
        try:
            walk = _Walk(path, _Home())
            walk.go(follow=True)
            walk.enter_last()
        except OSError:  # there is none, as for many accounts of services
            return _Home()
        finally:
            if walk is not None:
                walk.close()
        if not walk.at:  # all of the file system
            return _Home()
        _homes[path] = _Home(walk.at, frozenset(walk.passed) - {walk.at})
    return _homes[path]


class _Walk:
    """The way to one file; at its end, `here` is the directory of the file `name`, which is not a link to follow.

    Args:
        path: The file.
        home: The user's home directory.
        within: A descriptor of its directory, if that was checked before. Then a link is not followed.
    """

    def __init__(self, path: Path, home: _Home, within: int | None = None) -> None:
        self.flaw: UnsafePathError | None = None
        self.flaw_above_home: UnsafePathError | None = None
        self.passed: list[str] = []
        self.name = "."
        self._home = home
        self._todo: list[str] = []
        self._links = 0
        self.here = -1
        self.at = os.sep
        if within is None:
            self._plan(path.absolute())
        else:
            self.here, self.at, self.name = os.dup(within), str(path.parent).rstrip("/"), path.name

    def go(self, *, follow: bool) -> None:
        while self._todo:
            name = self._todo.pop()
            if self._todo:
                try:
                    below = os.open(name, _SEARCH, dir_fd=self.here)
                except OSError as error:
                    if error.errno not in {errno.ENOTDIR, errno.ELOOP, errno.EMLINK} or not self._follows(name):
                        raise
                else:
                    self._enter(below, name)
            elif not (follow and self._follows(name)):
                self.name = name

    def check_last(self, status: os.stat_result, descriptor: int | None = None) -> None:
        """Raise the first flaw on the way, or that of the file or directory itself."""
        directory = stat.S_ISDIR(status.st_mode)
        place = f"{self.at}/{self.name}" if self.name != "." else self.at or os.sep
        changeable = others_may_replace if directory else others_may_write
        if directory or stat.S_ISREG(status.st_mode):  # everyone can write to devices, and nobody can change them
            self._check(status, place, changeable, descriptor)
        self.refuse()

    def refuse(self) -> None:
        """Raise the first flaw on the way so far; what is above the home directory is none once that was entered."""
        if (flaw := self.flaw or self.flaw_above_home) is not None:
            raise flaw from None

    def enter_last(self) -> None:
        """Go to the directory at the end."""
        if self.name != ".":
            self._enter(os.open(self.name, _SEARCH, dir_fd=self.here), self.name)

    def close(self) -> None:
        os.close(self.here)

    def _plan(self, path: PurePath) -> None:
        self._todo += reversed(path.parts[1:] if path.is_absolute() else path.parts)
        if path.is_absolute():
            self.at = ""
            self._enter(os.open(os.sep, _SEARCH), "")

    def _enter(self, below: int, name: str) -> None:
        before, self.here = self.here, below
        if before >= 0:
            os.close(before)
        if name == "..":
            self.at = self.at.rpartition("/")[0]
        elif name:
            self.at = f"{self.at}/{name}"
        self._check(os.fstat(below), self.at or os.sep, others_may_replace, below)

    def _follows(self, name: str) -> bool:
        """Return whether `name` is a link, whose target then comes next."""
        status = os.stat(name, dir_fd=self.here, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            return False
        self._links += 1
        if self._links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        self._check(status, f"{self.at}/{name}", lambda _status, _fd: False)
        self._plan(PurePath(os.readlink(name, dir_fd=self.here)))
        return True

    def _check(
        self,
        status: os.stat_result,
        place: str,
        changeable: Callable[[os.stat_result, int | None], bool],
        descriptor: int | None = None,
    ) -> None:
        self.passed.append(place)
        above = place in self._home.above
        if not above:
            # Whoever owns what is above a home directory can replace all of it anyway, ssh keys included.
            self.flaw = self.flaw or (None if place == self._home.place else self.flaw_above_home)
            self.flaw_above_home = None
        # The first flaw is raised at the end, and only if there is a file: what is not there cannot mislead anyone.
        if (self.flaw_above_home if above else self.flaw) is not None:
            return
        foreign = is_foreign(status)
        if foreign or changeable(status, descriptor):
            ours = not is_anothers(status) or self._home.contains(place)
            flaw = UnsafePathError(Path(place), status.st_uid if foreign else None, is_ours=ours)
            if above:
                self.flaw_above_home = flaw
            else:
                self.flaw = flaw


@contextmanager
def _walked(path: Path, *, follow: bool = True, within: int | None = None) -> Iterator[_Walk]:
    walk = _Walk(path, _home(), within)
    try:
        walk.go(follow=follow)
        yield walk
    finally:
        walk.close()


def check_directory(path: Path) -> None:
    """Check that other users can replace neither a directory nor what is in it; links to it are followed.

    Raises:
        UnsafePathError: They can.
        OSError: It does not exist, or cannot be entered.
    """
    if sys.platform == "win32":
        path.stat()
        return
    os.close(_opened_directory(path, _SEARCH))


@contextmanager
def listed_directory(path: Path, within: int | None = None) -> Iterator[int | None]:
    """Open a directory to list it, and to open what is in it by `open_owned` without walking there again.

    Args:
        path: The directory; links to it are followed, unless `within` is given.
        within: A descriptor of the directory above, if that was opened by this function.

    Yields:
        Its descriptor; None on Windows, which has none for directories.

    Raises:
        UnsafePathError: Other users can replace it or what is in it.
        OSError: It does not exist, or cannot be listed.
    """
    if sys.platform == "win32":
        yield None
        return
    descriptor = _opened_directory(path, _LIST, within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _opened_directory(path: Path, flags: int, within: int | None = None) -> int:
    with _walked(path, within=within) as walk:
        descriptor = os.open(walk.name, flags, dir_fd=walk.here)
        try:
            walk.check_last(os.fstat(descriptor), descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def check_file(path: Path) -> None:
    """Check that other users can neither replace nor change a file, which need not be readable; links are followed.

    Raises:
        UnsafePathError: They can, or could put one there: it may be missing only while they swap it for theirs.
        OSError: It does not exist, or its directory cannot be entered.
    """
    if sys.platform == "win32":
        path.stat()
        return
    walk = _Walk(path, _home())
    try:
        walk.go(follow=True)
        if not hasattr(os, "O_PATH"):
            walk.check_last(os.stat(walk.name, dir_fd=walk.here, follow_symlinks=False))
            return
        # Access control lists are read through a descriptor, and a program need not be readable.
        descriptor = os.open(walk.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=walk.here)
        try:
            walk.check_last(os.fstat(descriptor), descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        walk.refuse()
        raise
    finally:
        walk.close()


@contextmanager
def open_owned(path: Path, *, follow: bool = True, within: int | None = None) -> Iterator[BinaryIO]:
    """Open a regular file for reading that other users can neither replace nor change, without blocking on a pipe.

    Args:
        path: The file.
        follow: Whether to follow a symbolic link; those of directories are always followed.
        within: A descriptor of its directory by `listed_directory`. Then a link is not followed.

    Raises:
        UnsafePathError: Other users can change it, or a directory or link on the way to it.
        NotRegularError: It is not a regular file.
        OSError: It cannot be opened, for example a directory, or a link if `follow` is False (``ELOOP``).
    """
    if sys.platform == "win32":
        with open_regular(path, follow=follow) as file:
            yield file
        return
    with _walked(path, follow=follow, within=within) as walk:
        descriptor = os.open(walk.name, _READ, dir_fd=walk.here)
        try:
            status = os.fstat(descriptor)
            walk.check_last(status, descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(status.st_mode):
                raise NotRegularError
            with open(descriptor, "rb", closefd=False) as file:
                yield file
        finally:
            os.close(descriptor)


def read_owned(
    path: Path, limit: int, *, follow: bool = True, check: Callable[[os.stat_result], None] | None = None
) -> bytes:
    """Read a file that other users cannot change, at most `limit` bytes. See `open_owned` for other errors.

    Args:
        path: The file.
        limit: Maximum size.
        follow: Whether to follow a symbolic link.
        check: Called with the status of the opened file; may raise any exception to refuse its owner or mode.

    Raises:
        TooLongError: The file is larger than `limit`.
    """
    with open_owned(path, follow=follow) as file:
        if check is not None:
            check(os.fstat(file.fileno()))
        data = file.read(limit + 1)
    if len(data) > limit:
        raise TooLongError
    return data
