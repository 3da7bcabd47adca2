"""Secrets from inherited file descriptors: read once, bounded, closed, never shown (LEK-8)."""

from __future__ import annotations

import os
import pty
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


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="descriptors are handed over in another way there")

CANARY = "sk-canary-5d41402abc4b2a76b9719d911017c592"


@pytest.fixture(autouse=True)
def _nothing_was_handed_over() -> Iterator[None]:
    """Let each test begin as a new process does: numbers of descriptors are used again."""
    file_descriptor._handed_over.clear()
    yield
    file_descriptor._handed_over.clear()


def handed_over(content: bytes) -> int:
    """Return a descriptor as a parent leaves it."""
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


@pytest.mark.parametrize("content", [CANARY, CANARY + "\n", CANARY + "\r\n"])
def test_a_secret_is_read_to_its_end_and_the_descriptor_is_closed(content: str) -> None:
    descriptor = handed_over(content.encode())
    assert descriptor_is_there(descriptor)
    assert descriptor_secret(descriptor).reveal() == CANARY
    assert not is_open(descriptor)


def test_it_is_read_once_also_when_its_number_belongs_to_something_else() -> None:
    descriptor = handed_over(CANARY.encode())
    first = descriptor_secret(descriptor)
    another = os.dup2(handed_over(b"something-else"), descriptor, inheritable=True)
    assert another == descriptor
    assert descriptor_secret(descriptor) == first
    assert os.read(descriptor, 100) == b"something-else"
    os.close(descriptor)
    assert descriptor_is_there(descriptor)


def test_who_waits_again_gets_it_when_it_has_come() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    with pytest.raises(TransientError, match=r"still open at its other end after 0.01 s"):
        descriptor_secret(reading, timeout=0.01)
    assert not os.get_inheritable(reading)  # no child process gets it as well
    os.write(writing, CANARY.encode())
    os.close(writing)
    assert descriptor_secret(reading).reveal() == CANARY


def test_a_file_of_the_owners_and_one_without_a_name_are_fine(tmp_path: Path) -> None:
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


def test_a_socket_is_fine() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(CANARY.encode())
    theirs.close()
    descriptor = ours.detach()
    os.set_inheritable(descriptor, True)
    assert descriptor_secret(descriptor).reveal() == CANARY


def readable_by_others() -> int:
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115  it has to have its name while it is refused
    _OPEN.append(file)
    os.fchmod(file.fileno(), 0o644)
    return os.dup(file.fileno())


def opened_by_this_process() -> int:
    reading, _ = os.pipe()
    return reading


_OPEN: list[object] = []


@pytest.mark.parametrize(
    ("make", "inheritable", "says"),
    [
        (lambda: 0, True, "belongs to the program itself"),
        (lambda: -1, True, "belongs to the program itself"),
        (lambda: 2**40, True, "was not handed over"),
        (lambda: 987, True, "was not handed over"),
        (opened_by_this_process, False, "was not handed over"),
        (lambda: os.open("/dev/zero", os.O_RDONLY), True, "a terminal or a device"),
        (lambda: pty.openpty()[1], True, "a terminal or a device"),
        (readable_by_others, True, "a file that others may read"),
    ],
)
def test_what_nobody_hands_a_secret_over_with_is_refused_unread(
    make: Callable[[], int], inheritable: bool, says: str
) -> None:
    descriptor = make()
    if is_open(descriptor) if descriptor < 2**31 else False:
        os.set_inheritable(descriptor, inheritable)
    with pytest.raises(ConfigurationError, match=f"^file descriptor {descriptor} .*{says}") as error:
        descriptor_secret(descriptor)
    assert "3< <(command)" in str(error.value)
    assert descriptor not in file_descriptor._handed_over


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"two\nlines", b"nul\0", b" padded ", "schlüssel".encode(), b"x" * (MAX_TOKEN + 2)],
    ids=["nothing", "a newline", "two lines", "nul", "spaces", "not ASCII", "too long"],
)
def test_what_is_no_secret_is_refused_and_not_quoted(content: bytes) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    writer = threading.Thread(target=write_all, args=(writing, content))
    writer.start()
    with pytest.raises(ConfigurationError, match="held no usable secret") as error:
        descriptor_secret(reading)
    writer.join(20)
    assert "lines" not in str(error.value)
    assert not is_open(reading)


def write_all(writing: int, content: bytes) -> None:
    """Write more than a pipe holds, as long as somebody reads it."""
    with suppress(BrokenPipeError), open(writing, "wb") as other_end:
        other_end.write(content)


@pytest.mark.parametrize("written", [b"", CANARY.encode()])
def test_what_has_not_come_whole_from_one_that_does_not_wait_is_refused(written: bytes) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    os.set_blocking(reading, False)
    os.write(writing, written)
    with pytest.raises(ConfigurationError, match="held no usable secret"):
        descriptor_secret(reading)
    os.close(writing)


def test_no_traceback_shows_it() -> None:
    descriptor = handed_over(CANARY.encode() + b"\n\n")
    try:
        descriptor_secret(descriptor)
    except FreshkeyError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert CANARY not in shown


def test_a_real_child_takes_it_from_its_parent() -> None:
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
