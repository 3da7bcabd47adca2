"""Secrets that are handed in are found without being read or shown, and are taken or refused without being quoted."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crash_report import crash_report
from freshkey._secret_input import file_descriptor
from freshkey._secret_input.file_descriptor import descriptor_secret
from freshkey._secret_input.handed_in import detected_descriptor, detected_variable, required_variable, secret_file
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired
from freshkey.model.source import Detected
from freshkey.secret import MAX_TOKEN, Secret
from raises_code import raises_code


of_posix = pytest.mark.skipif(sys.platform == "win32", reason="modes mean nothing on Windows")

NAME = "EXAMPLE_KEY"
CANARY = "canary-5d1e77aa02c3"


@pytest.fixture(autouse=True)
def _nothing_was_read() -> Iterator[None]:
    """Start each test like a new process: numbers of file descriptors are reused."""
    file_descriptor._handed_over.clear()
    yield
    file_descriptor._handed_over.clear()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "client-secret"
    path.write_text(CANARY + "\n")
    return path


def read(file: Path) -> Secret:
    return secret_file(file, named_by="secret_file")


def assert_shows_nothing(error: FreshkeyError) -> None:
    assert CANARY not in f"{error} {error.hint} {error!r} {crash_report(error)}"
    assert error.__context__ is None


# --- variables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environ", [{}, {NAME: ""}, {NAME: "\n"}, {"OTHER": CANARY}])
def test_unset_or_empty_variable_is_not_detected_and_required(environ: dict[str, str]) -> None:
    assert detected_variable(NAME, environ, kind="API key") is None
    with raises_code(LoginRequired, "no-credential-found") as caught:
        required_variable(NAME, environ)
    assert NAME in caught.value.message
    assert NAME in str(caught.value.hint)
    assert caught.value.unsent
    assert_shows_nothing(caught.value)


def test_variable_is_detected_without_its_secret_and_taken() -> None:
    secret = Secret(CANARY)
    found = detected_variable(NAME, {NAME: f"{CANARY}\n"}, kind="API key")
    assert found is not None
    assert (found.kind, found.origin) == ("API key", f"environment variable {NAME}")
    assert (found.last_four, found.fingerprint) == (secret.last_four(), secret.fingerprint())
    assert CANARY not in repr(found)
    assert required_variable(NAME, {NAME: f"{CANARY}\n"}) == secret


def test_short_secret_is_not_shown_in_part() -> None:
    found = detected_variable(NAME, {NAME: "abcdefgh"}, kind="API key")
    assert found is not None
    assert found.last_four is None


def test_version_changes_with_the_variable() -> None:
    versions = {
        found.version for value in (CANARY, CANARY, "x") if (found := detected_variable(NAME, {NAME: value}, kind="k"))
    }
    assert len(versions) == 2
    assert None not in versions


@pytest.mark.parametrize("value", [f'"{CANARY}"', f" {CANARY}", f"{CANARY}é", f"{CANARY}\udc80", CANARY * MAX_TOKEN])
@pytest.mark.parametrize(
    "act", [required_variable, lambda name, environ: detected_variable(name, environ, kind="API key")]
)
def test_variable_that_has_no_secret_is_named_but_not_quoted(act: Callable[..., object], value: str) -> None:
    with raises_code(ConfigurationError, "invalid-secret-input") as caught:
        act(NAME, {NAME: value})
    assert NAME in caught.value.message
    assert CANARY not in f"{caught.value} {caught.value.hint}"
    assert caught.value.__context__ is None


def test_crash_report_of_a_required_variable_shows_no_environment() -> None:
    with pytest.raises(ConfigurationError) as caught:
        required_variable(NAME, {NAME: f'"{CANARY}"', "OTHER": CANARY})
    assert_shows_nothing(caught.value)


# --- file descriptors -----------------------------------------------------------------------------------------------


def test_descriptor_is_detected_without_being_read() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    expected = Detected(kind="token", origin=f"file descriptor {reading}")
    assert detected_descriptor(reading, kind="token") == expected
    os.write(writing, CANARY.encode())
    os.close(writing)
    assert detected_descriptor(reading, kind="token") == expected
    assert descriptor_secret(reading) == Secret(CANARY)
    assert detected_descriptor(reading, kind="token") == expected  # closed, and its secret is known


def test_descriptor_that_was_not_inherited_is_not_detected() -> None:
    reading, writing = os.pipe()
    try:
        assert detected_descriptor(reading, kind="token") is None
    finally:
        os.close(reading)
        os.close(writing)
    for number in (None, -1, 0, 1, 2, 1 << 20, 1 << 80, reading):
        assert detected_descriptor(number, kind="token") is None


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        CANARY.encode(),
        f"{CANARY}\n".encode(),
        f"\n  {CANARY} \r\n".encode(),
        b"\xef\xbb\xbf" + CANARY.encode(),
        f"{CANARY}\r\n".encode("utf-16"),  # as PowerShell writes it
    ],
)
def test_white_space_and_marks_around_the_secret_do_not_count(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert read(file) == Secret(CANARY)


def test_secret_of_several_lines_stays_as_it_is(file: Path) -> None:
    key = f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----"
    file.write_text(f"{key}\n", newline="")
    assert read(file) == Secret(key)


def test_what_a_secret_is_for_decides_the_code_of_its_absence(tmp_path: Path) -> None:
    with raises_code(LoginRequired, "client-secret"):
        required_variable(NAME, {}, code="client-secret")
    with raises_code(LoginRequired, "client-secret"):
        secret_file(tmp_path / "missing", named_by="secret_file", code="client-secret")


def test_largest_file_is_read(file: Path) -> None:
    file.write_text("x" * MAX_TOKEN)
    assert read(file) == Secret("x" * MAX_TOKEN)


def test_missing_file_asks_for_the_secret(tmp_path: Path) -> None:
    file = tmp_path / "missing"
    with raises_code(LoginRequired, "no-credential-found") as caught:
        read(file)
    assert str(file) in caught.value.message
    assert "secret_file" in caught.value.message
    assert caught.value.unsent
    assert_shows_nothing(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" \n",
        b"\xef\xbb\xbf\n",
        CANARY.encode() + b"\xff",
        b"\xff\xfe" + CANARY.encode(),
        b"x" * (MAX_TOKEN + 1),
    ],
    ids=["empty", "blank", "mark", "not-utf-8", "not-utf-16", "too-large"],
)
def test_file_without_a_secret_is_named_but_not_quoted(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with raises_code(ConfigurationError, "invalid-secret-input") as caught:
        read(file)
    assert str(file) in caught.value.message
    assert "secret_file" in caught.value.message
    assert_shows_nothing(caught.value)


def test_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with raises_code(ConfigurationError, "invalid-secret-input") as caught:
        read(tmp_path)
    assert str(tmp_path) in caught.value.message


@of_posix
def test_pipe_in_place_of_the_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with raises_code(ConfigurationError, "invalid-secret-input"):
        read(tmp_path / "pipe")


@of_posix
def test_file_may_be_read_by_all_but_changed_only_by_its_owner(file: Path) -> None:  # TRU-14
    file.chmod(0o644)
    assert read(file) == Secret(CANARY)
    file.chmod(0o666)
    with raises_code(ConfigurationError, "unsafe-file") as caught:
        read(file)
    assert "secret_file" in caught.value.message
    assert_shows_nothing(caught.value)


@of_posix
def test_link_is_followed(file: Path) -> None:
    (file.parent / "link").symlink_to(file)
    assert read(file.parent / "link") == Secret(CANARY)


@pytest.mark.parametrize("path", [f"/nowhere/sk-{CANARY}Qx7Zt9Kp2Lm4", f"/{CANARY}\0", "x" * 5000])
def test_path_that_may_be_the_secret_itself_is_not_quoted(path: str) -> None:
    with pytest.raises(FreshkeyError) as caught:
        read(Path(path))
    assert caught.value.code in {"no-credential-found", "invalid-secret-input"}
    assert "secret_file" in caught.value.message
    assert "x" * 100 not in str(caught.value)
    assert_shows_nothing(caught.value)
