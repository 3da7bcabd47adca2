"""Small and read-only disks, mounted for one test; and a disk that is filled for a while."""

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
    """Mount a disk of that size on an empty directory."""
    with _mounted(["-t", "tmpfs", "-o", f"size={kibibytes}k,mode=700", "tmpfs", str(folder)], folder):
        yield folder


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let a directory be read and not written, by a bind mount upon itself."""
    with _mounted(["--bind", str(folder), str(folder)], folder):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Leave no room on a disk for as long as the context lasts."""
    fill(disk)
    try:
        yield
    finally:
        empty(disk)


def fill(disk: Path) -> None:
    """Leave no room on a disk until `empty`."""
    with (disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def empty(disk: Path) -> None:
    """Make room again."""
    (disk / "filler").unlink()


def require_root() -> None:
    """Skip the test, or fail it where `CI=true`, unless it may give files away and become somebody else."""
    if sys.platform == "win32" or os.geteuid() != 0:
        _lacks("the rights of root")


def _lacks(right: str) -> NoReturn:
    reason = f"needs {right}: run the tests as root"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@contextmanager
def _mounted(arguments: list[str], folder: Path) -> Iterator[None]:
    tried = subprocess.run(["mount", *arguments], capture_output=True, check=False)
    if tried.returncode != 0:
        _lacks("the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
