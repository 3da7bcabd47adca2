"""What a person starts and ends: signing in, signing out, and asking how things stand."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from freshkey import sources
from freshkey.errors import ConfigurationError, FreshkeyError, LoginRequired, about
from freshkey.events import SignedOut
from freshkey.flight import Flight, launch
from freshkey.model import Credential, Identity, Interaction, Profile, Record, Snapshot
from freshkey.person import Nobody
from freshkey.rotation import LOCK_PATIENCE, Rotation, decode
from freshkey.saving import PATIENCE
from freshkey.schedule import Freshness
from freshkey.secret import Secret
from freshkey.stores import prompts
from freshkey.stores.bell import Hints
from freshkey.stores.prompts import somebody_there


if TYPE_CHECKING:
    from freshkey.desk import Desk
    from freshkey.holding import Holding

WAIT = LOCK_PATIENCE + PATIENCE + 5.0
"""Seconds to wait until a credential is kept: for the lock, for the save, and a little; more where one may be asked."""


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


def sign_in(holding: Holding, *, source_id: str | None = None, pasted: bool = False, ask: Interaction) -> Credential:
    """Get a credential with a person's help, and keep it.

    The store is proven to be writable before the person is asked for anything but the keychain's password.

    Args:
        holding: The profile.
        source_id: Id of the source to use; None chooses the profile's, else the first owned one.
        pasted: The source is the one for a secret that the person hands in.
        ask: The person.

    Raises:
        FreshkeyError: It was not possible; nothing that was stored is lost.
    """
    desk = holding.desk
    profile = desk.profile if source_id is None else evolve(desk.profile, source=source_id)
    choose = sources.pasted_source if pasted else sources.sign_in_source
    source = choose(profile, desk.description)
    with somebody_there(there=not isinstance(ask, Nobody)):
        with about(desk.profile.name):
            desk.store.probe()
        credential = desk.lifecycle.acquire(desk.profile, source, ask)
        # On a thread that outlives an interrupted caller: the credential exists, so it is kept.
        context = contextvars.copy_context()
        flight: Flight[Credential] = launch("sign-in", lambda flight: context.run(_keep, flight, holding, credential))
        return flight.wait(WAIT + prompts.PATIENCE)


def _keep(flight: Flight[Credential], holding: Holding, credential: Credential) -> None:
    desk = holding.desk
    try:
        with about(desk.profile.name), desk.store.lock(LOCK_PATIENCE):
            # An emptied store counts on from where it was: a lower generation would be news to nobody.
            before = desk.store.load()
            generation = (before.generation or desk.hints.read().generation) + 1
            credential = evolve(credential, identity=credential.identity.completed_by(_known_identity(desk, before)))
            flight.land(Rotation(desk, holding).keep_owned(credential, generation))
    finally:
        holding.announce()


def _known_identity(desk: Desk, snapshot: Snapshot) -> Identity:
    """Return whose the last sign-in was: a profile call that fails this time does not lose a known plan."""
    if snapshot.record is None or snapshot.record.payload is None:
        return Identity()
    try:
        return decode(desk, snapshot.record.payload).identity
    except FreshkeyError:
        # Of another provider or server, or corrupt: it is replaced now.
        return Identity()


def sign_out(holding: Holding) -> SignedOut:
    """Revoke the owned credential of a profile, then remove it; it is removed even if it cannot be revoked.

    Raises:
        ConfigurationError: Bare mode leaves alone what is kept.
        StoreError: The store cannot be written; the credential is still there.
    """
    if holding.desk.profile.bare:
        message = "bare mode leaves alone what is kept"
        raise ConfigurationError(message, profile=holding.desk.profile.name, hint="Leave bare mode to sign out")
    flight: Flight[SignedOut] = launch("sign-out", lambda flight: _remove(flight, holding))
    return flight.wait(WAIT + PATIENCE)


def _remove(flight: Flight[SignedOut], holding: Holding) -> None:
    desk = holding.desk
    try:
        with about(desk.profile.name), desk.store.lock(LOCK_PATIENCE):
            snapshot = desk.store.load()
            if snapshot.record is None or snapshot.record.payload is None:
                event = SignedOut(profile=desk.profile.name, revoked=None, detail="nobody was signed in")
            else:
                event = _revoke(desk, snapshot.record.payload)
                _bury(desk, snapshot.generation + 1)
            holding.drop(event)
        flight.land(event)
    finally:
        holding.announce()


def _revoke(desk: Desk, payload: Secret) -> SignedOut:
    """End the credential at the provider, and say how that went."""
    name = desk.profile.name
    try:
        credential = decode(desk, payload)
        revoked = desk.lifecycle.revoke(desk.description, desk.profile, credential)
    except FreshkeyError as error:
        detail = f"removed here, but not revoked at the provider: {error.message}"
        return SignedOut(profile=name, revoked=False, detail=detail)
    if not revoked:
        return SignedOut(profile=name, revoked=None, detail="removed here; the provider cannot revoke")
    return SignedOut(profile=name, revoked=True, detail="revoked at the provider and removed here")


def _bury(desk: Desk, generation: int) -> None:
    """Write a tombstone as the next generation, and let every process know."""
    desk.store.save(Record(generation=generation, payload=None, written_at=desk.clock.now().wall))
    desk.hints.write(Hints(generation=generation))
    desk.bell.ring()


def status(holding: Holding) -> Status:
    """Say how a profile stands, from memory, the store and the hints of other processes; no network.

    Raises:
        StoreError: What is stored had to be read and cannot be.
    """
    desk = holding.desk
    why: str | None = None
    try:
        winner, credential, generation = Rotation(desk, holding).survey()
    except LoginRequired as error:
        winner, credential, generation, why = None, None, 0, error.message
    held = holding.held
    if credential is None and held is not None:
        credential, generation = held.credential, held.generation
    hints = desk.hints.read()
    if generation and hints.refused_generation == generation:
        why = hints.sign_in_needed
    return Status(
        profile=desk.profile,
        store=desk.store.kind if not desk.profile.bare and (winner is None or winner.owned) else None,
        source=winner.id if winner else None,
        generation=generation,
        credential=credential,
        freshness=desk.freshness(credential) if credential else None,
        sign_in_needed=why,
        last_error=hints.error,
    )


def stored_credential(holding: Holding) -> Credential | None:
    """Return the owned credential that the store holds, or None.

    Raises:
        StoreError: The store cannot be read.
    """
    snapshot = holding.desk.store.load()
    if snapshot.record is None or snapshot.record.payload is None:
        return None
    return decode(holding.desk, snapshot.record.payload)
