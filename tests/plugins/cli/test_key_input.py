"""A key on standard input: one line, bounded, and kept only in the returned secret (LEK-4)."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from freshkey.errors import ConfigurationError
from freshkey.secret import Secret
from freshkey_cli import key_input
from freshkey_cli.key_input import MAX_LENGTH, read_key
from raises_code import raises_code


def read(*pieces: bytes) -> Secret | None:
    """Return the key read from a pipe into which these pieces are written."""
    reading, writing = os.pipe()

    def write() -> None:
        for piece in pieces:
            os.write(writing, piece)
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return read_key(reading, lambda _: None)
    finally:
        writer.join()
        os.close(reading)


@pytest.mark.parametrize(
    ("pieces", "key"),
    [
        ([b"sk-1\n"], "sk-1"),
        ([b"sk-1"], "sk-1"),
        ([b"sk-1\r\n"], "sk-1"),
        ([b"sk", b"-", b"1\n"], "sk-1"),
        ([b"sk-1\n\n \n"], "sk-1"),
        ([b"\nsk-1\n"], "sk-1"),
        ([b"\r\n", b" \n", b"\n", b"sk-1"], "sk-1"),
        ([b"\n sk-1\n"], " sk-1"),
        ([b"\n" + b"x" * MAX_LENGTH + b"\n"], "x" * MAX_LENGTH),
        ([b" sk-1 \n"], " sk-1 "),  # the provider refuses it
        (["schlüssel\n".encode()], "schlüssel"),
        ([b"\xff\n"], "\N{REPLACEMENT CHARACTER}"),
        ([b"x" * MAX_LENGTH], "x" * MAX_LENGTH),
        ([b"x" * MAX_LENGTH, b"\r\n"], "x" * MAX_LENGTH),
        # What PowerShell writes into files and pipes:
        ([b"\xef\xbb\xbfsk-1\r\n"], "sk-1"),
        ([b"\xef\xbb", b"\xbf\r\nsk-1\r\n"], "sk-1"),
        (["\ufeffsk-1\r\n".encode("utf-16-le")], "sk-1"),
        ([b"\xff", b"\xfes", b"\0k\0", b"-\0001", b"\0\r\0\n\0"], "sk-1"),
        (["\ufeffsk-1\n".encode("utf-16-be")], "sk-1"),
        (["\ufeffsk-1\r\n".encode("utf-16-le") + b"\r", b"\0\n\0"], "sk-1"),
        (["\ufeffsk-1".encode("utf-16-le") + b"2"], "sk-1\N{REPLACEMENT CHARACTER}"),  # not the key without its end
        (["\ufeff".encode("utf-16-le") + ("x" * 8000 + "\r\n").encode("utf-16-le")], "x" * 8000),
    ],
)
def test_the_line_is_the_key(pieces: list[bytes], key: str) -> None:
    assert read(*pieces) == Secret(key)


@pytest.mark.parametrize("pieces", [[], [b"\n"], [b"\r\n"], [b"\n\n \n"]])
def test_empty_lines_alone_are_none(pieces: list[bytes]) -> None:
    assert read(*pieces) is None


@pytest.mark.parametrize("pieces", [[b"canary" * 3000], [b"canary" * 3000 + b"\n"], [b"canary" * 2731, b"canary\n"]])
def test_line_too_long_for_a_key_is_refused_and_not_shown(pieces: list[bytes]) -> None:
    with raises_code(ConfigurationError, "invalid-secret-input") as caught:
        read(*pieces)
    assert "16384 bytes" in str(caught.value)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    own = [frame for frame in shown.stack if Path(frame.filename).name == "key_input.py"]
    assert own
    assert "canary" not in "".join(f"{frame.line}{frame.locals}" for frame in own)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"sk-canary-1\nsk-2\n"],
        [b"sk-canary-1\n", b"sk-2\n"],
        [b"sk-canary-1\n", b"sk-2"],
        [b"sk-canary-1\r\nsk-2\r\n"],
        [b"sk-canary-1\n\n\nsk-2"],
        [b"sk-canary-1\n" + b"x" * MAX_LENGTH],
        [b"\nsk-canary-1\nsk-2\n"],
        ["\ufeffsk-canary-1\r\nsk-2\r\n".encode("utf-16-le")],
    ],
)
def test_the_first_of_several_lines_is_not_taken_for_the_key(pieces: list[bytes]) -> None:
    with raises_code(ConfigurationError, "invalid-secret-input") as caught:
        read(*pieces)
    assert "more than one line" in str(caught.value)
    assert "if it was wrapped" in str(caught.value)  # its first line alone would be half a key
    assert "canary" not in str(caught.value)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_writer_that_keeps_the_pipe_open_does_not_block_the_reader_forever(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_input, "_MORE_TIMEOUT", 0.2)
    monkeypatch.setattr(key_input, "_SILENT_SECONDS", 0.1)
    reading, writing = pipe
    os.write(writing, b"sk-1\n")
    said: list[str] = []

    assert read_key(reading, said.append) == Secret("sk-1")
    assert len(said) == 1
    assert said[0].endswith("press Ctrl-Z and Enter" if sys.platform == "win32" else "press Ctrl-D")


def test_first_line_has_no_limit_although_an_empty_one_came_before(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_input, "_MORE_TIMEOUT", 0.0)
    monkeypatch.setattr(key_input, "_SILENT_SECONDS", 0.0)
    reading, writing = pipe
    os.write(writing, b"\nsk-")
    writer = threading.Timer(0.3, os.write, (writing, b"canary\n"))
    writer.start()

    assert read_key(reading, lambda _: None) == Secret("sk-canary")
    writer.join()


def test_second_half_of_a_key_is_waited_for(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"sk-canary-1\n")

    with raises_code(ConfigurationError, "invalid-secret-input"):
        read_key(reading, lambda _: ignore(os.write(writing, b"sk-2\n")))


def ignore(_: object) -> None:
    """Discard a result."""


def test_empty_lines_without_end_are_not_all_read() -> None:
    def write(writing: int) -> None:
        with suppress(BrokenPipeError):
            while True:
                os.write(writing, b"\n" * 4096)

    reading, writing = os.pipe()
    writer = threading.Thread(target=write, args=(writing,))
    writer.start()
    assert read_key(reading, lambda _: None) is None
    os.close(reading)
    writer.join()
    os.close(writing)
