"""Standard output and error: any text can be written, and programs read the same bytes on every platform."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from freshkey_cli import streams


TEXT = "\u2192 \u2026 \u043c \udc80\n"


def written(monkeypatch: pytest.MonkeyPatch, **chosen: str) -> dict[str, bytes]:
    """Return what becomes of a text in both streams if they were opened for a pipe in Western Europe."""
    for name in ("PYTHONIOENCODING", "PYTHONUTF8"):
        monkeypatch.delenv(name, raising=False)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    pipes = {}
    for name in ("stdout", "stderr"):
        pipes[name] = io.BytesIO()
        monkeypatch.setattr(sys, name, io.TextIOWrapper(pipes[name], encoding="cp1252"))
    streams.prepare()
    for name in pipes:
        getattr(sys, name).write(TEXT)
        getattr(sys, name).flush()
    return {name: pipe.getvalue() for name, pipe in pipes.items()}


IN_THE_CODE_PAGE = b"\\u2192 \x85 \\u043c \\udc80\n"
IN_UTF8 = b"\xe2\x86\x92 \xe2\x80\xa6 \xd0\xbc \\udc80\n"


def test_pipes_get_utf8_on_windows_whatever_the_code_page(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = IN_UTF8 if sys.platform == "win32" else IN_THE_CODE_PAGE

    assert written(monkeypatch) == {"stdout": expected, "stderr": expected}
    assert written(monkeypatch, PYTHONIOENCODING=":strict")["stdout"] == expected


@pytest.mark.parametrize("chosen", [{"PYTHONIOENCODING": "cp1252:strict"}, {"PYTHONUTF8": "0"}])
def test_an_encoding_that_the_user_chose_stays(monkeypatch: pytest.MonkeyPatch, chosen: dict[str, str]) -> None:
    assert written(monkeypatch, **chosen) == {"stdout": IN_THE_CODE_PAGE, "stderr": IN_THE_CODE_PAGE}


def test_streams_that_are_no_files_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", None)
    streams.prepare()

    assert not streams.is_terminal(sys.stdout)
    assert not streams.is_terminal(sys.stderr)


def test_programs_read_utf8_without_a_mark_and_with_plain_line_ends(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "freshkey"]
    missing = tmp_path / "\u043c\u0438\u0440"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONIO", "PYTHONUTF8"))}
    environ |= {"FRESHKEY_CONFIG_DIR": str(tmp_path), "FRESHKEY_STATE_DIR": str(tmp_path), "PYTHONUTF8": ""}
    failed = subprocess.run([*program, "trust", str(missing)], env=environ, capture_output=True, check=False)
    listed = subprocess.run([*program, "providers", "--json"], env=environ, capture_output=True, check=False)

    assert failed.returncode == 6
    assert f"file or directory not found: {missing}" in failed.stderr.decode("utf-8")
    assert listed.stdout.startswith(b"{\n  ")
    assert listed.stdout.isascii()
    assert b"\r" not in listed.stdout + failed.stderr


def test_the_null_device_is_no_terminal() -> None:
    program = "import sys; from freshkey_cli import streams; sys.exit(streams.is_terminal(sys.stdin))"
    done = subprocess.run([sys.executable, "-c", program], stdin=subprocess.DEVNULL, check=False)

    assert done.returncode == 0  # for Python on Windows, it is one


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (r"\msys-dd50a72ab4668b33-pty0-from-master", True),
        (r"\msys-dd50a72ab4668b33-pty12-to-master-nat", True),
        (r"\msys-dd50a72ab4668b33-pty0-from-master-nat", True),
        (r"\cygwin-c5e39b7a9d22bafb-pty1-to-master-cyg", True),
        (r"\cygwin-c5e39b7a9d22bafb-pty0-to-slave", True),
        (r"\msys-dd50a72ab4668b33-pipe-0x1", False),  # between two programs
        (r"\msys-dd50a72ab4668b33-3312-pipe-nt-0x1", False),
        (r"\Win32Pipes.00000b20.00000002", False),
        (r"\x\msys-dd50a72ab4668b33-pty0-from-master", False),
        (r"\msys-dd50a72ab4668b33-pty0-from-master2", False),
        ("", False),
    ],
)
def test_terminals_of_cygwin_are_known_by_the_names_of_their_pipes(
    name: str, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_pipe_name", lambda _: name)

    assert streams.is_mintty(sys.stdin) is found
    assert not streams.is_mintty(None)


def test_other_streams_are_no_terminals_of_cygwin(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w") as pipe, (tmp_path / "file").open("w") as file:
        assert not any(streams.is_mintty(stream) for stream in (pipe, file, io.StringIO()))
    assert not streams.is_mintty(pipe)  # closed


READER = """
import io, sys, threading
from freshkey.errors import LoginRequired
from freshkey_cli.key_input import KeyGiver
from freshkey_cli.output import Output
try:
    key = KeyGiver(Output(stderr=io.StringIO())).read_code("Key", threading.Event())
    sys.exit(key is None or key.reveal() != "sk-1")
except LoginRequired as error:
    sys.exit(3 if "winpty" in str(error.hint) else 4)
"""

if sys.platform == "win32":
    import _winapi
    import msvcrt

    @pytest.mark.parametrize(("name", "code"), [("pty0-from-master", 3), ("pipe-0x1", 0)])
    def test_a_key_is_not_read_where_it_would_be_shown(name: str, code: int) -> None:
        """Nor is it waited for: the other end of a terminal stays open until the user types something."""
        path = rf"\\.\pipe\msys-{os.urandom(8).hex()}-{name}"
        ours = _winapi.CreateNamedPipe(path, _winapi.PIPE_ACCESS_DUPLEX, 0, 1, 4096, 4096, 0, 0)
        theirs = _winapi.CreateFile(path, _winapi.GENERIC_READ, 0, 0, _winapi.OPEN_EXISTING, 0, 0)
        with (
            os.fdopen(msvcrt.open_osfhandle(theirs, os.O_RDONLY)) as stdin,
            os.fdopen(msvcrt.open_osfhandle(ours, os.O_WRONLY), "wb", buffering=0) as typed,
            subprocess.Popen([sys.executable, "-c", READER], stdin=stdin) as process,
        ):
            if not code:
                typed.write(b"sk-1\n")
                typed.close()
            assert process.wait(60) == code
