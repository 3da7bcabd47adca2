"""How a profile stands, as far as this machine knows."""

from __future__ import annotations

from attrs import frozen

from freshkey._renewal.managed import ManagedCredential
from freshkey._renewal.reading import read
from freshkey.errors import LoginRequired
from freshkey.expiry import Freshness
from freshkey.model.credential import Credential
from freshkey.model.profile import Profile


@frozen(kw_only=True)
class Status:
    """How a profile stands, as far as this machine knows.

    Attributes:
        profile: The profile.
        store: Kind of the store, or None if it was not needed.
        source: Id of the source in use, or None.
        generation: Generation in the store; 0 if nothing is stored.
        credential: The stored or held credential, or None.
        freshness: Whether it is fresh, due or expired; None without one.
        sign_in_needed: Why only a person can go on, or None.
        last_error: What the last failed attempt said, or None.
    """

    profile: Profile
    store: str | None
    source: str | None
    generation: int
    credential: Credential | None
    freshness: Freshness | None
    sign_in_needed: str | None
    last_error: str | None


def status(managed: ManagedCredential) -> Status:
    """Say how a profile stands, from memory, the store and the hints of other processes; no network.

    Raises:
        StoreError: What is stored had to be read and cannot be.
    """
    context = managed.context
    why: str | None = None
    try:
        found = read(context)
        winner, credential, generation = found.winner, found.stored, found.snapshot.generation
    except LoginRequired as error:
        winner, credential, generation, why = None, None, 0, error.message
    held = managed.held
    if credential is None and held is not None:
        credential, generation = held.credential, held.generation
    hints = context.hints.read()
    if generation and hints.refused_generation == generation:
        why = hints.sign_in_needed
    return Status(
        profile=context.profile,
        store=context.store.kind if not context.profile.bare and (winner is None or winner.owned) else None,
        source=winner.id if winner else None,
        generation=generation,
        credential=credential,
        freshness=context.freshness(credential) if credential else None,
        sign_in_needed=why,
        last_error=hints.error,
    )
