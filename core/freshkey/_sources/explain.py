"""How the choice of a source is told: the same walk, as people read it."""

from __future__ import annotations

from attrs import evolve, frozen

from freshkey._config.profile_selection import Choice
from freshkey._sources.precedence import NOTHING, Consent, Detect, Step, Stored, chosen_and_skipped, walk
from freshkey.errors import ConfigurationError, LoginRequired, StoreError
from freshkey.model.credential import Credential
from freshkey.model.description import Description
from freshkey.model.profile import Profile


@frozen(kw_only=True)
class Explanation:
    """The whole answer to "which credential is used, and why".

    Attributes:
        profile: Name of the profile.
        selected_by: What chose this profile.
        provider: Id of the provider.
        steps: Every source in order of precedence.
        selection: Every place that may name the profile, in order of precedence.
    """

    profile: str
    selected_by: str
    provider: str
    steps: tuple[Step, ...]
    selection: tuple[Choice, ...] = ()


def explain(
    profile: Profile,
    description: Description,
    *,
    selected_by: str,
    detect: Detect,
    stored: Stored,
    consent: Consent | None = None,
    selection: tuple[Choice, ...] = (),
) -> Explanation:
    """Return the walk as people read it; a store or source that cannot be read is part of the answer, not an error.

    Raises:
        ConfigurationError: The profile names a source that the provider does not have.
        PluginBroken: The provider broke its contract.
    """
    chosen_and_skipped(profile, description)  # a wrong name is an error here, and not a part of the answer
    trouble = ""

    def stored_or_trouble() -> Credential | None:
        nonlocal trouble
        try:
            return stored()
        except (StoreError, LoginRequired) as error:
            trouble = str(error)
            return None

    steps: list[Step] = []
    try:
        for step in walk(profile, description, detect, stored_or_trouble, consent):
            unread = trouble and step.source.owned and step.why == NOTHING
            steps.append(evolve(step, why=trouble) if unread else step)
    except ConfigurationError as error:
        # Whoever asks for a credential meets the same error there: nothing behind it is used in its place.
        broken, *behind = description.sources[len(steps) :]
        steps.append(Step(source=broken, detected=None, wins=False, why=f"cannot be used: {error}"))
        why = f"not reached: {broken.id!r} has to be mended first"
        steps += [Step(source=source, detected=None, wins=False, why=why) for source in behind]
    return Explanation(
        profile=profile.name,
        selected_by=selected_by,
        provider=profile.provider,
        steps=tuple(steps),
        selection=selection,
    )
