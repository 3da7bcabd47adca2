"""What the user can do next when a profile has no usable credential: advice that works as written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from freshkey._files.path_text import shown_path
from freshkey._sources.choosers import chosen_by
from freshkey._sources.precedence import candidates, first_owned
from freshkey.errors import StoreError, sign_in_command
from freshkey.model.description import Description
from freshkey.model.profile import Profile
from freshkey.model.source import Detected, Source
from freshkey.secret import shown_name


Setup = Callable[[Source], str | None]


def next_step(profile: Profile, description: Description, setup: Setup, *, no_store: StoreError | None = None) -> str:
    """Return a hint: how to sign in, and what to do before that; or else which sources could have a credential.

    Args:
        profile: The profile.
        description: The provider's description for this profile.
        setup: Returns `Source.setup` of a source.
        no_store: Why a sign-in could not be stored, or None.
    """
    sources = candidates(profile, description)
    is_account = profile.account is not None  # which is signed in from an automatic source, too
    signs_in = {source for source in sources if source.needs_sign_in or (is_account and source.owned)}
    others = "; ".join(source.title for source in sources if source not in signs_in)
    provide = f"Provide one of these: {others}" if others else "Change the source or skip setting of the profile"
    # What the settings choose is meant, although it is not there now: a sign-in is only the other way.
    chosen = {each: names for each in sources if each not in signs_in and (names := chosen_by(profile, each))}
    meant = "; ".join(f"{each.title} ({_shown(profile, names)})" for each, names in chosen.items())
    default = first_owned(profile, description)
    if default is None or (default.automatic and not is_account):
        automatic = [told for source in sources if source.automatic and (told := setup(source))]
        return ". Or ".join([*automatic[:1], *map(_lowered, automatic[1:])]) or provide
    ways = {source: setup(source) for source in sources if source in signs_in}
    store = None if no_store is None else no_store.hint or "Choose another store for the profile in config.toml"
    first, *alternatives = _ways_to_sign_in(profile, ways, default, store)
    if meant:
        first = f"Provide this: {meant}. To sign in instead, {_lowered(first)}"
    elif store and others:
        first = f"{provide}. To sign in instead, {_lowered(first)}"
    return ". Or ".join([first, *map(_lowered, alternatives)])


def after_refusal(profile: Profile, description: Description, source: Source, detected: Detected | None) -> str | None:
    """Return a hint for a source from which something was not accepted, where the provider does not say more.

    Args:
        profile: The profile.
        description: The provider's description for this profile.
        source: The source.
        detected: What was found there, or None.
    """
    if source.needs_sign_in:
        return _sign_in(profile, source, None, first_owned(profile, description) or source)
    return f"Replace the {detected.kind} from {detected.origin}" if detected is not None else None


def _ways_to_sign_in(
    profile: Profile, ways: Mapping[Source, str | None], default: Source, store: str | None
) -> list[str]:
    """Return the ways to sign in, as sentences without periods: the one that takes least comes first.

    The first one also says how to get a store, if `store` says that there is none.
    """
    by_effort = sorted(ways, key=lambda source: (ways[source] is not None, source.pasted))
    if ways[by_effort[0]] is None and not by_effort[0].pasted:
        by_effort = by_effort[:1]
    befores = [ways[source] for source in by_effort]
    if store is not None:
        # After the setup, which may also name the command of another tool; that one needs no store.
        befores[0] = f"{befores[0]}. Also {_lowered(store)};" if befores[0] else f"{store};"
    return [_sign_in(profile, source, before, default) for source, before in zip(by_effort, befores, strict=True)]


def _sign_in(profile: Profile, source: Source, before: str | None, default: Source) -> str:
    option = " --api-key" if source.pasted else "" if source is default else f" --source {source.id}"
    command = f"{sign_in_command(profile.word)}{option}"
    if not before:
        return f"Run: {command}"
    return f"{before}{'' if before.endswith(';') else ','} then run: {command}"


def _shown(profile: Profile, names: Iterable[str]) -> str:
    """Return settings and variables by their names, with the paths and names that the settings have as values."""
    shown = []
    for name in names:
        value = getattr(profile.settings, name, None)
        text = shown_path(str(value)) if isinstance(value, Path) else None
        text = shown_name(value) if isinstance(value, str) else text
        shown.append(name if text is None else f"{name} = {text}")
    return ", ".join(shown)


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
