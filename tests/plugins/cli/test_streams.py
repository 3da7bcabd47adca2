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
