"""A key on standard input: one line, bounded, and kept only in the returned secret (LEK-4)."""

from __future__ import annotations

import os
import threading
import traceback

import pytest

from freshkey.errors import ConfigurationError
from freshkey.secret import Secret
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
        return read_key(reading)
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
        ([b"sk-1\nsk-2\n"], "sk-1"),
        ([b" sk-1 \n"], " sk-1 "),  # the provider refuses it
        (["schlüssel\n".encode()], "schlüssel"),
        ([b"\xff\n"], "\N{REPLACEMENT CHARACTER}"),
        ([b"x" * MAX_LENGTH], "x" * MAX_LENGTH),
        ([b"x" * MAX_LENGTH, b"\r\n"], "x" * MAX_LENGTH),
    ],
)
def test_the_first_line_is_the_key(pieces: list[bytes], key: str) -> None:
    assert read(*pieces) == Secret(key)


@pytest.mark.parametrize("pieces", [[], [b"\n"], [b"\r\n"], [b"\nsk-1\n"]])
def test_an_empty_line_is_none(pieces: list[bytes]) -> None:
    assert read(*pieces) is None


@pytest.mark.parametrize("pieces", [[b"canary" * 3000], [b"canary" * 3000 + b"\n"], [b"canary" * 2731, b"canary\n"]])
def test_line_too_long_for_a_key_is_refused_and_not_shown(pieces: list[bytes]) -> None:
    with raises_code(ConfigurationError, "invalid-secret-input") as caught:
        read(*pieces)
    assert "16384 bytes" in str(caught.value)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    own = [frame for frame in shown.stack if frame.filename.endswith("freshkey_cli/key_input.py")]
    assert own
    assert "canary" not in "".join(f"{frame.line}{frame.locals}" for frame in own)


def test_writer_that_keeps_the_pipe_open_does_not_block_the_reader() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"sk-1\n")

    assert read_key(reading) == Secret("sk-1")
    os.close(reading)
    os.close(writing)
