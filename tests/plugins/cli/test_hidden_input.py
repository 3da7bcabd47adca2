"""Pasting in a real pseudo-terminal: no echo, bounded, cancelable, and the terminal is restored (FLO-9)."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

import pytest

from freshkey.secret import Secret
from freshkey_cli import hidden_input
from promises import proves
from waiting import PATIENCE


if sys.platform == "win32":
    pytest.skip("pseudo-terminals are POSIX", allow_module_level=True)

import select


if sys.platform != "win32":
    import pty
    import termios


PROMPT = "Paste it here:"


class Reading:
    """A thread that reads one line from a new pseudo-terminal."""

    def __init__(self) -> None:
        self.keyboard, self.fd = pty.openpty()
        self.before = termios.tcgetattr(self.fd)
        self.given_up = threading.Event()
        self.said: list[str] = []
        self.echoed: list[bool] = []
        self.complained = threading.Event()
        self.result: Secret | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        self.result = hidden_input.read_line(self.fd, PROMPT, self.given_up, self._say)

    def _say(self, text: str) -> None:
        self.echoed.append(self.echoes)
        self.said.append(text)
        if text != PROMPT:
            self.complained.set()

    def start(self) -> None:
        """Start, and return once the prompt is shown: by then the echo is off, and earlier input is discarded."""
        self._thread.start()
        deadline = threading.Event()
        for _ in range(500):
            if self.said:
                return
            deadline.wait(0.01)
        raise TimeoutError("the prompt was never shown")

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def type(self, text: bytes) -> None:
        sent = 0
        while sent < len(text):
            sent += os.write(self.keyboard, text[sent : sent + 512])

    def hang_up(self) -> None:
        os.close(self.keyboard)
        self.keyboard = os.open(os.devnull, os.O_RDONLY)

    def end(self) -> Secret | None:
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self.result

    def ends_within(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def shown(self) -> bytes:
        ready, _, _ = select.select([self.keyboard], [], [], 0)
        return os.read(self.keyboard, 65536) if ready else b""


@pytest.fixture(autouse=True)
def simple_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a terminal that does not mark what is pasted."""
    monkeypatch.setenv("TERM", "dumb")


@pytest.fixture
def reading() -> Iterator[Reading]:
    reading = Reading()
    reading.start()
    yield reading
    reading.given_up.set()
    reading.end()
    os.close(reading.keyboard)
    os.close(reading.fd)


@proves("FAULT-54")
def test_line_is_read_without_echo_and_the_terminal_is_restored(reading: Reading) -> None:
    assert not reading.echoes
    reading.type(b"  code#state \r")

    assert reading.end() == Secret("code#state")
    assert reading.shown == b""
    assert termios.tcgetattr(reading.fd) == reading.before


def test_prompt_is_shown_after_the_echo_is_off(reading: Reading) -> None:  # programs answer it immediately
    reading.given_up.set()
    reading.end()

    assert (reading.said, reading.echoed) == ([PROMPT], [False])


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (b"\n\n \nabc\n", "abc"),
        (b"abx\x7fc\n", "abc"),
        (b"wrong\x15abc\n", "abc"),
        (b"\x1b[200~abc\x1b[201~\n", "abc"),
        (b"abc\ndef\n", "abc\ndef"),
        (b"abc\rdef\r", "abc\ndef"),
        (b"abc\r\n", "abc"),
        (b"\x1b[200~abc\ndef\x1b[201~\n", "abc\ndef"),
        (b"\x1b[200~abc\n\x1b[201~", "abc"),
        (b"\x1b[200~a\x1b[201~b\n", "ab"),
        (b"a\x04bc\n", "abc"),
        (b"x" * 4096 + b"\n", "x" * 4096),
        (b"caf\xc3\xa9\n", "café"),
    ],
)
def test_editing_keys_and_paste_brackets_are_applied(reading: Reading, typed: bytes, read: str) -> None:
    reading.type(typed)

    assert reading.end() == Secret(read)


def test_a_paste_that_arrives_in_pieces_is_not_cut_off(reading: Reading) -> None:
    reading.type(b"abc\n")
    reading.type(b"def\n")

    assert reading.end() == Secret("abc\ndef")


def test_a_paste_that_arrives_in_pieces_half_a_second_apart_is_not_cut_off(reading: Reading) -> None:
    reading.type(b"abc\n")
    assert not reading.ends_within(0.5)
    reading.type(b"def\n")

    assert reading.end() == Secret("abc\ndef")


def test_terminal_marks_pastes_only_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    reading = Reading()
    reading.start()
    reading.type(b"\x1b[200~abc\x1b[201~\n")

    assert reading.end() == Secret("abc")
    shown = b""
    while piece := reading.shown:
        shown += piece
    assert shown == b"\x1b[?2004h\x1b[?2004l"
    os.close(reading.keyboard)
    os.close(reading.fd)


def test_a_line_end_inside_paste_brackets_does_not_end_the_line(reading: Reading) -> None:
    reading.type(b"\x1b[200~abc\n")
    assert not reading.ends_within(4 * hidden_input.POLL_INTERVAL)
    reading.type(b"def\x1b[201~\n")

    assert reading.end() == Secret("abc\ndef")


@pytest.mark.parametrize(
    "typed", [b"x" * 4097, *(b"\x1b[200~" + b"x" * length + b"\x1b[201~" for length in (4093, 4095, 4097, 9000))]
)
def test_line_over_4_kib_is_discarded_and_requested_again(reading: Reading, typed: bytes) -> None:
    reading.type(typed + b"\n")
    assert reading.complained.wait(10)
    assert "4096 bytes" in reading.said[-1]
    assert "x" * 10 not in reading.said[-1]

    reading.type(b"abc\n")
    assert reading.end() == Secret("abc")


@proves("FAULT-54")
def test_reading_is_canceled_when_the_response_arrives_elsewhere(reading: Reading) -> None:
    reading.type(b"half")
    reading.given_up.set()

    assert reading.end() is None
    assert termios.tcgetattr(reading.fd) == reading.before


def test_end_of_input_returns_none(reading: Reading) -> None:
    reading.type(b"\x04")

    assert reading.end() is None


def test_suspending_the_process_cannot_restore_the_echo(reading: Reading) -> None:
    control_characters = termios.tcgetattr(reading.fd)[6]

    assert control_characters[termios.VSUSP] == b"\0"


def test_closed_terminal_ends_the_reading(reading: Reading) -> None:
    reading.hang_up()

    assert reading.end() is None
    hidden_input.restore()  # nothing is left to restore


@proves("FAULT-54")
def test_terminal_can_be_restored_from_another_thread(reading: Reading) -> None:
    hidden_input.restore()

    assert termios.tcgetattr(reading.fd) == reading.before
    hidden_input.restore()


def test_restoring_waits_for_a_thread_that_is_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a command that was interrupted could end while the terminal still does not echo."""
    begun, go, over = threading.Event(), threading.Event(), threading.Event()

    def give_back() -> None:
        begun.set()
        go.wait(PATIENCE)
        over.set()

    monkeypatch.setattr(hidden_input, "_RESTORE_TIMEOUT", PATIENCE)
    hidden_input._saved[-1] = give_back
    first = threading.Thread(target=hidden_input.restore)
    first.start()
    begun.wait(PATIENCE)
    threading.Timer(0.2, go.set).start()
    hidden_input.restore()
    assert over.is_set()
    first.join()


def test_restoring_does_not_wait_forever_for_a_stopped_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hidden_input, "_RESTORE_TIMEOUT", 0.01)
    with hidden_input._saved_lock:
        hidden_input.restore()
