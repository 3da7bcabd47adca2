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
from freshkey.errors import TransientError
from freshkey.model.exchange import Request
from freshkey_testing.guard import effects, no_io, offline, read_only, unwatched
from raises_code import raises_code


def resolve() -> None:
    socket.getaddrinfo("localhost", 80)


def connect() -> None:
    with socket.socket() as plug:
        plug.connect(("127.0.0.1", 9))


def start_process() -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)


@pytest.mark.parametrize("act", [resolve, connect, start_process])
def test_offline_refuses_and_records_attempts(act: object) -> None:
    assert callable(act)
    with offline() as attempts, pytest.raises(OSError, match="blocked"):
        act()
    assert len(attempts) == 1


def test_offline_allows_access_to_files(tmp_path: Path) -> None:
    with offline() as attempts:
        (tmp_path / "a.txt").write_text("a")
    assert attempts == []


def test_no_io_refuses_files_but_not_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "created_for_the_guard.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with no_io() as attempts:
        import created_for_the_guard  # type: ignore[import-not-found]

        with pytest.raises(OSError, match="blocked"):
            (tmp_path / "settings.toml").read_text()
        with pytest.raises(OSError, match="blocked"):
            resolve()
    assert created_for_the_guard.VALUE == 1
    assert attempts == [f"open {tmp_path / 'settings.toml'}", "socket.getaddrinfo"]


def test_no_io_refuses_paths_of_any_type(tmp_path: Path) -> None:
    with no_io() as attempts:
        for path in (str(tmp_path / "a"), bytes(tmp_path / "a"), tmp_path / "a"):
            with pytest.raises(OSError, match="blocked"):
                os.open(path, os.O_RDONLY)
    assert attempts == [f"open {tmp_path / 'a'}"] * 3


def test_everything_works_after_the_guard_ends(tmp_path: Path) -> None:
    with no_io():
        pass
    (tmp_path / "a").write_text("a")
    resolve()


def test_other_threads_are_not_affected() -> None:
    failures: list[BaseException] = []
    guarded = threading.Event()

    def elsewhere() -> None:
        guarded.wait(10)
        try:
            resolve()
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    with offline() as attempts:
        guarded.set()
        thread.join(10)
    assert (attempts, failures) == ([], [])


def test_guards_can_be_nested() -> None:
    with no_io() as outer:
        with offline() as inner, pytest.raises(OSError, match="blocked"):
            resolve()
        with pytest.raises(OSError, match="blocked"):
            resolve()
    assert (len(inner), len(outer)) == (1, 1)


def test_threads_started_inside_the_guard_are_watched() -> None:
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


def test_requests_sent_by_the_core_are_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, offline() as attempts:
        port = listening.getsockname()[1]
        with raises_code(TransientError, "connection-failed"):
            send(Request(method="GET", url=f"http://127.0.0.1:{port}/"), allow_insecure_loopback=True)
    assert attempts


def test_read_only_refuses_changes_and_allows_reading(tmp_path: Path) -> None:
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
            with pytest.raises(OSError, match="blocked"):
                change()
    assert [attempt.partition(" ")[0] for attempt in attempts] == [
        *("open", "open", "open", "os.remove", "os.rename", "os.mkdir", "sqlite3.connect")
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
    assert kept.read_text() == "as it was"


def test_effects_are_noted_in_the_threads_that_are_started() -> None:
    done = threading.Event()

    def act() -> None:
        os.environ["KIT_VARIABLE"] = "for a while"
        del os.environ["KIT_VARIABLE"]
        threading.Thread(target=done.wait, name="inner").start()

    with effects() as noted:
        outer = threading.Thread(target=act, name="outer")
        outer.start()
        outer.join()
        start_process()
    done.set()

    assert noted.variables == {"KIT_VARIABLE"}
    assert [each.name for each in noted.threads] == ["outer", "inner"]
    assert [each.args for each in noted.programs] == [[sys.executable, "-c", ""]]


def test_what_others_do_meanwhile_is_not_noted() -> None:
    go, gone = threading.Event(), threading.Event()

    def act() -> None:
        go.wait()
        os.environ["KIT_VARIABLE"] = "for a while"
        del os.environ["KIT_VARIABLE"]
        start_process()
        gone.set()

    threading.Thread(target=act).start()
    with effects() as noted:
        go.set()
        assert gone.wait(30)
        with unwatched():
            start_process()

    assert (noted.variables, noted.threads, noted.programs) == (set(), [], [])
