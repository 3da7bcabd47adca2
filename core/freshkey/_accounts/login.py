"""Interactive sign-in: get a credential and store it."""

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
"""Seconds to wait until a credential is stored: lock, save, and a margin; not including a keychain prompt."""


def sign_in(
    managed: ManagedCredential, *, source_id: str | None = None, pasted: bool = False, interaction: Interaction
) -> Credential:
    """Get a credential with the user's help, and store it.

    Checks that the store is writable before the user is asked for anything except the keychain's password. Without a
    `source_id` it uses the profile's source, or else the first owned one, or with `pasted` the one for a secret that
    the user provides.

    Raises:
        FreshkeyError: The sign-in failed; a stored credential is unchanged.
    """
    context = managed.context
    profile = context.profile if source_id is None else evolve(context.profile, source=source_id)
    choose = precedence.pasted_source if pasted else precedence.sign_in_source
    source = choose(profile, context.description)
    with user_present(there=not isinstance(interaction, NonInteractive)):
        with about(context.profile.name):
            context.store.probe()
        credential = context.hooks.acquire(context.profile, source, interaction)
        # On a thread that outlives an interrupted caller: the credential has been issued, so store it.
        caller = contextvars.copy_context()
        future: SharedFuture[Credential] = run_in_thread(
            "sign-in",
            lambda future: caller.run(_keep, future, managed, credential),
            late="timed out waiting for the store; saving continues in the background",
        )
        return future.wait(WAIT + prompts.UNLOCK_TIMEOUT)


def _keep(future: SharedFuture[Credential], managed: ManagedCredential, credential: Credential) -> None:
    context = managed.context
    try:
        with about(context.profile.name), context.store.lock(LOCK_TIMEOUT):
            # If the store was emptied, continue after the last known generation: other processes ignore lower ones.
            before = context.store.load()
            generation = (before.generation or context.hints.read().generation) + 1
            # The provider's profile endpoint may have failed this time.
            # See docs/decisions.md, "Signing in again completes an identity".
            credential = evolve(credential, identity=credential.identity.completed_by(_known_identity(context, before)))
            future.set_result(keep_owned(context, managed, credential, generation))
    finally:
        managed.announce()


def _known_identity(context: ProfileContext, snapshot: Snapshot) -> Identity:
    """Return the identity of the last sign-in, to keep details that the provider did not return this time."""
    # A credential that is corrupt, or of another provider or server, is about to be replaced: ignore it.
    with suppress(FreshkeyError):
        if snapshot.payload is not None:
            return decode(context, snapshot.payload).identity
    return Identity()
