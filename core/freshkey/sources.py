"""Which source of a profile wins, and why: one walk, for the core to follow and for people to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import evolve, frozen

from freshkey.errors import ConfigurationError, LoginRequired, StoreError
from freshkey.model import Credential, Description, Profile, Sighting, Source


Look = Callable[[Source], Sighting | None]
Stored = Callable[[], Credential | None]

NOTHING = "nothing there"


@frozen(kw_only=True)
class Step:
    """One source on the walk.

    Attributes:
        source: The source.
        sighting: What is there, without its value; None if nothing is or it was not asked.
        wins: It is the one that is used.
        why: One phrase: why it wins, or why not.
    """

    source: Source
    sighting: Sighting | None
    wins: bool
    why: str


@frozen(kw_only=True)
class Explanation:
    """The whole answer to "which credential is used, and why".

    Attributes:
        profile: Name of the profile.
        selected_by: What chose this profile.
        provider: Id of the provider.
        steps: Every source in order of precedence.
    """

    profile: str
    selected_by: str
    provider: str
    steps: tuple[Step, ...]


def walk(profile: Profile, description: Description, look: Look, stored: Stored) -> Iterator[Step]:
    """Go through the provider's sources in order, asking each only until one has won.

    Args:
        profile: The profile; if it names a source, only that one can win.
        description: The provider's description for this profile.
        look: Says what is in a source.
        stored: Reads the owned credential that the store holds; called only when the walk reaches an owned source.

    Raises:
        ConfigurationError: The profile names a source that the provider does not have.
        StoreError: The walk reached an owned source and the store cannot be read.
    """
    only = chosen_source(profile, description)
    winner: Source | None = None
    for source in description.sources:
        if only is not None and source is not only:
            yield Step(source=source, sighting=None, wins=False, why=f"the profile names source {only.id!r}")
            continue
        if winner is not None:
            yield Step(source=source, sighting=None, wins=False, why=f"{winner.id!r} comes first")
            continue
        sighting = _sighting(source, look, stored)
        if sighting is None:
            yield Step(source=source, sighting=None, wins=False, why=NOTHING)
            continue
        winner = source
        why = "the profile names it" if only else "the first that is there"
        yield Step(source=source, sighting=sighting, wins=True, why=why)


def _sighting(source: Source, look: Look, stored: Stored) -> Sighting | None:
    if source.owned:
        credential = stored()
        if credential is not None and credential.source == source.id:
            return Sighting(kind=source.title, origin="the store", expires_at=credential.expires_at)
        if source.interactive:
            return None
    return look(source)


def chosen_source(profile: Profile, description: Description) -> Source | None:
    """Return the source that the profile names, or None if it names none.

    Raises:
        ConfigurationError: The provider has no source of that name.
    """
    if profile.source is None:
        return None
    source = description.source(profile.source)
    if source is None:
        known = ", ".join(source.id for source in description.sources)
        raise ConfigurationError(
            f"provider {profile.provider!r} has no source {profile.source!r}",
            profile=profile.name,
            hint=f"Choose one of: {known}",
        )
    return source


def first_owned(profile: Profile, description: Description) -> Source | None:
    """Return the source that a sign-in would use, or None if there is none."""
    chosen = chosen_source(profile, description)
    candidates = (chosen,) if chosen else description.sources
    return next((source for source in candidates if source.owned), None)


def sign_in_source(profile: Profile, description: Description) -> Source:
    """Return the source that a sign-in uses: the profile's, else the first owned one.

    Raises:
        ConfigurationError: There is none.
    """
    source = first_owned(profile, description)
    if source is not None:
        return source
    raise ConfigurationError(
        f"source {profile.source!r} is another tool's" if profile.source else "there is nothing to sign in to",
        profile=profile.name,
        hint="; ".join(f"{source.id}: {source.title}" for source in description.sources),
    )


def explain(profile: Profile, selected_by: str, description: Description, look: Look, stored: Stored) -> Explanation:
    """Return the walk as people read it; a store that cannot be read is part of the answer, not an error."""
    trouble = ""

    def stored_or_trouble() -> Credential | None:
        nonlocal trouble
        try:
            return stored()
        except (StoreError, LoginRequired) as error:
            trouble = str(error)
            return None

    steps = []
    for step in walk(profile, description, look, stored_or_trouble):
        if trouble and step.source.owned and step.why == NOTHING:
            step = evolve(step, why=trouble)  # noqa: PLW2901  the same step, better explained
        steps.append(step)
    return Explanation(profile=profile.name, selected_by=selected_by, provider=profile.provider, steps=tuple(steps))
