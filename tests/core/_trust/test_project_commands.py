"""Commands of a project run unchanged since the user trusted them, or not at all; trust can be revoked."""

from __future__ import annotations

import json
import logging
import os
import shutil
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from freshkey._commands.command import Command, run_command
from freshkey._config.project import FILE_NAME, Project, Wishes, Words
from freshkey._config.toml_file import read
from freshkey._text.shell_words import shell_quoted
from freshkey._trust.entries import Entry, TrustedCommands
from freshkey._trust.project_commands import propose, trusting
from freshkey._trust.question import question
from freshkey.errors import ConfigurationError, LoginRequired, StoreUnavailable, TrustNeeded
from freshkey.secret import Secret
from raises_code import raises_code


NAME, SH, START = ("key.cmd", "cmd", "@") if sys.platform == "win32" else ("key.sh", "sh", "#!/bin/sh\n")
WORDS: Words = {"helper": (f"./{NAME}", "--all")}
HELLO = Secret(f"hello{os.linesep}")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a project's directory, whose file names a script in it."""
    directory = tmp_path.resolve() / "project"
    directory.mkdir(mode=0o700)
    write(directory, "echo hello")
    (directory / FILE_NAME).write_text(f'[profiles.ci]\nprovider = "p"\nhelper = ["./{NAME}", "--all"]\n')
    (directory / FILE_NAME).chmod(0o600)
    return directory


def write(directory: Path, code: str) -> None:
    """Write the script, whose code is for a shell of POSIX and for cmd.exe."""
    (directory / NAME).write_text(f"{START}{code}\n")
    (directory / NAME).chmod(0o700)


def project(directory: Path) -> Project:
    path = directory / FILE_NAME
    return Project(document=read(path), path=path, configuration=Path("/config.toml"))


class User:
    """Answers questions, and records them."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []

    def __call__(self, asked: str) -> bool:
        self.questions.append(asked)
        return self.answers.pop(0)


def decide(directory: Path, state: Path, user: Callable[[str], bool] | None, words: Words = WORDS) -> Command:
    return trusting(state, user)(project(directory), "ci", Wishes(commands=words))["helper"]


# --- asking --------------------------------------------------------------------------------------------------------


def test_question_is_one_line_whatever_the_arguments(directory: Path, tmp_path: Path) -> None:
    user = User(False)
    with raises_code(TrustNeeded, "trust-required"):
        decide(directory, tmp_path / "state", user, {"helper": (f"./{NAME}", "--all\r\nhelper = true")})
    assert len(user.questions[0].splitlines()) == 1


def test_user_is_asked_once_and_sees_what_will_run(directory: Path, tmp_path: Path) -> None:
    user = User(True)
    for _ in range(3):
        assert run_command(decide(directory, tmp_path / "state", user)) == HELLO
    (asked,) = user.questions
    assert asked.startswith(question(propose(project(directory), "ci", Wishes(commands=WORDS))).partition(" Trust")[0])
    for part in (
        "'ci'",
        str(directory / FILE_NAME),
        f"helper = {shell_quoted(str(directory / NAME))} --all",
        f"(files: {directory / NAME})",
    ):
        assert part in asked
    assert decide(directory, tmp_path / "state", None).argv == (str(directory / NAME), "--all")


def no_terminal(asked: str) -> bool:
    raise LoginRequired("no terminal", code="no-terminal")


@pytest.mark.parametrize("user", [None, no_terminal, lambda _: False])
def test_nothing_runs_unless_the_user_agrees(
    directory: Path, tmp_path: Path, user: Callable[[str], bool] | None
) -> None:
    with raises_code(TrustNeeded, "trust-required") as caught:
        decide(directory, tmp_path / "state", user)
    assert caught.value.profile == "ci"
    assert str(directory / FILE_NAME) in caught.value.message
    assert f"'{NAME}'" in caught.value.message
    assert f"freshkey trust {shell_quoted(str(directory))}" in str(caught.value.hint)
    assert TrustedCommands(tmp_path / "state").all() == ()


def change_file(directory: Path) -> None:
    (directory / FILE_NAME).write_text((directory / FILE_NAME).read_text() + "# more\n")


def change_script(directory: Path) -> None:
    write(directory, "echo evil")


def remove_script(directory: Path) -> None:
    (directory / NAME).rename(directory / "gone")
    if sys.platform != "win32":  # Wine 8 makes no symbolic links
        (directory / NAME).symlink_to("gone")
    change_script(directory)


@pytest.mark.parametrize("how", [change_file, change_script, remove_script])
def test_user_is_asked_again_after_a_change(
    directory: Path, tmp_path: Path, how: Callable[[Path], None]
) -> None:  # TRU-3
    decide(directory, tmp_path / "state", User(True))
    how(directory)
    with raises_code(TrustNeeded, "trusted-command-changed") as caught:
        decide(directory, tmp_path / "state", None)
    changed = str(directory / (FILE_NAME if how is change_file else NAME))
    assert f"{changed} changed" in caught.value.message
    user = User(True)
    decide(directory, tmp_path / "state", user)
    assert f"{changed} changed" in user.questions[0]
    assert len(TrustedCommands(tmp_path / "state").all()) == 1
    decide(directory, tmp_path / "state", None)


def test_user_is_asked_again_about_an_additional_command(directory: Path, tmp_path: Path) -> None:
    decide(directory, tmp_path / "state", User(True))
    with raises_code(TrustNeeded, "trusted-command-changed"):
        decide(directory, tmp_path / "state", None, {**WORDS, "another": (SH,)})


def test_program_on_path_is_the_one_that_was_trusted(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # TRU-3
    words = {"helper": (SH, f"./{NAME}")}
    trusted = decide(directory, tmp_path / "state", User(True), words)
    elsewhere = tmp_path / "bin"
    elsewhere.mkdir()
    for name in ("sh", "cmd.exe"):
        (elsewhere / name).touch(mode=0o700)
    monkeypatch.setenv("PATH", str(elsewhere))
    assert decide(directory, tmp_path / "state", None, words) == trusted


def test_script_is_checked_again_right_before_the_run(directory: Path, tmp_path: Path) -> None:
    command = decide(directory, tmp_path / "state", User(True))  # TRU-3: replaced after the check
    write(directory, f'echo x> "{tmp_path / "ran"}"')
    with raises_code(TrustNeeded, "trusted-command-changed") as caught:
        run_command(command)
    assert str(directory / NAME) in caught.value.message
    assert not (tmp_path / "ran").exists()


def test_copy_of_a_trusted_project_is_not_trusted(directory: Path, tmp_path: Path) -> None:
    decide(directory, tmp_path / "state", User(True))
    shutil.copytree(directory, tmp_path / "copy", copy_function=shutil.copy)  # Wine 8 lacks what copy2 calls
    with raises_code(TrustNeeded, "trust-required"):
        decide(tmp_path / "copy", tmp_path / "state", None)


# --- the file ------------------------------------------------------------------------------------------------------


def test_trust_is_saved_in_a_private_file(directory: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    entry = propose(project(directory), "ci", Wishes(commands=WORDS))
    TrustedCommands(state).remember(entry, evolve(entry, profile="other"))
    assert TrustedCommands(state).all() == (entry, evolve(entry, profile="other"))
    assert TrustedCommands(state).find(entry.file, "ci") == entry
    assert TrustedCommands(state).find(entry.file, "none") is None
    if sys.platform != "win32":  # which has no modes
        assert stat.S_IMODE((state / TrustedCommands.file_name).stat().st_mode) == 0o600
    assert entry.changed() is None


def test_trust_can_be_revoked(directory: Path, tmp_path: Path) -> None:
    trust = TrustedCommands(tmp_path / "state")
    entry = propose(project(directory), "ci", Wishes(commands=WORDS))
    trust.remember(entry)
    assert trust.forget(lambda one: one.profile == "other") == ()
    assert trust.forget(lambda one: one.profile == "ci") == (entry,)
    with raises_code(TrustNeeded, "trust-required"):
        decide(directory, tmp_path / "state", None)


def test_deleted_project_file_counts_as_changed(directory: Path) -> None:
    entry = propose(project(directory), "ci", Wishes(commands=WORDS))
    (directory / FILE_NAME).unlink()
    assert str(directory / FILE_NAME) in str(entry.changed())


STRANGE = {"file": "/x", "profile": "ci", "digest": "", "commands": {"a": 1}}


@pytest.mark.parametrize(
    "content",
    [
        *["", "{", "[]", '{"answers": 1}', '{"answers": [1]}', '{"answers": [{"file": "x"}]}'],
        *[json.dumps({"answers": [STRANGE | {"commands": what}]}) for what in (1, {"a": 1}, {"a": {"argv": ["x"]}})],
    ],
)
def test_unreadable_file_trusts_nothing(
    directory: Path, tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / TrustedCommands.file_name).touch(mode=0o600)
    (tmp_path / TrustedCommands.file_name).write_text(content)
    with raises_code(TrustNeeded, "trust-required"):
        decide(directory, tmp_path, None)
    assert not content or str(tmp_path / TrustedCommands.file_name) in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes and owners")
@pytest.mark.parametrize("mode", [0o644, 0o666])
def test_file_that_other_users_can_access_trusts_nothing(directory: Path, tmp_path: Path, mode: int) -> None:
    decide(directory, tmp_path, User(True))
    (tmp_path / TrustedCommands.file_name).chmod(mode)
    with raises_code(TrustNeeded, "trust-required"):
        decide(directory, tmp_path, None)


def test_trust_that_cannot_be_saved_counts_now_and_is_logged(
    directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "state"
    blocked.write_text("a file where the directory should be")
    with caplog.at_level(logging.WARNING):
        assert run_command(decide(directory, blocked, User(True))) == HELLO
    assert f"cannot save your approval of {directory / FILE_NAME}" in caplog.text
    with pytest.raises(StoreUnavailable):
        TrustedCommands(blocked).remember(propose(project(directory), "ci", Wishes(commands=WORDS)))


def test_saving_trust_does_not_restore_what_is_revoked_at_the_same_time(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust, revoked = TrustedCommands(tmp_path / "state"), propose(project(directory), "ci", Wishes(commands=WORDS))
    trust.remember(revoked)
    revoking = threading.Thread(
        target=lambda: TrustedCommands(tmp_path / "state").forget(lambda entry: entry.profile == "ci")
    )
    keep = TrustedCommands._keep

    def keep_late(self: TrustedCommands, entries: list[Entry]) -> None:
        if threading.current_thread() is not revoking:
            revoking.start()
            revoking.join(0.3)
        keep(self, entries)

    monkeypatch.setattr(TrustedCommands, "_keep", keep_late)
    trust.remember(evolve(revoked, profile="other"))
    revoking.join()
    assert [entry.profile for entry in trust.all()] == ["other"]


def test_user_is_not_asked_about_a_missing_program(directory: Path, tmp_path: Path) -> None:
    (directory / NAME).unlink()
    with raises_code(ConfigurationError, "command-not-runnable") as caught:
        decide(directory, tmp_path / "state", User())
    assert f"'{NAME}'" in caught.value.message
    assert not isinstance(caught.value, TrustNeeded)
