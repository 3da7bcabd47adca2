"""Which source of a profile wins, and why: one walk, for the core to follow and for people to read.

The sources are asked in the provider's order. One of them is the one that is used if, in this order,

1. the profile names it, or names none;
2. the profile does not skip it;
3. it is handed in, or the mode is not bare;
4. no source before it is the one;
5. there is something: for an owned source its sign-in in the store, otherwise what `Source.detect` finds; an owned one
   that needs no user may be asked by `detect` as well;
6. it needs no consent, or the profile names it, or nobody is signed in, or the user agrees.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Final

from attrs import frozen

from freshkey.errors import ConfigurationError, LoginRequired, StoreError
from freshkey.model.credential import Credential
from freshkey.model.description import Description
from freshkey.model.profile import Profile
from freshkey.model.source import Detected, Source


Detect = Callable[[Source], Detected | None]
Stored = Callable[[], Credential | None]
Consent = Callable[[Source, Detected], str | None]
"""Says why what was found in a source that needs consent is not used; None if it is."""

NOTHING: Final = "nothing there"


@frozen(kw_only=True)
class Step:
    """One source on the walk.

    Attributes:
        source: The source.
        detected: What is there, without its value; None if nothing is or it was not asked.
        wins: It is the one that is used.
        why: One phrase: why it wins, or why not.
    """

    source: Source
    detected: Detected | None
    wins: bool
    why: str


def walk(
    profile: Profile, description: Description, detect: Detect, stored: Stored, consent: Consent | None = None
) -> Iterator[Step]:
    """Go through the provider's sources in order, asking each only until one has won.

    `stored` reads the owned credential that the store holds; it is called only when the walk reaches an owned source,
    or one that needs `consent`. Without a `consent` such a source is used.

    Raises:
        ConfigurationError: The profile names a source that the provider does not have.
        StoreError: The walk reached an owned source and the store cannot be read.
    """
    only, skipped = chosen_and_skipped(profile, description)
    winner: Source | None = None
    for source in description.sources:
        detected, why_not = None, _out_of_question(source, profile, only, skipped, winner)
        if why_not is None:
            detected = _detected(source, detect, stored)
            why_not = _why_not_used(source, detected, stored, consent if only is None else None)
        wins = why_not is None
        winner = source if wins else winner
        why = why_not or ("the profile names it" if only else "the first that is there")
        yield Step(source=source, detected=detected, wins=wins, why=why)


def _out_of_question(
    source: Source, profile: Profile, only: Source | None, skipped: Collection[Source], winner: Source | None
) -> str | None:
    """Return why a source is not even looked at, or None."""
    if only is not None and source is not only:
        return f"the profile names source {only.id!r}"
    if source in skipped:
        return "the profile skips it"
    if profile.bare and not source.handed_in:
        return "bare mode uses only what is handed in"
    return f"{winner.id!r} comes first" if winner is not None else None


def _detected(source: Source, detect: Detect, stored: Stored) -> Detected | None:
    if source.owned:
        credential = stored()
        if credential is not None and credential.source == source.id:
            return Detected(kind=source.title, origin="the store", expires_at=credential.expires_at)
        if source.interactive:
            return None
    return detect(source)


def _why_not_used(source: Source, detected: Detected | None, stored: Stored, consent: Consent | None) -> str | None:
    """Return why what was found does not win, or None."""
    if detected is None:
        return NOTHING
    if consent is None or not source.needs_consent:
        return None
    signed_in = None
    with suppress(StoreError, LoginRequired):  # a store that cannot be read now has nothing to be used instead
        signed_in = stored()
    return None if signed_in is None else consent(source, detected)


def chosen_and_skipped(profile: Profile, description: Description) -> tuple[Source | None, tuple[Source, ...]]:
    """Return the source that the profile names, or None if it names none, and those that it says not to use.

    Raises:
        ConfigurationError: The provider has no source of such a name.
    """
    chosen = None if profile.source is None else _named(profile.source, profile, description)
    return chosen, tuple(_named(name, profile, description) for name in profile.skip)


def _named(name: str, profile: Profile, description: Description) -> Source:
    source = description.source(name)
    if source is None:
        known = ", ".join(source.id for source in description.sources)
        raise ConfigurationError(
            f"provider {profile.provider!r} has no source {name!r}",
            profile=profile.name,
            hint=f"Choose one of: {known}",
        )
    return source


def first_owned(profile: Profile, description: Description) -> Source | None:
    """Return the source that a sign-in would use, or None if there is none.

    Signing in goes before handing in a secret that exists: nobody has to go and look for one.
    """
    chosen, skipped = chosen_and_skipped(profile, description)
    if profile.bare:
        return None
    candidates = (chosen,) if chosen else [source for source in description.sources if source not in skipped]
    return min((source for source in candidates if source.owned), key=lambda source: source.pasted, default=None)


def sign_in_source(profile: Profile, description: Description) -> Source:
    """Return the source that a sign-in uses: the profile's, else the first owned one.

    Raises:
        ConfigurationError: There is none.
    """
    source = first_owned(profile, description)
    if source is not None:
        return source
    if profile.bare:
        raise _bare(profile)
    raise ConfigurationError(
        f"source {profile.source!r} is another tool's" if profile.source else "there is nothing to sign in to",
        profile=profile.name,
        hint="; ".join(f"{source.id}: {source.title}" for source in description.sources),
    )


def pasted_source(profile: Profile, description: Description) -> Source:
    """Return the source in which a secret is kept that a person hands in.

    Raises:
        ConfigurationError: There is none, or the profile does not use it.
    """
    if profile.bare:
        raise _bare(profile)
    pasted = [source for source in description.sources if source.pasted]
    if not pasted:
        raise ConfigurationError("this provider keeps no key that a person hands in", profile=profile.name)
    chosen, skipped = chosen_and_skipped(profile, description)
    for source in pasted:
        if chosen in (None, source) and source not in skipped:
            return source
    raise ConfigurationError(
        f"the profile does not use source {pasted[0].id!r}, so a key would be kept for nothing",
        profile=profile.name,
        hint="Change its source or skip in the configuration, or use another profile",
    )


def _bare(profile: Profile) -> ConfigurationError:
    return ConfigurationError("bare mode signs nobody in", profile=profile.name, hint="Leave bare mode to sign in")
