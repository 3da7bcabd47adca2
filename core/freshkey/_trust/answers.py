"""A file of the user's answers: a list with one answer per subject."""

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
    from attrs import Attribute, AttrsInstance

A = TypeVar("A", bound="AttrsInstance")

log = logging.getLogger(__name__)

WRITE_LOCK_TIMEOUT: Final = 5.0
"""Seconds to wait for another process that is writing the file."""


class Answers(Generic[A]):
    """All answers of one kind in a state directory."""

    file_name: ClassVar[str]
    subject: ClassVar[tuple[str, ...]]
    """Names of the attributes that identify an answer; a later answer with the same values replaces it."""
    if_unreadable: ClassVar[str]
    """The consequence for the user, for the log."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._file = StateFile(state_dir, self.file_name)

    def build(self, members: Mapping[str, Any]) -> A:
        """Return an answer from its members in the file; may raise any conversion error."""
        raise NotImplementedError

    def all(self) -> tuple[A, ...]:
        """Return all answers; none if they cannot be read, so that the user is asked again."""
        return self._file.read(lambda found: tuple(map(self.build, found["answers"])), self._unreadable) or ()

    def find(self, *subject: object) -> A | None:
        """Return the answer about a subject, or None."""
        return next((one for one in self.all() if self._subject(one) == subject), None)

    def remember(self, *answers: A) -> None:
        """Save answers; they replace earlier ones about the same subjects.

        Raises:
            StoreError: They cannot be saved.
        """
        subjects = {self._subject(one) for one in answers}
        with self._alone():
            self._keep([*(one for one in self.all() if self._subject(one) not in subjects), *answers])

    def try_to_remember(self, answer: A, what: str) -> None:
        """Save an answer that applies to this run in any case; if that fails, log that `what` was not saved."""
        try:
            self.remember(answer)
        except FreshkeyError as error:
            log.warning("cannot save %s: %s", what, error.message)

    def forget(self, meant: Callable[[A], bool]) -> tuple[A, ...]:
        """Delete the answers for which `meant` is true, and return them.

        Raises:
            StoreError: They cannot be deleted, and remain in effect.
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
        log.warning("cannot read %s (%s): %s", self._file.path, type(error).__name__, self.if_unreadable)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Exclude other writers: one that read the file earlier could restore an answer that was just revoked."""
        from freshkey._interprocess.lock import ProfileLock

        release = ProfileLock(self._state_dir, Path(self.file_name).stem).acquire(WRITE_LOCK_TIMEOUT)
        try:
            yield
        finally:
            release()

    def _keep(self, answers: list[A]) -> None:
        self._file.write({"answers": [asdict(one, filter=_is_kept, value_serializer=_text_of_path) for one in answers]})


def _is_kept(attribute: Attribute[Any], _value: object) -> bool:
    return bool(attribute.eq)  # what does not count in a comparison is about this process


def _text_of_path(_instance: object, _field: object, value: object) -> object:
    return str(value) if isinstance(value, Path) else value
