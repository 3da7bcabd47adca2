"""Tables and live lines: rendered by rich in a terminal, plain elsewhere without importing rich."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from freshkey._text.visible import is_invisible
from freshkey.errors import FreshkeyError, TransientError
from freshkey_cli.exits import UsageError
from freshkey_cli.output import Output
from freshkey_cli.terminal import Terminal
from promises import proves


class TerminalStream(io.StringIO):
    """A text stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def test_table_in_a_terminal_has_a_bold_header_and_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = TerminalStream()
    Output(stdout=stream).table({}, ("NAME", "STATE"), [["[bold]me[/bold]", "\x1b[2Jfresh"]])
    header, row, *_ = stream.getvalue().splitlines()

    assert header.startswith("\x1b[1m")
    assert row.split() == ["[bold]me[/bold]", "\ufffd[2Jfresh"]


def test_live_line_is_only_live_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = TerminalStream()
    with Output(stdout=stream).live_line() as show:
        assert show is not None
        show("  one [bold]")
        show("  two")
    assert "  one [bold]" in stream.getvalue()
    assert "\x1b[2K  two" in stream.getvalue()

    for plain in (Output(stdout=io.StringIO()), Output(stdout=stream, as_json=True)):
        with plain.live_line() as show:
            assert show is None


def test_rich_is_not_imported_without_a_terminal() -> None:
    program = (
        "import sys; from freshkey_cli import streams; from freshkey_cli.output import Output; streams.prepare(); "
        "out = Output(); out.line('a\\x1b'); "
        "out.table({}, ('B',), [['c']]); sys.exit('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=False)

    assert (done.returncode, done.stdout) == (0, "a\N{REPLACEMENT CHARACTER}\nB\nc\n")


HOSTILE = "ci\x1b[2J\u202e\u2800\u3164\nfreshkey: Signed in as ada"


@proves("LEK-9")
def test_every_line_for_people_is_cleaned_where_it_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    out = Output(stdout=shown, stderr=shown)
    someone = Terminal(out, environ={})
    monkeypatch.setattr("sys.stdin", TerminalStream("y\n"))
    monkeypatch.setattr("sys.stderr", TerminalStream())
    out.result({}, [HOSTILE])
    out.line(HOSTILE)
    out.table({}, (HOSTILE,), [[HOSTILE]])
    out.say(HOSTILE, HOSTILE)
    out.instruct(HOSTILE)
    out.error(FreshkeyError(HOSTILE, hint=HOSTILE, profile=HOSTILE))
    out.error(UsageError(HOSTILE, "usage: x"))
    someone.progress(HOSTILE)
    someone.line(HOSTILE)
    someone.notice(HOSTILE)
    assert someone.confirm(HOSTILE)
    someone.show_device_code(HOSTILE, HOSTILE, HOSTILE)
    lines = shown.getvalue().splitlines()
    assert len(lines) == 17
    assert not [line for line in lines if line.startswith("freshkey: Signed in")]
    assert not [each for line in lines for each in line if is_invisible(each)]


@proves("LEK-9")
def test_a_credential_is_printed_as_it_is() -> None:
    shown = io.StringIO()
    Output(stdout=shown).result({}, ["a\u200bb"], exact=True)
    assert shown.getvalue() == "a\u200bb\n"


@proves("LEK-9")
def test_json_is_exact_valid_and_without_raw_control_characters() -> None:
    shown, told = io.StringIO(), io.StringIO()
    out = Output(as_json=True, stdout=shown, stderr=told)
    out.result({"name": HOSTILE + "\x7f\U0001f511", "half": "\ud800x", "seconds": float("inf")}, [])
    out.error(TransientError(HOSTILE + " password=hunter2", retry_after=float("nan")))
    for text in (shown.getvalue(), told.getvalue()):
        assert text.isascii()
        assert text.replace("\n", "").isprintable()
    assert json.loads(shown.getvalue()) == {"name": HOSTILE + "\x7f\U0001f511", "half": "\ufffdx", "seconds": None}
    assert json.loads(told.getvalue())["error"]["message"] == HOSTILE + " password=[redacted]"


@proves("LEK-9")
def test_an_error_is_shown_without_what_looks_like_a_secret() -> None:
    shown = io.StringIO()
    Output(stderr=shown).error(TransientError("bad sk-ant-api03-abcDEF123456", profile="sk-ant-api03-abcDEF123456"))
    assert "abcDEF" not in shown.getvalue()
