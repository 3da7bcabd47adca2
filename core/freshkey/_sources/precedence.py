"""Which source of a profile wins, and why: one walk that both renewals and `freshkey explain` use.

The walk goes through the provider's sources in the order of its `Description.sources`. A source is used if all of these
hold; they are checked in this order, and the first that fails is the reason why the source is not used:

1. The profile's ``source`` setting names it, or names no source at all.
2. The profile's ``skip`` setting does not list it.
3. The mode is not bare, or the source is explicitly provided (`Source.handed_in`) and needs no store; and for an
   account of the profile (`Profile.account`), it is owned: nothing says whose another tool's credential is.
4. No earlier source is used. Later sources are not checked at all.
5. It has a credential: for an owned source the stored one, if it came from this source; for any other source what its
   `Source.detect` finds. If nothing is stored, an automatic source (`Source.automatic`) is also used if its
   `Source.detect` finds what gets a credential, except for an account, which must be signed in by name. So
   whatever is stored wins over all other owned sources until the sign-out.
6. It does not need consent (`Source.needs_consent`), or the profile's ``source`` setting names it, or the user is not
   signed in, or the session is not interactive, or the user agrees.

If no source is used, `get` raises `LoginRequired`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Final

from attrs import evolve, frozen

from freshkey.errors import ConfigurationError, LoginRequired, StoreError
from freshkey.model.credential import Credential
from freshkey.model.description import Description
from freshkey.model.profile import Profile
from freshkey.model.source import Detected, Source
from freshkey.secret import quoted


Detect = Callable[[Source], Detected | None]
Stored = Callable[[], Credential | None]
Consent = Callable[[Source, Detected], str | None]
"""Returns why a credential found in a source that needs consent is not used; None if it is used."""

NOTHING: Final = "nothing found"


@frozen(kw_only=True)
class Step:
    """One source on the walk.

    Attributes:
        source: The source.
        detected: What was found, without its value; None if nothing was found or the source was not checked.
        wins: Whether this is the source that is used.
        why: Why it is used, or why not, as a short phrase.
    """

    source: Source
    detected: Detected | None
    wins: bool
    why: str


def walk(
    profile: Profile, description: Description, detect: Detect, stored: Stored, consent: Consent | None = None
) -> Iterator[Step]:
    """Go through the provider's sources in order, and check them only until one wins.

    Args:
        profile: The profile.
        description: The provider's description for this profile.
        detect: Looks for a credential in a source.
        stored: Reads the owned credential from the store; called only if the walk reaches an owned source, or one that
            needs consent.
        consent: Decides whether a source that needs consent is used; None uses it without asking the user.

    Raises:
        ConfigurationError: The profile names a source that the provider does not have.
        StoreError: The walk reached an owned source and the store cannot be read.
    """
    only, skipped = chosen_and_skipped(profile, description)
    rivals = {source.id for source in candidates(profile, description) if source.owned}
    winner: Source | None = None
    for source in description.sources:
        detected, why_not = None, _out_of_question(source, profile, only, skipped, winner)
        if why_not is None:
            detected = _detected(source, profile, detect, stored, rivals)
            why_not = _why_not_used(source, detected, stored, consent if only is None else None)
        wins = why_not is None
        winner = source if wins else winner
        why = why_not or ("set as the profile's source" if only else "first source with a credential")
        yield Step(source=source, detected=detected, wins=wins, why=why)


def _out_of_question(
    source: Source, profile: Profile, only: Source | None, skipped: Collection[Source], winner: Source | None
) -> str | None:
    """Return why a source is not checked, or None."""
    if only is not None and source is not only:
        return f"the profile's source is {only.id!r}"
    if source in skipped:
        return "skipped by the profile"
    if profile.bare and (source.owned or not source.handed_in):
        return "bare mode uses only explicitly provided credentials"
    if profile.account is not None and not source.owned:
        return "an account uses only its own sign-in"
    return f"{winner.id!r} comes first" if winner is not None else None


def _detected(
    source: Source, profile: Profile, detect: Detect, stored: Stored, rivals: Collection[str]
) -> Detected | None:
    if source.owned:
        credential = stored()
        if credential is not None and credential.source == source.id:
            return Detected(kind=source.title, origin="the store", expires_at=credential.expires_at)
        # See docs/decisions.md, "What is stored wins over other owned sources".
        # And what the machine can get by itself would make an account of every text that somebody asks for.
        is_account = profile.account is not None
        if is_account or source.needs_sign_in or (credential is not None and credential.source in rivals):
            return None
    return detect(source)


def _why_not_used(source: Source, detected: Detected | None, stored: Stored, consent: Consent | None) -> str | None:
    """Return why the credential that was found is not used, or None."""
    if detected is None:
        return NOTHING
    if consent is None or not source.needs_consent:
        return None
    # A key that happens to be in the environment must not silently replace a sign-in.
    # See docs/decisions.md, "Consent is requested only where someone is signed in, and stored as a fingerprint".
    signed_in = None
    with suppress(StoreError, LoginRequired):  # a sign-in that cannot be read cannot be used instead either
        signed_in = stored()
    return None if signed_in is None else consent(source, detected)


def candidates(profile: Profile, description: Description) -> list[Source]:
    """Return the sources that the profile's settings and its mode allow, in order.

    Raises:
        ConfigurationError: The profile names a source that the provider does not have.
    """
    only, skipped = chosen_and_skipped(profile, description)
    return [source for source in description.sources if _out_of_question(source, profile, only, skipped, None) is None]


def yields_to_sign_in(profile: Profile, description: Description, source: str | None) -> bool:
    """Return whether a sign-in would be used instead of a source, given by its ID: an owned source comes before it."""
    before = itertools.takewhile(lambda each: each.id != source, candidates(profile, description))
    return any(each.owned for each in before)


def chosen_and_skipped(profile: Profile, description: Description) -> tuple[Source | None, tuple[Source, ...]]:
    """Return the source that the profile names, or None if it names none, and the sources that it skips.

    Raises:
        ConfigurationError: The provider does not have a source of that name, or the profile names one that it skips.
    """
    chosen = None if profile.source is None else _named(profile.source, profile, description)
    if chosen is not None and chosen.id in profile.skip:
        raise ConfigurationError(
            f"the settings source and skip both name {chosen.id!r}",
            profile=profile.name,
            hint="Remove it from one of them",
            code="source-skipped",
        )
    return chosen, tuple(_named(name, profile, description) for name in profile.skip)


def _named(name: str, profile: Profile, description: Description) -> Source:
    source = description.source(name)
    if source is None:
        known = ", ".join(source.id for source in description.sources)
        raise ConfigurationError(
            f"provider {profile.provider!r} has no source {quoted(name)}",
            profile=profile.name,
            hint=f"Choose one of: {known}",
            code="unknown-source",
        )
    return source


def first_owned(profile: Profile, description: Description) -> Source | None:
    """Return the source that a sign-in would use, or None if there is none.

    Signing in is preferred to entering an existing secret (`Source.pasted`), because the user need not find one, and
    both to a source that needs no sign-in (`Source.automatic`).
    """
    chosen, skipped = chosen_and_skipped(profile, description)
    if profile.bare:
        return None
    candidates = (chosen,) if chosen else [source for source in description.sources if source not in skipped]
    owned = [source for source in candidates if source.owned]
    return min(owned, key=lambda source: (source.automatic, source.pasted), default=None)


def sign_in_source(profile: Profile, description: Description, named: str | None = None) -> Source:
    """Return the source that a sign-in uses: the one that the user names, or the profile, else the first owned one.

    Raises:
        ConfigurationError: There is none, or the profile does not use the one that the user names.
    """
    if named is not None:
        wanted = _named(named, profile, description)
        if wanted.owned and not profile.bare and wanted not in candidates(profile, description):
            raise ConfigurationError(
                f"the profile does not use source {wanted.id!r}, so a sign-in there would have no effect",
                profile=profile.name,
                hint="Change the profile's source or skip setting, or use another profile",
                code="source-not-used",
            )
        profile = evolve(profile, source=named)
    source = first_owned(profile, description)
    if source is not None:
        return source
    if profile.bare:
        raise _bare(profile)
    owned = ", ".join(source.id for source in description.sources if source.owned)
    raise ConfigurationError(
        f"source {profile.source!r} does not use a sign-in, so there is nothing to sign in to"
        if profile.source
        else "this profile has no source to sign in to",
        profile=profile.name,
        hint=f"Choose a source that supports signing in: {owned}" if owned else None,
        code="nothing-to-sign-in-to",
    )


def pasted_source(profile: Profile, description: Description) -> Source:
    """Return the source that stores a secret entered by the user, such as an API key.

    Raises:
        ConfigurationError: There is none, or the profile does not use it.
    """
    if profile.bare:
        raise _bare(profile)
    pasted = [source for source in description.sources if source.pasted]
    if not pasted:
        raise ConfigurationError("this provider cannot store an API key", profile=profile.name, code="no-key-source")
    chosen, skipped = chosen_and_skipped(profile, description)
    for source in pasted:
        if chosen in (None, source) and source not in skipped:
            return source
    raise ConfigurationError(
        f"the profile does not use source {pasted[0].id!r}, so a stored key would have no effect",
        profile=profile.name,
        hint="Change the profile's source or skip setting, or use another profile",
        code="no-key-source",
    )


def _bare(profile: Profile) -> ConfigurationError:
    return ConfigurationError(
        "signing in is not available in bare mode",
        profile=profile.name,
        hint="Turn off bare mode to sign in",
        code="bare-mode",
    )
