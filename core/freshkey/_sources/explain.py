"""Explains which source is used: the walk in `precedence`, in a form that can be shown to the user."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from attrs import evolve, frozen

from freshkey._config.env_vars import Moved, moved
from freshkey._config.profile_selection import Choice
from freshkey._sources.choosers import overruled
from freshkey._sources.precedence import (
    NOTHING,
    Consent,
    Detect,
    Step,
    Stored,
    candidates,
    chosen_and_skipped,
    walk,
)
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, StoreError
from freshkey.model.description import Description
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey.model.unused_settings import named


@frozen(kw_only=True)
class Explanation:
    """The full answer to "which credential is used, and why?".

    Attributes:
        profile: Name of the profile.
        selected_by: What selected this profile.
        provider: ID of the provider.
        steps: Every source in order of precedence.
        selection: Every place that can select a profile, in order of precedence.
        variables: The environment variables that are set and move a file, an endpoint or a proxy, or choose an
            identity. A project's ``.env`` may have set them.
        account: Which of its accounts; None if there is only one.
    """

    profile: str
    selected_by: str
    provider: str
    steps: tuple[Step, ...]
    selection: tuple[Choice, ...] = ()
    variables: tuple[Moved, ...] = ()
    account: str | None = None


def explain(
    profile: Profile,
    description: Description,
    *,
    selected_by: str,
    detect: Detect,
    stored: Stored,
    ignores: Callable[[Source], tuple[str, ...]] = lambda _: (),
    no_store: Callable[[], StoreError | None] = lambda: None,
    stored_by: Callable[[], str | None] = lambda: None,
    ended: Callable[[Source], str | None] = lambda _: None,
    consent: Consent | None = None,
    selection: tuple[Choice, ...] = (),
) -> Explanation:
    """Return the walk for display; an unreadable store or source is part of the result, not an error.

    `no_store` says, once `stored` has been called, why there is no store to read, and `stored_by` which source the
    stored credential came from, even if it cannot be used; `ended`, why the stored credential of a source is over;
    `ignores`, which settings a source does not use.

    Raises:
        ConfigurationError: The profile names a source that the provider does not have.
        PluginBroken: The provider raised something that its contract does not allow.
    """
    only, _ = chosen_and_skipped(profile, description)  # a wrong source name is an error, not part of the result
    steps: list[Step] = []
    late: Mapping[str, str] = {}
    try:
        for step in walk(profile, description, detect, stored, consent):
            missing = no_store() if step.source.owned and step.why == NOTHING else None
            ignored = ignores(step.source) if step.wins or step.source is only else ()
            over = ended(step.source) if step.wins and step.source.owned else None
            late = overruled(profile, description, step.source) if step.wins else late
            chosen = [name for name, source in late.items() if source == step.source.id]
            more = (f", but {over}" if over else "") + (f": {missing.message}" if missing else "")
            more += (f"; {named(ignored)}" if ignored else "") + (f", although {_all(chosen)} is set" if chosen else "")
            steps.append(evolve(step, why=step.why + more))
    except (ConfigurationError, StoreError, LoginRequired) as error:
        # `get` fails with the same error: no later source is used in its place.
        left = description.sources[len(steps) :]
        used = [source for source in candidates(profile, description) if source in left]
        at_fault = _at_fault(used, stored_by()) if isinstance(error, LoginRequired) else left[0]
        steps += _without(left, at_fault, error)
    return Explanation(
        profile=profile.name,
        selected_by=selected_by,
        provider=profile.provider,
        steps=tuple(steps),
        selection=selection,
        variables=moved(description.moved_by, os.environ),
    )


def _all(names: Sequence[str]) -> str:
    return " and ".join(names)


def _at_fault(left: Sequence[Source], stored_by: str | None) -> Source:
    """Return the source whose credential cannot be used; `left` is the one at which the walk ended, and the rest."""
    # What is stored is asked for at the first owned source, although it may be that of a later one.
    return next((each for each in left if each.id == stored_by), left[0]) if left[0].owned else left[0]


def _without(left: Iterable[Source], broken: Source, error: FreshkeyError) -> Iterator[Step]:
    told = f"{error.message}. {error.hint}" if error.hint else error.message  # the profile is known here
    passed = False
    for source in left:
        passed = passed or source is broken
        why = NOTHING if source.owned and not passed else f"not reached: fix {broken.id!r} first"
        why = f"cannot be used: {told}" if source is broken else why
        yield Step(source=source, detected=None, wins=False, why=why)
