"""Commands of a project run as a person saw them, or not at all; what was trusted can be listed and taken back."""

from __future__ import annotations

import json
import logging
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from freshkey._commands.command import Command, run_command
from freshkey._config.project import FILE_NAME, Project, Words
from freshkey._config.toml_file import read
from freshkey._trust.project_commands import Entry, TrustedCommands, propose, question, trusting
from freshkey.errors import ConfigurationError, LoginRequired, StoreUnavailable, TrustNeeded
from freshkey.secret import Secret


WORDS: Words = {"helper": ("./key.sh", "--all")}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a project's directory with a script that its file names."""
    directory = tmp_path.resolve() / "project"
    directory.mkdir(mode=0o700)
    write(directory, "echo hello")
    (directory / FILE_NAME).write_text('[profiles.ci]\nprovider = "p"\nhelper = ["./key.sh", "--all"]\n')
    (directory / FILE_NAME).chmod(0o600)
    return directory


def write(directory: Path, code: str) -> None:
    (directory / "key.sh").write_text(f"#!/bin/sh\n{code}\n")
    (directory / "key.sh").chmod(0o700)


def project(directory: Path) -> Project:
    path = directory / FILE_NAME
    return Project(document=read(path), path=path, configuration=Path("/config.toml"))


class Person:
    """Answers, and keeps the questions."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []

    def __call__(self, asked: str) -> bool:
        self.questions.append(asked)
        return self.answers.pop(0)


def decide(directory: Path, state: Path, user: Callable[[str], bool] | None, words: Words = WORDS) -> Command:
    return trusting(state, user)(project(directory), "ci", words)["helper"]


# --- asking --------------------------------------------------------------------------------------------------------


def test_a_question_is_one_line_whatever_a_command_says(directory: Path, tmp_path: Path) -> None:
    user = Person(False)
    with pytest.raises(TrustNeeded):
        decide(directory, tmp_path / "state", user, {"helper": ("./key.sh", "--all\r\nhelper = true")})
    assert len(user.questions[0].splitlines()) == 1


def test_a_person_is_asked_once_and_sees_what_will_run(directory: Path, tmp_path: Path) -> None:
    user = Person(True)
    for _ in range(3):
        assert run_command(decide(directory, tmp_path / "state", user)) == Secret("hello\n")
    (asked,) = user.questions
    assert asked == question(propose(project(directory), "ci", WORDS), "you have not trusted it yet")
    for part in (
        "'ci'",
        str(directory / FILE_NAME),
        f"helper = {directory}/key.sh --all",
        f"(files: {directory}/key.sh)",
    ):
        assert part in asked
    assert decide(directory, tmp_path / "state", None).argv == (f"{directory}/key.sh", "--all")


def nobody(asked: str) -> bool:
    raise LoginRequired("there is no terminal")


@pytest.mark.parametrize("user", [None, nobody, lambda _: False])
def test_without_a_yes_nothing_runs(directory: Path, tmp_path: Path, user: Callable[[str], bool] | None) -> None:
    with pytest.raises(
        TrustNeeded,
        match=rf"^ci: {directory}/.freshkey.toml names the command 'key.sh', which was not run: .*trusted it",
    ) as caught:
        decide(directory, tmp_path / "state", user)
    assert caught.value.hint == f"Look at it, then run: freshkey trust {directory}"
    assert TrustedCommands(tmp_path / "state").all() == ()


def change_file(directory: Path) -> None:
    (directory / FILE_NAME).write_text((directory / FILE_NAME).read_text() + "# more\n")


def change_script(directory: Path) -> None:
    write(directory, "echo evil")


def remove_script(directory: Path) -> None:
    (directory / "key.sh").rename(directory / "gone")
    (directory / "key.sh").symlink_to("gone")
    change_script(directory)


@pytest.mark.parametrize("how", [change_file, change_script, remove_script])
def test_a_change_asks_again(directory: Path, tmp_path: Path, how: Callable[[Path], None]) -> None:  # TRU-3
    decide(directory, tmp_path / "state", Person(True))
    how(directory)
    with pytest.raises(TrustNeeded, match=r"is not what it was when you trusted it"):
        decide(directory, tmp_path / "state", None)
    user = Person(True)
    decide(directory, tmp_path / "state", user)
    assert "Mind that" in user.questions[0]
    assert len(TrustedCommands(tmp_path / "state").all()) == 1
    decide(directory, tmp_path / "state", None)


def test_other_settings_that_became_commands_are_another_question(directory: Path, tmp_path: Path) -> None:
    decide(directory, tmp_path / "state", Person(True))
    with pytest.raises(TrustNeeded, match="other settings now that are commands"):
        decide(directory, tmp_path / "state", None, {**WORDS, "another": ("sh",)})


def test_the_program_is_the_one_that_was_found_when_it_was_trusted(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # TRU-3
    words = {"helper": ("sh", "./key.sh")}
    trusted = decide(directory, tmp_path / "state", Person(True), words)
    elsewhere = tmp_path / "bin"
    elsewhere.mkdir()
    (elsewhere / "sh").symlink_to("/bin/false")
    monkeypatch.setenv("PATH", str(elsewhere))
    assert decide(directory, tmp_path / "state", None, words) == trusted


def test_between_the_decision_and_the_run_the_script_is_compared_again(directory: Path, tmp_path: Path) -> None:
    command = decide(directory, tmp_path / "state", Person(True))  # TRU-3: swapped after the check
    write(directory, f"touch {tmp_path}/ran")
    with pytest.raises(TrustNeeded, match=r"key\.sh is not what it was"):
        run_command(command)
    assert not (tmp_path / "ran").exists()


def test_another_project_with_the_same_content_is_another_question(directory: Path, tmp_path: Path) -> None:
    decide(directory, tmp_path / "state", Person(True))
    shutil.copytree(directory, tmp_path / "copy")
    with pytest.raises(TrustNeeded, match="you have not trusted it yet"):
        decide(tmp_path / "copy", tmp_path / "state", None)


# --- the file ------------------------------------------------------------------------------------------------------


def test_what_is_trusted_is_kept_in_a_private_file(directory: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    entry = propose(project(directory), "ci", WORDS)
    TrustedCommands(state).remember(entry, evolve(entry, profile="other"))
    assert TrustedCommands(state).all() == (entry, evolve(entry, profile="other"))
    assert TrustedCommands(state).find(entry.file, "ci") == entry
    assert TrustedCommands(state).find(entry.file, "none") is None
    assert stat.S_IMODE((state / TrustedCommands.file_name).stat().st_mode) == 0o600
    assert entry.changed() is None


def test_what_is_trusted_can_be_taken_back(directory: Path, tmp_path: Path) -> None:
    trust = TrustedCommands(tmp_path / "state")
    entry = propose(project(directory), "ci", WORDS)
    trust.remember(entry)
    assert trust.forget(lambda one: one.profile == "other") == ()
    assert trust.forget(lambda one: one.profile == "ci") == (entry,)
    with pytest.raises(TrustNeeded):
        decide(directory, tmp_path / "state", None)


def test_a_file_of_a_project_that_is_gone_has_changed(directory: Path) -> None:
    entry = propose(project(directory), "ci", WORDS)
    (directory / FILE_NAME).unlink()
    assert entry.changed() == f"{directory / FILE_NAME} is not what it was when you trusted it"


STRANGE = {"file": "/x", "profile": "ci", "digest": "", "commands": {"a": 1}}


@pytest.mark.parametrize(
    "content",
    [
        *["", "{", "[]", '{"answers": 1}', '{"answers": [1]}', '{"answers": [{"file": "x"}]}'],
        *[json.dumps({"answers": [STRANGE | {"commands": what}]}) for what in (1, {"a": 1}, {"a": {"argv": ["x"]}})],
    ],
)
def test_what_cannot_be_read_trusts_nothing(
    directory: Path, tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / TrustedCommands.file_name).touch(mode=0o600)
    (tmp_path / TrustedCommands.file_name).write_text(content)
    with pytest.raises(TrustNeeded):
        decide(directory, tmp_path, None)
    assert not content or "nothing counts as trusted" in caplog.text


@pytest.mark.parametrize("mode", [0o644, 0o666])
def test_what_others_may_touch_trusts_nothing(directory: Path, tmp_path: Path, mode: int) -> None:
    decide(directory, tmp_path, Person(True))
    (tmp_path / TrustedCommands.file_name).chmod(mode)
    with pytest.raises(TrustNeeded):
        decide(directory, tmp_path, None)


def test_what_cannot_be_kept_counts_now_and_is_told(
    directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "state"
    blocked.write_text("a file where the directory should be")
    with caplog.at_level(logging.WARNING):
        assert run_command(decide(directory, blocked, Person(True))) == Secret("hello\n")
    assert "is not remembered" in caplog.text
    with pytest.raises(StoreUnavailable):
        TrustedCommands(blocked).remember(propose(project(directory), "ci", WORDS))


def test_who_trusts_something_brings_nothing_back_that_is_revoked_meanwhile(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust, revoked = TrustedCommands(tmp_path / "state"), propose(project(directory), "ci", WORDS)
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


def test_a_command_that_cannot_run_is_an_error_and_no_question(directory: Path, tmp_path: Path) -> None:
    (directory / "key.sh").unlink()
    with pytest.raises(ConfigurationError, match=r"'key\.sh' is not there") as caught:
        decide(directory, tmp_path / "state", Person())
    assert not isinstance(caught.value, TrustNeeded)
