from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from freshkey._http.client import send
from freshkey._http.messages import Request
from freshkey.errors import TransientError
from freshkey_testing.guard import no_io, offline, read_only


def resolve() -> None:
    socket.getaddrinfo("localhost", 80)


def connect() -> None:
    with socket.socket() as plug:
        plug.connect(("127.0.0.1", 9))


def start_process() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


@pytest.mark.parametrize("act", [resolve, connect, start_process])
def test_offline_refuses_and_remembers(act: object) -> None:
    assert callable(act)
    with offline() as attempts, pytest.raises(OSError, match="the contract kit refuses"):
        act()
    assert len(attempts) == 1


def test_offline_lets_files_be_read(tmp_path: Path) -> None:
    with offline() as attempts:
        (tmp_path / "a.txt").write_text("a")
    assert attempts == []


def test_no_io_refuses_files_but_not_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "just_made_for_the_guard.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with no_io() as attempts:
        import just_made_for_the_guard  # type: ignore[import-not-found]

        with pytest.raises(OSError, match="refuses"):
            (tmp_path / "settings.toml").read_text()
        with pytest.raises(OSError, match="refuses"):
            resolve()
    assert just_made_for_the_guard.VALUE == 1
    assert attempts == [f"open {tmp_path / 'settings.toml'}", "socket.getaddrinfo"]


def test_no_io_refuses_whatever_a_path_is_made_of(tmp_path: Path) -> None:
    with no_io() as attempts:
        for path in (str(tmp_path / "a"), bytes(tmp_path / "a"), tmp_path / "a"):
            with pytest.raises(OSError, match="refuses"):
                os.open(path, os.O_RDONLY)
    assert attempts == [f"open {tmp_path / 'a'}"] * 3


def test_outside_the_guard_everything_works(tmp_path: Path) -> None:
    with no_io():
        pass
    (tmp_path / "a").write_text("a")
    resolve()


def test_other_threads_are_not_concerned() -> None:
    failures: list[BaseException] = []
    begun = threading.Event()

    def elsewhere() -> None:
        begun.wait(10)
        try:
            resolve()
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    with offline() as attempts:
        begun.set()
        thread.join(10)
    assert (attempts, failures) == ([], [])


def test_guards_nest() -> None:
    with no_io() as outer:
        with offline() as inner, pytest.raises(OSError, match="refuses"):
            resolve()
        with pytest.raises(OSError, match="refuses"):
            resolve()
    assert (len(inner), len(outer)) == (1, 1)


def test_threads_that_are_started_are_watched_too() -> None:
    refused: list[OSError] = []

    def work() -> None:
        try:
            connect()
        except OSError as error:
            refused.append(error)

    with offline() as attempts:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert attempts == ["socket.connect"]
    assert len(refused) == 1


def test_a_provider_that_sends_as_the_core_does_is_offline_as_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, offline() as attempts:
        port = listening.getsockname()[1]
        with pytest.raises(TransientError, match="nothing could be sent"):
            send(Request(method="GET", url=f"http://127.0.0.1:{port}/"), allow_insecure_loopback=True)
    assert attempts


def test_read_only_refuses_to_change_files_and_lets_them_be_read(tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text("as it was")
    with read_only() as attempts:
        assert kept.read_text() == "as it was"
        subprocess.run([sys.executable, "-c", ""], check=True, stdout=subprocess.DEVNULL)
        for change in (
            lambda: kept.write_text("changed"),
            lambda: kept.open("a"),
            lambda: os.open(kept, os.O_RDWR),
            kept.unlink,
            lambda: kept.rename(tmp_path / "moved"),
            (tmp_path / "folder").mkdir,
            lambda: sqlite3.connect(tmp_path / "data.db"),
        ):
            with pytest.raises(OSError, match="refuses"):
                change()
    assert [attempt.partition(" ")[0] for attempt in attempts] == [
        *("open", "open", "open", "os.remove", "os.rename", "os.mkdir", "sqlite3.connect")
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
    assert kept.read_text() == "as it was"
