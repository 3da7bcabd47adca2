"""The status of a profile, from local information only."""

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
    """The status of a profile, from local information only.

    Attributes:
        profile: The profile.
        store: Kind of the store, or None if it was not needed.
        source: ID of the source in use, or None.
        generation: Generation in the store; 0 if nothing is stored.
        credential: The credential from the store or from memory, or None.
        freshness: Whether the credential is fresh, due or expired; None without one.
        sign_in_needed: Why the user has to sign in, or None.
        sign_in_code: The `FreshkeyError.code` of that, or None.
        last_error: The error of the last attempt if it failed, or None.
        last_error_code: Its `FreshkeyError.code`, or None.
    """

    profile: Profile
    store: str | None
    source: str | None
    generation: int
    credential: Credential | None
    freshness: Freshness | None
    sign_in_needed: str | None
    sign_in_code: str | None
    last_error: str | None
    last_error_code: str | None


def status(managed: ManagedCredential) -> Status:
    """Return the status of a profile, from memory, the store and the hints of other processes; no network.

    Raises:
        StoreError: The stored credential was needed but cannot be read.
    """
    context = managed.context
    why: str | None = None
    code: str | None = None
    try:
        found = read(context)
        winner, credential, generation = found.winner, found.stored, found.snapshot.generation
    except LoginRequired as error:
        winner, credential, generation, why, code = None, None, 0, error.message, error.code
    held = managed.held
    if credential is None and held is not None:
        credential, generation = held.credential, held.generation
    hints = context.hints.read()
    if generation and hints.refused_generation == generation:
        why, code = hints.sign_in_needed, hints.sign_in_code
    return Status(
        profile=context.profile,
        store=context.store.kind if not context.profile.bare and (winner is None or winner.owned) else None,
        source=winner.id if winner else None,
        generation=generation,
        credential=credential,
        freshness=context.freshness(credential) if credential else None,
        sign_in_needed=why,
        sign_in_code=code,
        last_error=hints.error,
        last_error_code=hints.error_code,
    )
