"""Signing in with the user's help, and keeping the credential."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING

from attrs import evolve

from freshkey._renewal.persist import PATIENCE
from freshkey._renewal.rotation import LOCK_PATIENCE, Rotation, decode
from freshkey._renewal.single_flight import Flight, launch
from freshkey._sources import precedence
from freshkey._stores.keychain import prompts
from freshkey._stores.keychain.prompts import somebody_there
from freshkey.errors import FreshkeyError, about
from freshkey.model.credential import Credential
from freshkey.model.identity import Identity
from freshkey.model.interaction import Interaction, Nobody
from freshkey.model.storage import Snapshot


if TYPE_CHECKING:
    from freshkey._renewal.context import Desk
    from freshkey._renewal.managed import Holding


WAIT = LOCK_PATIENCE + PATIENCE + 5.0

"""Seconds to wait until a credential is kept: for the lock, for the save, and a little; more where one may be asked."""


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
    choose = precedence.pasted_source if pasted else precedence.sign_in_source
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
