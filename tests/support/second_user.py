"""Another ordinary user of this machine: made for a run of the tests, and removed after it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
from attrs import frozen


if sys.platform != "win32":
    import pwd


_PREFIX: Final = "freshkey-test-"
_PATH: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_SECONDS_TO_LOCK: Final = 30.0
"""How long to try again while another program, such as another worker of this run, edits the user database."""

# The interpreter may be in a directory that only its owner can enter, so it starts as us and then drops everything;
# what the code needs beyond this must be imported before.
_BECOME: Final = """
import os, pathlib, socket, sys, time, json, stat, fcntl, errno, http.client, urllib.parse, urllib.request
_uid, _gid = int(sys.argv.pop(1)), int(sys.argv.pop(1))
os.chdir("/")
os.umask(0o022)
os.setgroups([])
os.setresgid(_gid, _gid, _gid)
os.setresuid(_uid, _uid, _uid)
"""


@frozen(kw_only=True)
class SecondUser:
    """An ordinary user without privileges, groups or a home directory."""

    name: str
    uid: int
    gid: int

    def start(self, code: str, *arguments: object) -> subprocess.Popen[str]:
        """Start Python code as this user; `arguments` are in `sys.argv` from 1 on. The caller waits for it."""
        return subprocess.Popen(
            [sys.executable, "-I", "-c", _BECOME + code, str(self.uid), str(self.gid), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str, *arguments: object, timeout: float = 60.0) -> str:
        """Run Python code as this user and return its standard output; fail if it raises."""
        with self.start(code, *arguments) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == 0, err
        return out


@contextmanager
def made_user() -> Iterator[SecondUser]:
    """Make a user and remove it at the end; skip where that is impossible, and fail there in CI."""
    if sys.platform == "win32":
        pytest.skip("Wine has one user")
    if os.geteuid() != 0:
        _impossible("only root can add a user: run the tests as root, for example in a container")
    _remove_stale()
    name = f"{_PREFIX}{os.getpid()}"
    _administer("useradd", "--no-create-home", "--shell", "/usr/sbin/nologin", name)
    try:
        entry = pwd.getpwnam(name)
        yield SecondUser(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    finally:
        _administer("userdel", name)


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder of ours that everyone can enter, unlike the folders of pytest, and remove it at the end."""
    # Another test may have left a umask with which she could not enter.
    before = os.umask(0o022)
    try:
        with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
            Path(folder).chmod(0o755)
            yield Path(folder).resolve()
    finally:
        os.umask(before)


def _impossible(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _remove_stale() -> None:
    """Remove the users of runs that were killed."""
    for entry in pwd.getpwall():
        number = re.fullmatch(re.escape(_PREFIX) + r"(\d+)", entry.pw_name)
        if number and not Path("/proc", number[1]).exists():
            with suppress(AssertionError):  # another worker is removing it
                _administer("userdel", entry.pw_name)


def _administer(program: str, *arguments: str) -> None:
    environ = {**os.environ, "PATH": _PATH}
    deadline = time.monotonic() + _SECONDS_TO_LOCK
    while True:
        try:
            done = subprocess.run([program, *arguments], env=environ, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            _impossible(f"{program} is not installed: on Debian, apt-get install passwd")
            return
        if done.returncode == 0:
            return
        assert "lock" in done.stderr, done.stderr
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.05)
