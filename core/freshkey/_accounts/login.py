"""Signing in with the user's help, and keeping the credential."""

from __future__ import annotations

import contextvars
from contextlib import suppress
from typing import Final

from attrs import evolve

from freshkey._renewal.context import ProfileContext
from freshkey._renewal.managed import ManagedCredential
from freshkey._renewal.persist import SAVE_TIMEOUT, keep_owned
from freshkey._renewal.reading import decode
from freshkey._renewal.single_flight import LOCK_TIMEOUT, SharedFuture, run_in_thread
from freshkey._sources import precedence
from freshkey._stores.keychain import prompts
from freshkey._stores.keychain.prompts import user_present
from freshkey.errors import FreshkeyError, about
from freshkey.model.credential import Credential
from freshkey.model.identity import Identity
from freshkey.model.interaction import Interaction, NonInteractive
from freshkey.model.storage import Snapshot


WAIT: Final = LOCK_TIMEOUT + SAVE_TIMEOUT + 5.0
"""Seconds to wait until a credential is kept: for the lock, for the save, and a little; more where one may be asked."""


def sign_in(
    managed: ManagedCredential, *, source_id: str | None = None, pasted: bool = False, interaction: Interaction
) -> Credential:
    """Get a credential with a person's help, and keep it.

    The store is proven to be writable before the person is asked for anything but the keychain's password. Without a
    `source_id` the profile's source is used, else the first owned one, or with `pasted` the one for a secret that the
    person hands in.

    Raises:
        FreshkeyError: It was not possible; nothing that was stored is lost.
    """
    context = managed.context
    profile = context.profile if source_id is None else evolve(context.profile, source=source_id)
    choose = precedence.pasted_source if pasted else precedence.sign_in_source
    source = choose(profile, context.description)
    with user_present(there=not isinstance(interaction, NonInteractive)):
        with about(context.profile.name):
            context.store.probe()
        credential = context.hooks.acquire(context.profile, source, interaction)
        # On a thread that outlives an interrupted caller: the credential exists, so it is kept.
        caller = contextvars.copy_context()
        future: SharedFuture[Credential] = run_in_thread(
            "sign-in", lambda future: caller.run(_keep, future, managed, credential)
        )
        return future.wait(WAIT + prompts.UNLOCK_TIMEOUT)


def _keep(future: SharedFuture[Credential], managed: ManagedCredential, credential: Credential) -> None:
    context = managed.context
    try:
        with about(context.profile.name), context.store.lock(LOCK_TIMEOUT):
            # An emptied store counts on from where it was: a lower generation would be news to nobody.
            before = context.store.load()
            generation = (before.generation or context.hints.read().generation) + 1
            credential = evolve(credential, identity=credential.identity.completed_by(_known_identity(context, before)))
            future.set_result(keep_owned(context, managed, credential, generation))
    finally:
        managed.announce()


def _known_identity(context: ProfileContext, snapshot: Snapshot) -> Identity:
    """Return whose the last sign-in was: a profile call that fails this time does not lose a known plan."""
    # What is of another provider or server, or corrupt, is replaced now.
    with suppress(FreshkeyError):
        if snapshot.payload is not None:
            return decode(context, snapshot.payload).identity
    return Identity()
