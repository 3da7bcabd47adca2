"""A store that cannot be written: detected before a refresh token is used, or retried until it can be written."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from counterparts.keychain import Keychain
from crashing_process import Forge, until_halted, works
from freshkey_testing import AuthorizationServer
from promises import proves
from warm_processes import proceed


RENEWAL = "grant.refresh_token"


@pytest.mark.counterpart
@pytest.mark.skipif(sys.platform == "win32", reason="GNOME Keyring is not on Windows")
@proves("FAULT-6", "ROT-4")
def test_renewal_waits_for_a_keychain_that_is_locked_during_it(
    server: AuthorizationServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**server.settings(), "provider": "claude_oauth", "store": "keyring"}
    with Keychain() as keychain:
        for name, value in keychain.variables.items():
            monkeypatch.setenv(name, value)
        with Forge(settings, tmp_path) as forge:
            assert works(server, forge.run("login"))
            renewing = forge.begin("refresh", at="after_refresh", act="SIGSTOP")
            until_halted(renewing)
            keychain.lock()
            proceed(renewing)
            with Forge(settings, tmp_path) as other:
                # Only the halted process has the new token and the lock.
                assert other.run("refresh", patience=0.05).said["error"] in {"StoreBusy", "StoreUnavailable"}
            keychain.unlock()
            ended = forge.finish()
            assert ended.said["generation"] == 2
            assert works(server, ended)
            assert works(server, forge.run("get"))
    assert server.count(RENEWAL) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A 256 KiB disk."""
    if sys.platform == "win32":
        pytest.skip("Windows cannot mount a small disk for a test")
    mounted = tmp_path / "disk"
    mounted.mkdir()
    tried = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(mounted)], capture_output=True, check=False
    )
    if tried.returncode != 0:
        reason = "needs permission to mount: run the tests as root"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Fill a disk for the duration of the context."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    try:
        yield
    finally:
        filler.unlink()


@proves("FAULT-48", "ROT-3", "STO-7")
def test_full_disk_is_detected_before_the_token_is_used(server: AuthorizationServer, small_disk: Path) -> None:
    settings = {**server.settings(), "provider": "claude_oauth", "store": "file"}
    with Forge(settings, small_disk) as forge:
        assert works(server, forge.run("login"))
        before = sorted(path.name for path in small_disk.rglob("*"))
        with filled(small_disk):
            failed = forge.run("refresh")
            assert failed.said["error"] == "StoreUnavailable"
            assert failed.said["code"] == "disk-full"
            assert "me: " in failed.said["message"]
            assert server.count(RENEWAL) == 0
            assert works(server, forge.run("get"))
        assert sorted(path.name for path in small_disk.rglob("*")) == before
        assert works(server, forge.run("refresh"))
    assert server.count(RENEWAL) == 1


@proves("FAULT-49", "ROT-3", "STO-7")
def test_disk_that_became_read_only_is_detected_before_the_token_is_used(
    server: AuthorizationServer, small_disk: Path
) -> None:
    settings = {**server.settings(), "provider": "claude_oauth", "store": "file"}
    with Forge(settings, small_disk) as forge:
        assert works(server, forge.run("login"))
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        try:
            assert forge.run("refresh").said["code"] == "store-access-denied"
            assert works(server, forge.run("get"))
        finally:
            subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
        assert server.count(RENEWAL) == 0
        assert works(server, forge.run("refresh"))


@proves("FAULT-52", "ROT-3")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of open files to lower")
@pytest.mark.parametrize("point", ["before_lock", "lock_held", "intent_written"])
def test_process_out_of_file_descriptors_loses_nothing(forge: Forge, server: AuthorizationServer, point: str) -> None:
    starved = forge.run("refresh", at=point, act="starving")
    assert starved.said["error"] in {"StoreUnavailable", "TransientError", "ConfigurationError"}, starved.said
    assert server.count(RENEWAL) == 0
    assert works(server, forge.run("refresh"))
