"""What a person said about credentials that were found beside a sign-in: asked once, remembered without the value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import field, frozen
from attrs.validators import instance_of

from freshkey._sources.precedence import Consent
from freshkey._trust.answers import Answers
from freshkey.errors import LoginRequired
from freshkey.model.interaction import Approve
from freshkey.model.source import Detected, Source


REFUSED: Final = "you said not to use it instead of the sign-in"
NOT_ASKED: Final = "you have not agreed to use it instead of the sign-in, and will be asked"

_TEXT: Final = instance_of(str)


@frozen(kw_only=True)
class Answer:
    """What a person said about one value.

    Attributes:
        profile: Name of the profile.
        source: Id of the source it was found in.
        fingerprint: Recognizes the value.
        agreed: Whether it may be used instead of the sign-in.
    """

    profile: str = field(validator=_TEXT)
    source: str = field(validator=_TEXT)
    fingerprint: str = field(validator=_TEXT, repr=False)
    agreed: bool = field(validator=instance_of(bool))


class SourceAnswers(Answers[Answer]):
    """What was said with one state directory."""

    file_name = "consents.json"
    subject = ("profile", "source", "fingerprint")
    if_unreadable = "you will be asked again"

    def build(self, members: Mapping[str, Any]) -> Answer:
        """Return an answer as it was kept."""
        return Answer(**members)


def asking(profile: str, consents: SourceAnswers, approve: Approve) -> Consent:
    """Return the decision of an interactive session: what was said, else what the person says now."""
    recalled = recalling(profile, consents)

    def consent(source: Source, detected: Detected) -> str | None:
        why_not = recalled(source, detected)
        if why_not != NOT_ASKED:
            return why_not
        try:
            agreed = approve(question(profile, detected))
        except LoginRequired:
            return None  # nobody is there, so this is no interactive session
        if detected.fingerprint:
            said = Answer(profile=profile, source=source.id, fingerprint=detected.fingerprint, agreed=agreed)
            consents.try_to_remember(said, "the answer")
        return None if agreed else REFUSED

    return consent


def recalling(profile: str, consents: SourceAnswers) -> Consent:
    """Return the decision that an interactive session would make, without asking anybody."""

    def consent(source: Source, detected: Detected) -> str | None:
        answer = consents.find(profile, source.id, detected.fingerprint)
        if answer is None:
            return NOT_ASKED
        return None if answer.agreed else REFUSED

    return consent


def question(profile: str, detected: Detected) -> str:
    """Return what a person is asked."""
    which = f" ({detected.last_four})" if detected.last_four else ""
    return (
        f"{profile}: there is an {detected.kind} in the {detected.origin}{which}, and you are signed in as well. "
        "Use what was found instead of the sign-in?"
    )
