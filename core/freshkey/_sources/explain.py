"""Explains which source is used: the walk in `precedence`, in a form that can be shown to the user."""

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
    """The full answer to "which credential is used, and why?".

    Attributes:
        profile: Name of the profile.
        selected_by: What selected this profile.
        provider: ID of the provider.
        steps: Every source in order of precedence.
        selection: Every place that can select a profile, in order of precedence.
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
    """Return the walk for display; an unreadable store or source is part of the result, not an error.

    Raises:
        ConfigurationError: The profile names a source that the provider does not have.
        PluginBroken: The provider raised something that its contract does not allow.
    """
    chosen_and_skipped(profile, description)  # a wrong source name is an error, not part of the result
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
        # `get` fails with the same error: no later source is used in its place.
        broken, *later = description.sources[len(steps) :]
        told = f"{error.message}. {error.hint}" if error.hint else error.message  # the profile is known here
        steps.append(Step(source=broken, detected=None, wins=False, why=f"cannot be used: {told}"))
        why = f"not reached: fix {broken.id!r} first"
        steps += [Step(source=source, detected=None, wins=False, why=why) for source in later]
    return Explanation(
        profile=profile.name,
        selected_by=selected_by,
        provider=profile.provider,
        steps=tuple(steps),
        selection=selection,
    )
