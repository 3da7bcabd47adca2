"""The user is asked once about a credential found in addition to a sign-in; the value itself is not saved."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from freshkey._trust.source_consent import NOT_ASKED, REFUSED, Answer, SourceAnswers, asking, question, recalling
from freshkey.errors import LoginRequired
from freshkey.model.profile import Profile
from freshkey.model.source import Detected, Source
from freshkey.secret import Secret


KEY = Secret("sk-example-0123456789-abcd")
SOURCE = Source(id="env", title="A variable", owned=False, needs_consent=True)
FOUND = Detected(
    kind="API key", origin="environment variable EXAMPLE_KEY", last_four=KEY.last_four(), fingerprint=KEY.fingerprint()
)


def profile(state_dir: Path, name: str = "me", project: Path | None = None) -> Profile:
    return Profile(name=name, provider="example", settings=None, state_dir=state_dir, project_dir=project)


class User:
    """Answers questions, and records them."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []

    def __call__(self, asked: str) -> bool:
        self.questions.append(asked)
        return self.answers.pop(0)


@pytest.mark.parametrize("agrees", [True, False])
def test_user_is_asked_once_about_a_value(tmp_path: Path, agrees: bool) -> None:
    user = User(agrees)
    for _ in range(3):
        why_not = asking(profile(tmp_path), user)(SOURCE, FOUND)
        assert (why_not is None) is agrees
    assert user.questions == [question("me", FOUND)]
    assert "abcd" in user.questions[0]


def test_user_is_asked_again_about_another_value_profile_or_source(tmp_path: Path) -> None:
    user = User(True, False, False, False)
    another_key = Detected(kind="API key", origin="there", fingerprint=Secret("another").fingerprint())
    another_source = Source(id="other", title="Another", owned=False)
    assert asking(profile(tmp_path), user)(SOURCE, FOUND) is None
    assert asking(profile(tmp_path), user)(SOURCE, another_key) is not None
    assert asking(profile(tmp_path, "you"), user)(SOURCE, FOUND) is not None
    assert asking(profile(tmp_path), user)(another_source, FOUND) is not None
    assert asking(profile(tmp_path), user)(SOURCE, FOUND) is None


def test_answer_about_one_profile_is_not_that_of_a_project_or_of_another_one(tmp_path: Path) -> None:  # TRU-11
    user = User(True, False, True)
    for project, agrees in ((None, True), (Path("/a"), False), (Path("/b"), True)) * 2:
        why_not = asking(profile(tmp_path, "ci", project), user)(SOURCE, FOUND)
        assert (why_not is None) is agrees
    assert user.answers == []
    assert "@" not in "".join(user.questions)


def test_question_shows_what_is_not_visible() -> None:  # TRU-12
    assert r"in the a\u{2800}b\u{1b}: key" in question("me", Detected(kind="key", origin="a\u2800b\x1b"))


def test_credential_is_used_without_an_answer_if_not_interactive(tmp_path: Path) -> None:
    def no_terminal(asked: str) -> bool:
        raise LoginRequired("no terminal", code="no-terminal")

    assert asking(profile(tmp_path), no_terminal)(SOURCE, FOUND) is None
    assert SourceAnswers(tmp_path).all() == ()


def test_recalling_does_not_ask(tmp_path: Path) -> None:
    consents = SourceAnswers(tmp_path)
    assert recalling(profile(tmp_path))(SOURCE, FOUND) == NOT_ASKED
    asking(profile(tmp_path), User(False))(SOURCE, FOUND)
    assert recalling(profile(tmp_path))(SOURCE, FOUND) == REFUSED
    consents.remember(Answer(profile="me", source="env", fingerprint=KEY.fingerprint(), agreed=True))
    assert recalling(profile(tmp_path))(SOURCE, FOUND) is None
    assert len(consents.all()) == 1


def test_answer_can_be_revoked(tmp_path: Path) -> None:
    consents = SourceAnswers(tmp_path)
    asking(profile(tmp_path), User(False))(SOURCE, FOUND)
    assert not consents.forget(lambda one: one.source == "other")
    assert consents.forget(lambda one: one.source == "env")
    assert asking(profile(tmp_path), User(True))(SOURCE, FOUND) is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not use file modes")
def test_value_is_not_saved_and_the_file_is_private(tmp_path: Path) -> None:
    asking(profile(tmp_path), User(True))(SOURCE, FOUND)
    file = tmp_path / SourceAnswers.file_name
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert KEY.reveal() not in file.read_text()
    assert "abcd" not in json.loads(file.read_text())["answers"][0].values()
    assert KEY.fingerprint() not in repr(SourceAnswers(tmp_path).all())


@pytest.mark.parametrize("content", ["", "{", "[]", '{"answers": [{"profile": 1}]}', '{"answers": 5}'])
def test_user_is_asked_again_if_the_file_is_unreadable(tmp_path: Path, content: str) -> None:
    (tmp_path / SourceAnswers.file_name).write_text(content)
    (tmp_path / SourceAnswers.file_name).chmod(0o600)
    user = User(True)
    assert asking(profile(tmp_path), user)(SOURCE, FOUND) is None
    assert len(user.questions) == 1
    answer = SourceAnswers(tmp_path).find("me", None, "env", KEY.fingerprint())
    assert answer is not None
    assert answer.agreed is True


def test_answer_that_cannot_be_saved_counts_now(tmp_path: Path) -> None:
    blocked = tmp_path / "state"
    blocked.write_text("a file where the directory should be")
    assert asking(profile(blocked), User(True))(SOURCE, FOUND) is None
