"""A person is asked once about what was found beside a sign-in, and the value itself is never kept."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from freshkey._trust.source_consent import Answer, SourceAnswers, asking, question, recalling
from freshkey.errors import LoginRequired
from freshkey.model.source import Detected, Source
from freshkey.secret import Secret


KEY = Secret("sk-example-0123456789-abcd")
SOURCE = Source(id="env", title="A variable", owned=False, needs_consent=True)
FOUND = Detected(
    kind="API key", origin="environment variable EXAMPLE_KEY", last_four=KEY.last_four(), fingerprint=KEY.fingerprint()
)


class Person:
    """Answers, and counts the questions."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []

    def __call__(self, asked: str) -> bool:
        self.questions.append(asked)
        return self.answers.pop(0)


@pytest.mark.parametrize("agrees", [True, False])
def test_a_person_is_asked_once_for_each_value(tmp_path: Path, agrees: bool) -> None:
    user = Person(agrees)
    for _ in range(3):
        why_not = asking("me", SourceAnswers(tmp_path), user)(SOURCE, FOUND)
        assert (why_not is None) is agrees
    assert user.questions == [question("me", FOUND)]
    assert "abcd" in user.questions[0]


def test_another_value_profile_or_source_is_another_question(tmp_path: Path) -> None:
    consents = SourceAnswers(tmp_path)
    user = Person(True, False, False, False)
    another_key = Detected(kind="API key", origin="there", fingerprint=Secret("another").fingerprint())
    another_source = Source(id="other", title="Another", owned=False)
    assert asking("me", consents, user)(SOURCE, FOUND) is None
    assert asking("me", consents, user)(SOURCE, another_key) is not None
    assert asking("you", consents, user)(SOURCE, FOUND) is not None
    assert asking("me", consents, user)(another_source, FOUND) is not None
    assert asking("me", consents, user)(SOURCE, FOUND) is None


def test_where_nobody_can_be_asked_it_is_used_and_nothing_is_remembered(tmp_path: Path) -> None:
    def nobody(asked: str) -> bool:
        raise LoginRequired("there is no terminal")

    assert asking("me", SourceAnswers(tmp_path), nobody)(SOURCE, FOUND) is None
    assert SourceAnswers(tmp_path).all() == ()


def test_explaining_asks_nobody(tmp_path: Path) -> None:
    consents = SourceAnswers(tmp_path)
    before = recalling("me", consents)(SOURCE, FOUND)
    assert before is not None
    assert "will be asked" in before
    asking("me", consents, Person(False))(SOURCE, FOUND)
    assert "you said not to use it" in str(recalling("me", consents)(SOURCE, FOUND))
    consents.remember(Answer(profile="me", source="env", fingerprint=KEY.fingerprint(), agreed=True))
    assert recalling("me", consents)(SOURCE, FOUND) is None
    assert len(consents.all()) == 1


def test_what_was_said_can_be_taken_back(tmp_path: Path) -> None:
    consents = SourceAnswers(tmp_path)
    asking("me", consents, Person(False))(SOURCE, FOUND)
    assert not consents.forget(lambda one: one.source == "other")
    assert consents.forget(lambda one: one.source == "env")
    assert asking("me", consents, Person(True))(SOURCE, FOUND) is None


@pytest.mark.skipif(sys.platform == "win32", reason="modes say nothing there")
def test_the_value_is_not_kept_and_the_file_is_private(tmp_path: Path) -> None:
    asking("me", SourceAnswers(tmp_path), Person(True))(SOURCE, FOUND)
    file = tmp_path / SourceAnswers.file_name
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert KEY.reveal() not in file.read_text()
    assert "abcd" not in json.loads(file.read_text())["answers"][0].values()
    assert KEY.fingerprint() not in repr(SourceAnswers(tmp_path).all())


@pytest.mark.parametrize("content", ["", "{", "[]", '{"answers": [{"profile": 1}]}', '{"answers": 5}'])
def test_a_file_that_cannot_be_read_means_that_nobody_was_asked(tmp_path: Path, content: str) -> None:
    os.umask(0o077)
    (tmp_path / SourceAnswers.file_name).write_text(content)
    user = Person(True)
    assert asking("me", SourceAnswers(tmp_path), user)(SOURCE, FOUND) is None
    assert len(user.questions) == 1
    answer = SourceAnswers(tmp_path).find("me", "env", KEY.fingerprint())
    assert answer is not None
    assert answer.agreed is True


def test_an_answer_that_cannot_be_kept_still_counts_now(tmp_path: Path) -> None:
    blocked = tmp_path / "state"
    blocked.write_text("a file where the directory should be")
    assert asking("me", SourceAnswers(blocked), Person(True))(SOURCE, FOUND) is None
