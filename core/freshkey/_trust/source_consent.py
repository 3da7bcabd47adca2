"""What a person said about credentials that were found beside a sign-in: asked once, remembered without the value."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Final

from attrs import asdict, field, frozen
from attrs.validators import instance_of

from freshkey._files.private import private_dir, read_private, write_private
from freshkey._sources.precedence import Consent
from freshkey.errors import FreshkeyError, LoginRequired
from freshkey.model.interaction import Approve
from freshkey.model.source import Detected, Source


log = logging.getLogger("freshkey")

FILE_NAME: Final = "consents.json"

_TEXT: Final = instance_of(str)


@frozen(kw_only=True)
class Answer:
    """What a person said about one value.

    Attributes:
        profile: Name of the profile.
        source: Id of the source it was found in.
        fingerprint: Recognises the value.
        agreed: Whether it may be used instead of the sign-in.
    """

    profile: str = field(validator=_TEXT)
    source: str = field(validator=_TEXT)
    fingerprint: str = field(validator=_TEXT, repr=False)
    agreed: bool = field(validator=instance_of(bool))


class SourceAnswers:
    """The answers of one state directory.

    Args:
        state_dir: The state directory.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._path = state_dir / FILE_NAME

    def all(self) -> tuple[Answer, ...]:
        """Return every answer; none if they cannot be read, so that the person is asked again."""
        try:
            content = read_private(self._path)
            return tuple(Answer(**answer) for answer in json.loads(content)["answers"]) if content else ()
        except (FreshkeyError, ValueError, TypeError, KeyError) as error:
            log.warning("%s cannot be read (%s): you will be asked again", self._path, type(error).__name__)
            return ()

    def find(self, profile: str, source: str, fingerprint: str | None) -> bool | None:
        """Return what was said about a value, or None."""
        wanted = (profile, source, fingerprint)
        found = (one for one in self.all() if (one.profile, one.source, one.fingerprint) == wanted)
        answer = next(found, None)
        return answer.agreed if answer is not None else None

    def remember(self, answer: Answer) -> None:
        """Keep an answer, instead of an earlier one about the same value; if it cannot be kept, it is asked for again.

        Two answers in the same moment may lose one, with the same effect.
        """
        earlier = [one for one in self.all() if _subject(one) != _subject(answer)]
        self._keep([*earlier, answer])

    def forget(self, profile: str, source: str) -> bool:
        """Drop what was said about a source of a profile; return whether there was anything."""
        answers = self.all()
        left = [one for one in answers if (one.profile, one.source) != (profile, source)]
        if len(left) < len(answers):
            self._keep(left)
        return len(left) < len(answers)

    def _keep(self, answers: list[Answer]) -> None:
        content = json.dumps({"answers": [asdict(one) for one in answers]}).encode()
        try:
            private_dir(self._state_dir)
            write_private(self._path, content)
        except FreshkeyError as error:
            log.warning("the answer is not remembered: %s", error.message)


def _subject(answer: Answer) -> tuple[str, str, str]:
    return answer.profile, answer.source, answer.fingerprint


def asking(profile: str, consents: SourceAnswers, approve: Approve) -> Consent:
    """Return the decision of an interactive session: what was said, else what the person says now."""

    def consent(source: Source, detected: Detected) -> str | None:
        agreed = consents.find(profile, source.id, detected.fingerprint)
        if agreed is None:
            try:
                agreed = approve(question(profile, detected))
            except LoginRequired:
                return None  # nobody is there, so this is no interactive session
            if detected.fingerprint:
                said = Answer(profile=profile, source=source.id, fingerprint=detected.fingerprint, agreed=agreed)
                consents.remember(said)
        return None if agreed else REFUSED

    return consent


def recalling(profile: str, consents: SourceAnswers) -> Consent:
    """Return the decision that an interactive session would make, without asking anybody."""

    def consent(source: Source, detected: Detected) -> str | None:
        agreed = consents.find(profile, source.id, detected.fingerprint)
        if agreed is None:
            return "you have not agreed to use it instead of the sign-in, and will be asked"
        return None if agreed else REFUSED

    return consent


REFUSED: Final = "you said not to use it instead of the sign-in"


def question(profile: str, detected: Detected) -> str:
    """Return what a person is asked."""
    which = f" ({detected.last_four})" if detected.last_four else ""
    return (
        f"{profile}: there is an {detected.kind} in the {detected.origin}{which}, and you are signed in as well. "
        "Use what was found instead of the sign-in?"
    )
