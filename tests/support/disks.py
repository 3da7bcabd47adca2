"""Small and read-only disks, mounted for one test; and a way to fill a disk temporarily."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest


@contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[Path]:
    """Mount a disk of this size on an empty directory."""
    with _mounted(["-t", "tmpfs", "-o", f"size={kibibytes}k,mode=700", "tmpfs", str(folder)], folder):
        yield folder


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a directory read-only, by a bind mount on itself."""
    with _mounted(["--bind", str(folder), str(folder)], folder):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Fill a disk for the duration of the context."""
    fill(disk)
    try:
        yield
    finally:
        empty(disk)


def fill(disk: Path) -> None:
    """Fill a disk until `empty`."""
    with (disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def empty(disk: Path) -> None:
    """Free the space again."""
    (disk / "filler").unlink()


def require_root() -> None:
    """Skip the test, or fail it if `CI=true`, unless it runs as root and can change owners and users."""
    if sys.platform == "win32":
        pytest.skip("Windows has no user that may give files to others, and no file modes")
    if os.geteuid() != 0:
        _lacks("root permissions")


def _lacks(right: str) -> NoReturn:
    reason = f"needs {right}: run the tests as root"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@contextmanager
def _mounted(arguments: list[str], folder: Path) -> Iterator[None]:
    if sys.platform == "win32":
        pytest.skip("Windows cannot mount a small or read-only disk for a test")
    tried = subprocess.run(["mount", *arguments], capture_output=True, check=False)
    if tried.returncode != 0:
        _lacks("permission to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
