"""The user's choice between a sign-in and another credential found: asked once, saved without the value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import field, frozen
from attrs.validators import instance_of, optional

from freshkey._sources.precedence import Consent
from freshkey._text.visible import spelled_out
from freshkey._trust.answers import Answers
from freshkey.errors import LoginRequired
from freshkey.model.interaction import Approve
from freshkey.model.profile import Profile
from freshkey.model.source import Detected, Source


REFUSED: Final = "you chose to use your sign-in instead"
NOT_ASKED: Final = "you will be asked whether to use it instead of your sign-in"

_TEXT: Final = instance_of(str)


@frozen(kw_only=True)
class Answer:
    """The user's answer about one value.

    Attributes:
        profile: Name of the profile.
        project: Directory of the project that defines the profile; None for a profile of the user's own.
        source: ID of the source it was found in.
        fingerprint: Identifies the value.
        agreed: Whether to use it instead of the sign-in.
    """

    profile: str = field(validator=_TEXT)
    source: str = field(validator=_TEXT)
    fingerprint: str = field(validator=_TEXT, repr=False)
    agreed: bool = field(validator=instance_of(bool))
    project: str | None = field(default=None, validator=optional(_TEXT))


class SourceAnswers(Answers[Answer]):
    """All answers in a state directory."""

    file_name = "consents.json"
    subject = ("profile", "project", "source", "fingerprint")
    if_unreadable = "you will be asked again"

    def build(self, members: Mapping[str, Any]) -> Answer:
        """Return an answer from its members in the file."""
        return Answer(**members)


def asking(profile: Profile, approve: Approve) -> Consent:
    """Return the consent function of an interactive session: uses the saved answer, or asks the user."""
    recalled, consents = recalling(profile), SourceAnswers(profile.state_dir)

    def consent(source: Source, detected: Detected) -> str | None:
        why_not = recalled(source, detected)
        if why_not != NOT_ASKED:
            return why_not
        try:
            agreed = approve(question(profile.name, detected))
        except LoginRequired:
            return None  # no one to ask: use it, as any non-interactive session does
        if detected.fingerprint:
            said = Answer(
                profile=profile.name,
                project=_project(profile),
                source=source.id,
                fingerprint=detected.fingerprint,
                agreed=agreed,
            )
            consents.try_to_remember(said, "your answer")
        return None if agreed else REFUSED

    return consent


def recalling(profile: Profile) -> Consent:
    """Return a consent function that uses only saved answers and never asks."""
    consents, project = SourceAnswers(profile.state_dir), _project(profile)

    def consent(source: Source, detected: Detected) -> str | None:
        answer = consents.find(profile.name, project, source.id, detected.fingerprint)
        if answer is None:
            return NOT_ASKED
        return None if answer.agreed else REFUSED

    return consent


def _project(profile: Profile) -> str | None:
    return None if profile.project_dir is None else str(profile.project_dir)


def question(profile: str, detected: Detected) -> str:
    """Return the question for the user."""
    found = f"{detected.kind} ending in {detected.last_four}" if detected.last_four else detected.kind
    return spelled_out(
        f"{profile}: you are signed in, but there is also a credential in the {detected.origin}: {found}. "
        "Use it instead of your sign-in?"
    )
