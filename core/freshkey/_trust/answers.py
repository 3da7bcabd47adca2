"""One kind of file for what the user agreed to: a list of answers, each about a subject of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from attrs import asdict

from freshkey._files.state_file import StateFile
from freshkey.errors import FreshkeyError


if TYPE_CHECKING:
    from attrs import AttrsInstance

A = TypeVar("A", bound="AttrsInstance")

log = logging.getLogger("freshkey")

WRITE_LOCK_TIMEOUT: Final = 5.0
"""Seconds to wait for another process that writes the file."""


class Answers(Generic[A]):
    """The answers of one kind that were given with one state directory."""

    file_name: ClassVar[str]
    subject: ClassVar[tuple[str, ...]]
    """Names of the attributes that say what an answer is about; a later one about the same replaces it."""
    if_unreadable: ClassVar[str]
    """What follows for the person, for the log."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._file = StateFile(state_dir, self.file_name)

    def build(self, members: Mapping[str, Any]) -> A:
        """Return the answer of which the file has the members; may raise as conversions do."""
        raise NotImplementedError

    def all(self) -> tuple[A, ...]:
        """Return every answer; none if they cannot be read, so that the person is asked again."""
        return self._file.read(lambda found: tuple(map(self.build, found["answers"])), self._unreadable) or ()

    def find(self, *subject: object) -> A | None:
        """Return the answer about a subject, or None."""
        return next((one for one in self.all() if self._subject(one) == subject), None)

    def remember(self, *answers: A) -> None:
        """Keep answers, instead of earlier ones about the same subjects.

        Raises:
            StoreError: They cannot be kept.
        """
        subjects = {self._subject(one) for one in answers}
        with self._alone():
            self._keep([*(one for one in self.all() if self._subject(one) not in subjects), *answers])

    def try_to_remember(self, answer: A, what: str) -> None:
        """Keep an answer, which counts now in any case; log where `what` cannot be kept and will be asked again."""
        try:
            self.remember(answer)
        except FreshkeyError as error:
            log.warning("%s is not remembered: %s", what, error.message)

    def forget(self, meant: Callable[[A], bool]) -> tuple[A, ...]:
        """Drop the answers that are meant, and return them.

        Raises:
            StoreError: They still count.
        """
        with self._alone():
            answers = self.all()
            gone = tuple(one for one in answers if meant(one))
            if gone:
                self._keep([one for one in answers if one not in gone])
        return gone

    def _subject(self, answer: A) -> tuple[object, ...]:
        return tuple(getattr(answer, name) for name in self.subject)

    def _unreadable(self, error: Exception) -> None:
        log.warning("%s cannot be read (%s): %s", self._file.path, type(error).__name__, self.if_unreadable)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Exclude other writers: one that had read before could bring back what was revoked meanwhile."""
        from freshkey._interprocess.lock import ProfileLock

        release = ProfileLock(self._state_dir, Path(self.file_name).stem).acquire(WRITE_LOCK_TIMEOUT)
        try:
            yield
        finally:
            release()

    def _keep(self, answers: list[A]) -> None:
        self._file.write({"answers": [asdict(one, value_serializer=_text_of_path) for one in answers]})


def _text_of_path(_instance: object, _field: object, value: object) -> object:
    return str(value) if isinstance(value, Path) else value
