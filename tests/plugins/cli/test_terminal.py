"""The user's terminal: a browser, a URL to open, a code to paste, or an immediate error instead of a hang."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from freshkey.errors import ConfigurationError, LoginRequired, TrustNeeded
from freshkey.secret import Secret
from freshkey_cli import streams, trust_question
from freshkey_cli.key_input import KeyGiver
from freshkey_cli.output import Output
from freshkey_cli.terminal import Terminal
from raises_code import raises_code


URL = "https://login.example.com/authorize?state=abc"


class Stdin(io.StringIO):
    """Standard input that may or may not be a terminal."""

    def __init__(self, text: str = "", *, terminal: bool) -> None:
        super().__init__(text)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def fileno(self) -> int:
        return 0


@pytest.fixture
def stderr() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def opener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, str]]:
    """Return the file to which a fake browser writes its URL, and the environment that names it (not on Windows)."""
    shown = tmp_path / "shown"
    if sys.platform == "win32":
        monkeypatch.setattr(os, "startfile", lambda url, **_: shown.write_text(url))
        return shown, {}
    program = tmp_path / "browser"
    program.write_text(f'#!/bin/sh\nprintf "%s" "$1" > {shown}\n')
    program.chmod(0o700)
    return shown, {"BROWSER": str(program), "PATH": "/usr/bin:/bin"}


def user(
    stderr: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    *,
    terminal: bool,
    browser: bool = True,
    environ: dict[str, str] | None = None,
    as_json: bool = False,
) -> Terminal:
    monkeypatch.setattr("sys.stdin", Stdin(terminal=terminal))
    return Terminal(Output(stderr=stderr, as_json=as_json), browser=browser, environ=environ or {})


def test_browser_is_opened_and_the_url_shown(
    stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch, opener: tuple[Path, dict[str, str]]
) -> None:
    shown, environ = opener
    user(stderr, monkeypatch, terminal=False, environ=environ).open_url(URL)

    assert shown.read_text() == URL
    assert "Opening login.example.com" in stderr.getvalue()
    assert URL in stderr.getvalue()


def test_an_address_of_this_machine_is_called_that(
    stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch, opener: tuple[Path, dict[str, str]]
) -> None:
    shown, environ = opener
    start = "http://127.0.0.1:8085/callback/a-random-path"
    user(stderr, monkeypatch, terminal=False, environ=environ).open_url(start)
    user(stderr, monkeypatch, terminal=True, browser=False).open_url(start)

    assert shown.read_text() == start
    assert stderr.getvalue() == (
        f"Opening your browser…\nIf the browser does not open, go to this URL on this machine:\n  {start}\n"
        f"Open this URL in a browser on this machine:\n  {start}\n"
    )


def test_no_browser_prints_the_url_even_with_json(
    stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch, opener: tuple[Path, dict[str, str]]
) -> None:
    shown, environ = opener
    someone = user(stderr, monkeypatch, terminal=True, browser=False, environ=environ, as_json=True)
    someone.progress("working")
    someone.open_url(URL)

    assert not shown.exists()
    assert stderr.getvalue() == f"Open this URL in a browser:\n  {URL}\n"


def failing(_: str, **__: object) -> None:
    """Start no program, as without a desktop."""
    raise OSError


def test_failing_browser_leaves_the_url(stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "win32":
        monkeypatch.setattr(os, "startfile", failing)
    environ = {"BROWSER": "/bin/false"}
    user(stderr, monkeypatch, terminal=True, environ=environ).open_url(URL)

    assert f"Open this URL in a browser:\n  {URL}" in stderr.getvalue()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "https://x/ y", "http://example.com/"])
def test_unsafe_urls_are_neither_opened_nor_printed(
    stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    with pytest.raises(ConfigurationError):
        user(stderr, monkeypatch, terminal=True).open_url(url)
    assert url not in stderr.getvalue()


def test_without_terminal_and_browser_every_question_fails_immediately(
    stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Windows is asked to open a URL, with a desktop or without.
    terminal = user(stderr, monkeypatch, terminal=False, browser=sys.platform != "win32")
    monkeypatch.setattr("sys.stderr", io.StringIO())

    with raises_code(LoginRequired, "no-terminal"):
        terminal.require_attended()
    with raises_code(LoginRequired, "no-terminal"):
        terminal.open_url(URL)
    with raises_code(LoginRequired, "no-terminal"):
        terminal.read_code("Code?", threading.Event())
    with raises_code(LoginRequired, "no-terminal"):
        terminal.show_device_code("ABCD", "https://example.com", None)


def test_no_browser_option_without_a_terminal_fails(
    stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch, opener: tuple[Path, dict[str, str]]
) -> None:
    with raises_code(LoginRequired, "no-terminal"):
        user(stderr, monkeypatch, terminal=False, browser=False, environ=opener[1]).open_url(URL)


def test_without_a_terminal_only_the_browser_can_respond(
    stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch, opener: tuple[Path, dict[str, str]]
) -> None:
    given_up = threading.Event()
    threading.Timer(0.05, given_up.set).start()

    assert user(stderr, monkeypatch, terminal=False, environ=opener[1]).read_code("Code?", given_up) is None
    assert given_up.is_set()
    assert stderr.getvalue() == ""


def test_pasted_code_is_requested_and_never_shown(stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_line(fd: int, prompt: str, given_up: threading.Event, say: Callable[[str], None]) -> Secret:
        say(prompt)
        return Secret("canary")

    monkeypatch.setattr("freshkey_cli.hidden_input.read_line", read_line)
    answer = user(stderr, monkeypatch, terminal=True).read_code("Visit\nhttps://x\x1b and paste:", threading.Event())

    assert answer == Secret("canary")
    assert stderr.getvalue() == "Visit\nhttps://x\N{REPLACEMENT CHARACTER} and paste:\nReceived.\n"


def test_canceled_paste_leaves_it_to_the_browser(stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freshkey_cli.hidden_input.read_line", lambda fd, prompt, given_up, say: None)
    given_up = threading.Event()
    given_up.set()

    assert user(stderr, monkeypatch, terminal=True).read_code("Paste the code:", given_up) is None


def test_device_code_is_shown_with_a_warning(stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    someone = user(stderr, monkeypatch, terminal=True)
    someone.show_device_code("ABCD-EFGH", "https://example.com/device", "https://example.com/device?c=ABCD")

    assert "open https://example.com/device and enter the code ABCD-EFGH" in stderr.getvalue()
    assert "https://example.com/device?c=ABCD" in stderr.getvalue()
    assert "Continue only if you started this sign-in yourself" in stderr.getvalue()


def test_control_characters_in_provider_messages_are_not_printed(
    stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    someone = user(stderr, monkeypatch, terminal=True)
    someone.notice("\x1b[2Jnotice")
    someone.line("\x1b[2Jline")
    someone.progress("\x1b[2Jprogress")
    someone.show_device_code("\x1b[2J", "https://\x1b", None)

    assert "\x1b" not in stderr.getvalue()
    assert all(word in stderr.getvalue() for word in ("notice", "line", "progress"))


@pytest.mark.parametrize(
    ("line", "agreed"), [("y\n", True), (" YES \n", True), ("\n", False), ("n\n", False), ("yep\n", False), ("", False)]
)
def test_only_an_explicit_yes_confirms(
    stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch, line: str, agreed: bool
) -> None:
    terminal = user(stderr, monkeypatch, terminal=True)
    monkeypatch.setattr("sys.stdin", Stdin(line, terminal=True))
    monkeypatch.setattr("sys.stderr", Stdin(terminal=True))
    assert terminal.confirm("Use \x1b[31mit?") is agreed
    assert "Use" in stderr.getvalue()
    assert "[y/N]" in stderr.getvalue()
    assert "\x1b" not in stderr.getvalue()


@pytest.mark.parametrize("streams", [(False, True), (True, False)], ids=["no stdin", "no stderr"])
def test_without_a_terminal_confirmation_fails(
    stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch, streams: tuple[bool, bool]
) -> None:
    terminal = user(stderr, monkeypatch, terminal=streams[0])
    monkeypatch.setattr("sys.stderr", Stdin(terminal=streams[1]))
    with raises_code(LoginRequired, "no-terminal"):
        terminal.confirm("Use it?")


@pytest.fixture
def typed(stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Terminal]:
    """Return what makes a terminal in which these lines are typed."""

    def make(lines: str) -> Terminal:
        terminal = user(stderr, monkeypatch, terminal=True)
        monkeypatch.setattr("sys.stdin", Stdin(lines, terminal=True))
        monkeypatch.setattr("sys.stderr", Stdin(terminal=True))
        return terminal

    return make


@pytest.mark.parametrize(
    ("lines", "answer"),
    [(" Ada \n", "Ada"), ("\n", ""), ("", ""), ("a\x1b[2J\nAda\n", "Ada"), ("x" * 5000 + "\nAda\n", "Ada")],
)
def test_a_text_is_one_visible_line(typed: Callable[[str], Terminal], lines: str, answer: str) -> None:
    assert typed(lines).read_text("Your\x1b\nname?") == answer


def test_a_text_is_asked_for_again_if_it_cannot_be_one(typed: Callable[[str], Terminal], stderr: io.StringIO) -> None:
    typed("a\u202eb\nAda\n").read_text("Name?")
    assert stderr.getvalue().count("Name?") == 2
    assert "cannot be used" in stderr.getvalue()


@pytest.mark.parametrize("line", ["2\n", " b \n", "5\n7\n2\n", "B\n2\n"])
def test_an_option_is_chosen_by_number_or_value(
    typed: Callable[[str], Terminal], stderr: io.StringIO, line: str
) -> None:
    assert typed(line).choose("Which\x1b?", {"a": "First\x1b", "b": "Second"}) == "b"
    assert (
        "  1) First\N{REPLACEMENT CHARACTER}\n  2) Second\nEnter one of: 1, 2; or nothing, to choose none\n"
        in stderr.getvalue()
    )


def test_options_that_are_numbers_are_chosen_by_value(typed: Callable[[str], Terminal], stderr: io.StringIO) -> None:
    assert typed("2\n").choose("How many?", {"2": "Two", "1": "One"}) == "2"
    assert "  2) Two\n  1) One\nEnter one of: 2, 1; or nothing, to choose none\n" in stderr.getvalue()


@pytest.mark.parametrize("lines", ["7\n", "\na\n", "  \na\n"], ids=["the end of the input", "an empty line", "spaces"])
def test_nothing_chooses_none(typed: Callable[[str], Terminal], stderr: io.StringIO, lines: str) -> None:
    with raises_code(LoginRequired, "no-answer"):
        typed(lines).choose("Which?", {"a": "A"})
    assert ("That is none of them" in stderr.getvalue()) is lines.startswith("7")


@pytest.mark.parametrize(("entered", "answer"), [(Secret("canary"), "canary"), (None, "")])
def test_a_secret_is_read_without_echo(
    typed: Callable[[str], Terminal], monkeypatch: pytest.MonkeyPatch, entered: Secret | None, answer: str
) -> None:
    monkeypatch.setattr("freshkey_cli.hidden_input.read_line", lambda *_: entered)
    assert typed("").read_secret("Password?") == Secret(answer)


def test_a_secret_of_several_lines_is_refused(
    typed: Callable[[str], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freshkey_cli.hidden_input.read_line", lambda *_: Secret("half\nhalf"))
    with raises_code(ConfigurationError, "invalid-secret-input"):
        typed("").read_secret("Password?")


@pytest.mark.parametrize("terminals", [(False, True), (True, False)], ids=["no stdin", "no stderr"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda terminal: terminal.read_text("Name?"),
        lambda terminal: terminal.read_secret("Password?"),
        lambda terminal: terminal.choose("Which?", {"a": "A"}),
    ],
)
def test_without_a_terminal_nothing_can_be_typed(
    stderr: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[Terminal], object],
    terminals: tuple[bool, bool],
) -> None:
    terminal = user(stderr, monkeypatch, terminal=terminals[0])
    monkeypatch.setattr("sys.stderr", Stdin(terminal=terminals[1]))
    with raises_code(LoginRequired, "no-terminal"):
        ask(terminal)


@pytest.mark.parametrize("terminals", [(False, True), (True, False)])
def test_a_session_with_a_terminal_is_attended(
    stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch, terminals: tuple[bool, bool]
) -> None:
    terminal = user(stderr, monkeypatch, terminal=terminals[0], browser=False)
    monkeypatch.setattr("sys.stderr", Stdin(terminal=terminals[1]))
    terminal.require_attended()


def test_a_session_with_a_browser_is_attended(
    stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch, opener: tuple[Path, dict[str, str]]
) -> None:
    terminal = user(stderr, monkeypatch, terminal=False, environ=opener[1])
    monkeypatch.setattr("sys.stderr", io.StringIO())
    terminal.require_attended()


@pytest.mark.usefixtures("mintty")
def test_a_key_giver_is_not_attended_in_a_terminal_that_would_show_the_key(stderr: io.StringIO) -> None:
    for ask in (KeyGiver.require_attended, lambda giver: giver.read_secret("Key")):
        with raises_code(LoginRequired, "no-terminal"):
            ask(KeyGiver(Output(stderr=stderr)))


def test_a_piped_key_needs_no_terminal(stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Stdin(terminal=False))
    monkeypatch.setattr("freshkey_cli.key_input.read_key", lambda *_: None)
    giver = KeyGiver(Output(stderr=stderr), browser=False)
    giver.require_attended()
    assert giver.read_secret("Key") == Secret("")
    assert giver.read_code("Key", threading.Event()) is None


@pytest.fixture
def mintty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let standard input be what programs of Windows get in Git Bash, and refuse to be read."""
    reading = Stdin(terminal=False)
    monkeypatch.setattr(reading, "readline", lambda: pytest.fail("standard input was read"))
    monkeypatch.setattr("sys.stdin", reading)
    name = r"\msys-dd50a72ab4668b33-pty0-from-master-nat"
    monkeypatch.setattr(streams, "_pipe_name", lambda stream: name if stream is reading else "")
    monkeypatch.setattr("freshkey_cli.key_input.read_key", lambda *_: pytest.fail("standard input was read"))


@pytest.mark.usefixtures("mintty")
def test_a_key_is_not_read_in_a_terminal_that_would_show_it(stderr: io.StringIO) -> None:
    with raises_code(LoginRequired, "no-terminal") as caught:
        KeyGiver(Output(stderr=stderr)).read_code("Key", threading.Event())

    assert "would show" in caught.value.message
    assert str(caught.value.hint).endswith("winpty freshkey login")


@pytest.mark.usefixtures("mintty")
def test_what_needs_a_console_names_winpty(stderr: io.StringIO, tmp_path: Path) -> None:
    terminal = Terminal(Output(stderr=stderr), browser=False)
    for question in (lambda: terminal.open_url(URL), lambda: terminal.confirm("Use it?")):
        with raises_code(LoginRequired, "no-terminal") as caught:
            question()
        assert "winpty" in str(caught.value.hint)

    context: Any = SimpleNamespace(out=Output(stderr=stderr), user=lambda: terminal)
    with pytest.raises(TrustNeeded) as needed:
        trust_question.ask(context, tmp_path / "file", ["What?"])
    assert "winpty freshkey trust" in str(needed.value.hint)
    assert "freshkey trust --yes" in str(needed.value.hint)
