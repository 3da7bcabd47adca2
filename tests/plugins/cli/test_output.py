"""Tables and live lines: rendered by rich in a terminal, plain elsewhere without importing rich."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from freshkey_cli.output import Output


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
        "import sys; from freshkey_cli.output import Output; out = Output(); out.line('a\\x1b'); "
        "out.table({}, ('B',), [['c']]); sys.exit('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "a\N{REPLACEMENT CHARACTER}\nB\nc\n")
