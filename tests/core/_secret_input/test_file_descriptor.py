"""Secrets from inherited file descriptors: read once, with limits, closed, never shown."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from freshkey._secret_input import file_descriptor
from freshkey._secret_input.file_descriptor import descriptor_is_there, descriptor_secret
from freshkey.errors import ConfigurationError, FreshkeyError, TransientError
from freshkey.secret import MAX_TOKEN
from raises_code import raises_code


if sys.platform != "win32":
    import pty


of_posix = pytest.mark.skipif(sys.platform == "win32", reason="owners, modes and sockets as file descriptors")

CANARY = "sk-canary-5d41402abc4b2a76b9719d911017c592"


@pytest.fixture(autouse=True)
def _nothing_was_read() -> Iterator[None]:
    """Start each test like a new process: numbers of file descriptors are reused."""
    file_descriptor._handed_over.clear()
    yield
    file_descriptor._handed_over.clear()


def inherited(content: bytes) -> int:
    """Return a file descriptor as a child process inherits it."""
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    os.set_inheritable(reading, True)
    return reading


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("content", [CANARY, CANARY + "\n", CANARY + "\r\n", "\ufeff" + CANARY])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_secret_is_read_to_the_end_and_the_file_descriptor_is_closed(content: str, encoding: str) -> None:  # LEK-8
    descriptor = inherited(content.removeprefix("\ufeff" if encoding == "utf-16" else "").encode(encoding))
    assert descriptor_is_there(descriptor)
    assert descriptor_secret(descriptor).reveal() == CANARY
    assert not is_open(descriptor)


def test_file_descriptor_is_read_once_even_if_its_number_is_reused() -> None:
    descriptor = inherited(CANARY.encode())
    first = descriptor_secret(descriptor)
    another = os.dup2(inherited(b"something-else"), descriptor, inheritable=True)
    assert another == descriptor
    assert descriptor_secret(descriptor) == first
    assert os.read(descriptor, 100) == b"something-else"
    os.close(descriptor)
    assert descriptor_is_there(descriptor)


def test_secret_that_arrives_after_a_timeout_can_be_read_later() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    with raises_code(TransientError, "secret-input-timed-out") as caught:
        descriptor_secret(reading, timeout=0.01)
    assert f"file descriptor {reading} " in caught.value.message
    assert not os.get_inheritable(reading)  # child processes do not get it
    os.write(writing, CANARY.encode())
    os.close(writing)
    assert descriptor_secret(reading).reveal() == CANARY


@of_posix
def test_private_file_and_file_without_a_name_are_accepted(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(CANARY)
    file.chmod(0o600)
    for descriptor in (os.open(file, os.O_RDONLY), nameless()):
        os.set_inheritable(descriptor, True)
        assert descriptor_secret(descriptor).reveal() == CANARY


def nameless() -> int:
    with tempfile.TemporaryFile() as file:
        os.fchmod(file.fileno(), 0o666)
        file.write(CANARY.encode())
        file.flush()
        file.seek(0)
        return os.dup(file.fileno())


@of_posix
def test_socket_is_accepted() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(CANARY.encode())
    theirs.close()
    descriptor = ours.detach()
    os.set_inheritable(descriptor, True)
    assert descriptor_secret(descriptor).reveal() == CANARY


def readable_by_others() -> int:
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115  it must keep its name during the test
    _OPEN.append(file)
    os.fchmod(file.fileno(), 0o644)
    return os.dup(file.fileno())


def opened_by_this_process() -> int:
    reading, _ = os.pipe()
    return reading


_OPEN: list[object] = []


@pytest.mark.parametrize(
    ("make", "inheritable", "fact"),
    [
        (lambda: 0, True, "standard input"),
        (lambda: -1, True, "standard input"),
        (lambda: 2**40, True, "not inherited"),
        (lambda: 987, True, "not inherited"),
        (opened_by_this_process, False, "not inherited"),
        (lambda: os.open(os.devnull, os.O_RDONLY), True, "device"),
        pytest.param(lambda: pty.openpty()[1], True, "terminal", marks=of_posix),
        pytest.param(readable_by_others, True, "other users", marks=of_posix),
    ],
)
def test_unsuitable_file_descriptor_is_rejected_unread(make: Callable[[], int], inheritable: bool, fact: str) -> None:
    descriptor = make()
    if is_open(descriptor) if descriptor < 2**31 else False:
        os.set_inheritable(descriptor, inheritable)
    with raises_code(ConfigurationError, "invalid-secret-input") as error:
        descriptor_secret(descriptor)
    assert f"file descriptor {descriptor} " in error.value.message
    assert fact in error.value.message
    assert ("an environment variable" if sys.platform == "win32" else "3< <(command)") in str(error.value)
    assert descriptor not in file_descriptor._handed_over


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\n", b"two\nlines", b"nul\0", b" padded ", "schlüssel".encode(), b"x" * (MAX_TOKEN + 2)),
        *(b"x\0" * (3 * MAX_TOKEN), ("x" * (MAX_TOKEN + 1)).encode("utf-16"), "two".encode("utf-16") + b"w"),
    ],
    ids=["nothing", "a newline", "two lines", "nul", "spaces", "not ASCII", "too long", "zeros", "long 16", "odd 16"],
)
def test_unusable_content_is_rejected_and_not_quoted(content: bytes) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    writer = threading.Thread(target=write_all, args=(writing, content))
    writer.start()
    with raises_code(ConfigurationError, "invalid-secret-input") as error:
        descriptor_secret(reading)
    writer.join(20)
    assert f"file descriptor {reading} " in error.value.message
    assert "two" not in str(error.value)
    assert "padded" not in str(error.value)
    assert not is_open(reading)


def write_all(writing: int, content: bytes) -> None:
    """Write more than a pipe holds, as long as the other end reads it."""
    with suppress(BrokenPipeError), open(writing, "wb") as other_end:
        other_end.write(content)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no non-blocking pipes before Python 3.12")
@pytest.mark.parametrize("written", [b"", CANARY.encode()])
def test_incomplete_secret_from_a_non_blocking_pipe_is_rejected(written: bytes) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    os.set_blocking(reading, False)
    os.write(writing, written)
    with raises_code(ConfigurationError, "invalid-secret-input"):
        descriptor_secret(reading)
    os.close(writing)


def test_traceback_does_not_show_the_secret() -> None:
    descriptor = inherited(CANARY.encode() + b"\n\n")
    try:
        descriptor_secret(descriptor)
    except FreshkeyError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert CANARY not in shown


@pytest.mark.skipif(sys.platform == "win32", reason="Python on Windows cannot pass descriptors to a program")
def test_child_process_reads_the_secret_from_its_parent() -> None:
    reading, writing = os.pipe()
    os.write(writing, CANARY.encode())
    os.close(writing)
    code = textwrap.dedent("""
        import sys
        from freshkey._secret_input.file_descriptor import descriptor_is_there, descriptor_secret
        number = int(sys.argv[1])
        assert descriptor_is_there(number)
        print(descriptor_secret(number).last_four(), descriptor_is_there(number + 1))
    """)
    child = subprocess.run(
        [sys.executable, "-c", code, str(reading)], pass_fds=[reading], capture_output=True, text=True, check=True
    )
    os.close(reading)
    assert child.stdout == "c592 False\n"
