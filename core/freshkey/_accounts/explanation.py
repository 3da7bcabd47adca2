"""What `Keeper.explain` returns: the walk through the sources of an opened profile, as it would go now."""

from __future__ import annotations

from attrs import evolve

from freshkey._accounts import status
from freshkey._config.profile_selection import Choice, Selection
from freshkey._renewal import reading
from freshkey._renewal.managed import ManagedCredential
from freshkey._sources import explain
from freshkey._sources.explain import Explanation
from freshkey._trust.source_consent import recalling


def explanation(managed: ManagedCredential, selection: Selection, choices: tuple[Choice, ...]) -> Explanation:
    """Return which source of a profile is used, and why.

    Args:
        managed: The profile.
        selection: What selected it.
        choices: What else could have, in order.
    """
    context = managed.context
    stored = reading.StoredSignIn(context)
    found = explain.explain(
        context.profile,
        context.description,
        selected_by=selection.selected_by,
        detect=lambda source: context.hooks.detect(context.profile, source),
        stored=stored,
        ignores=lambda source: context.hooks.ignores(context.profile, source),
        no_store=lambda: stored.no_store,
        stored_by=lambda: stored.source,
        ended=lambda source: status.why_over(managed, source, stored),
        consent=context.consent and recalling(context.profile),
        selection=choices,
    )
    return evolve(found, account=context.profile.account)
