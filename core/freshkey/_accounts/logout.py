"""Signing out: a credential is revoked at the provider and removed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from freshkey._accounts.login import WAIT
from freshkey._interprocess.hints import Hints
from freshkey._renewal.persist import PATIENCE
from freshkey._renewal.rotation import LOCK_PATIENCE, decode
from freshkey._renewal.single_flight import Flight, launch
from freshkey.errors import ConfigurationError, FreshkeyError, about
from freshkey.events import SignedOut
from freshkey.model.storage import Record
from freshkey.secret import Secret


if TYPE_CHECKING:
    from freshkey._renewal.context import Desk
    from freshkey._renewal.managed import Holding


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
