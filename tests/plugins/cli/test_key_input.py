"""A key on standard input: one line, bounded, and nowhere but in the secret that comes out (LEK-4)."""

from __future__ import annotations

import os
import threading
import traceback

import pytest

from freshkey.errors import ConfigurationError
from freshkey.secret import Secret
from freshkey_cli.key_input import MAX_LENGTH, read_key


def read(*pieces: bytes) -> Secret | None:
    """Return what is read from a pipe into which these pieces are written."""
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
        ([b" sk-1 \n"], " sk-1 "),  # for the provider to refuse
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
def test_more_than_a_key_is_refused_and_not_shown(pieces: list[bytes]) -> None:
    with pytest.raises(ConfigurationError, match="longer than 16384 bytes") as caught:
        read(*pieces)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    own = [frame for frame in shown.stack if frame.filename.endswith("freshkey_cli/key_input.py")]
    assert own
    assert "canary" not in "".join(f"{frame.line}{frame.locals}" for frame in own)


def test_a_writer_that_waits_after_the_line_holds_up_nobody() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"sk-1\n")

    assert read_key(reading) == Secret("sk-1")
    os.close(reading)
    os.close(writing)
