"""Saved answers: the latest one about a subject counts, and an unreadable file counts as no answers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from freshkey._trust.answers import Answers
from freshkey.errors import StoreUnavailable


@frozen
class Word:
    """An answer for these tests."""

    about: str
    file: Path
    said: bool = True


class Words(Answers[Word]):
    """The answers for these tests."""

    file_name = "words.json"
    subject = ("about", "file")
    if_unreadable = "all is open"

    def build(self, members: Mapping[str, Any]) -> Word:
        return Word(about=str(members["about"]), file=Path(members["file"]), said=bool(members["said"]))


A, B = Word("a", Path("/x")), Word("b", Path("/x"))


def test_latest_answer_about_a_subject_counts(tmp_path: Path) -> None:
    words = Words(tmp_path / "state")
    words.remember(A, B)
    words.remember(Word("a", Path("/x"), said=False), Word("a", Path("/y")))
    assert words.find("a", Path("/x")) == Word("a", Path("/x"), said=False)
    assert words.find("b", Path("/x")) == B
    assert words.find("b", Path("/y")) is None
    assert len(Words(tmp_path / "state").all()) == 3


def test_forget_returns_the_deleted_answers(tmp_path: Path) -> None:
    words = Words(tmp_path / "state")
    words.remember(A, B)
    assert words.forget(lambda one: one.about == "a") == (A,)
    assert words.forget(lambda one: one.about == "a") == ()
    assert words.all() == (B,)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"answers": 5}', '{"answers": [5]}', '{"answers": [{}]}'])
def test_unreadable_file_counts_as_no_answers(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "words.json").touch(mode=0o600)
    (tmp_path / "words.json").write_text(content)
    assert Words(tmp_path).all() == ()
    assert "all is open" in caplog.text
    assert str(tmp_path / "words.json") in caplog.text


def test_answer_that_cannot_be_saved_is_an_error_or_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "state").write_text("a file where the directory should be")
    words = Words(tmp_path / "state")
    with pytest.raises(StoreUnavailable):
        words.remember(A)
    with caplog.at_level(logging.WARNING):
        words.try_to_remember(A, "what you said")
    (record,) = caplog.records
    assert record.name == "freshkey._trust.answers"
    assert "what you said" in record.getMessage()
