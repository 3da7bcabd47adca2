"""Interactive sign-in: get a credential, store it, and revoke the one that it replaces."""

from __future__ import annotations

import contextvars
import functools
from contextlib import suppress
from typing import Final

from attrs import evolve

from freshkey._accounts.replaced import Replacement, is_ended, live_sign_in, may_replace
from freshkey._interprocess.exit_hold import ExitHold
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.known import load, next_generation
from freshkey._renewal.managed import ManagedCredential
from freshkey._renewal.persist import SAVE_TIMEOUT, keep_owned
from freshkey._renewal.reading import decode, what_next, with_next_step
from freshkey._renewal.single_flight import LOCK_TIMEOUT, SharedFuture, run_in_thread
from freshkey._sources import precedence
from freshkey._stores.keychain import prompts
from freshkey._stores.keychain.prompts import user_present
from freshkey._trust.source_consent import recalling
from freshkey.errors import FreshkeyError, LoginRequired, StoreUnavailable, about
from freshkey.model.credential import Credential
from freshkey.model.identity import Identity
from freshkey.model.interaction import Interaction, NonInteractive
from freshkey.model.source import Source
from freshkey.model.storage import Snapshot


WAIT: Final = LOCK_TIMEOUT + SAVE_TIMEOUT + 5.0
"""Seconds to wait until a credential is stored: lock, save, and a margin; not including a keychain prompt."""


def sign_in(
    managed: ManagedCredential,
    *,
    source_id: str | None = None,
    pasted: bool = False,
    replace: bool = False,
    interaction: Interaction,
) -> Credential:
    """Get a credential with the user's help, store it, and revoke the one that it replaces.

    If a credential is stored that may still work, the user is asked first, unless `replace` is set; if the user
    declines, that credential is returned.

    Checks that the store is writable before the user is asked for anything except the keychain's password. Without a
    `source_id` it uses the profile's source, or else the first owned one, or with `pasted` the one for a secret that
    the user provides.

    Raises:
        FreshkeyError: The sign-in failed; a stored credential is unchanged.
    """
    context = managed.context
    profile, description = context.profile, context.description
    if pasted:
        chosen = profile if source_id is None else evolve(profile, source=source_id)
        source = precedence.pasted_source(chosen, description)
    else:
        source = precedence.sign_in_source(profile, description, source_id)
    with user_present(there=not isinstance(interaction, NonInteractive)):
        # A sign-in that is not set up yet fails with the provider's advice, whether or not there is a store.
        ready = context.hooks.setup(profile, source) is None
        with about(context.profile.name):
            if ready:
                context.store.probe()
            current = None if replace or not ready else live_sign_in(context, managed.refusals)
        if current is not None and not may_replace(context, current, interaction):
            interaction.notice("Kept the existing sign-in")
            return current
        replacement = Replacement()
        try:
            credential = _acquire_and_keep(managed, source, interaction, replacement)
        except FreshkeyError as error:
            if not ready and (missing := _missing_store(context)) is not None:
                error.hint = what_next(context, missing)  # what the provider says next would fail, too
            raise
        if not (replacement.revoked and is_ended(context, credential)):
            return credential
        # See docs/decisions.md, "A replaced sign-in is revoked, and the new one checked".
        interaction.notice("The provider has ended the new sign-in together with the old one. Please sign in once more")
        return _acquire_and_keep(managed, source, interaction, None)


def _acquire_and_keep(
    managed: ManagedCredential, source: Source, interaction: Interaction, replacement: Replacement | None
) -> Credential:
    context = managed.context
    try:
        credential = context.hooks.acquire(context.profile, source, interaction)
    except LoginRequired as error:
        with_next_step(error, context, source)
        raise
    served = keep(managed, credential, replacement)
    if replacement is not None:
        replacement.wait()
        if replacement.notice:
            interaction.notice(replacement.notice)
    return served


def keep(managed: ManagedCredential, credential: Credential, replacement: Replacement | None = None) -> Credential:
    """Store a new sign-in as the next generation, under the lock, and serve it.

    Args:
        managed: The profile.
        credential: What was issued.
        replacement: What becomes of the credential that was stored before; None leaves it alone.

    Raises:
        FreshkeyError: It was not stored, or not yet.
    """
    context = managed.context
    # On a thread that outlives an interrupted caller: the credential has been issued, so store it.
    caller, hold = contextvars.copy_context(), ExitHold(context.profile.label)
    work = functools.partial(_keep, managed=managed, credential=credential, replacement=replacement, hold=hold)
    hold.saving()
    try:
        future: SharedFuture[Credential] = run_in_thread(
            "sign-in",
            lambda future: caller.run(work, future),
            late="timed out waiting for the store; saving continues in the background",
        )
    except FreshkeyError:
        hold.close()
        raise
    return future.wait(WAIT + prompts.UNLOCK_TIMEOUT)


def _missing_store(context: ProfileContext) -> StoreUnavailable | None:
    """Return why a sign-in could not be stored here, or None."""
    try:
        with prompts.background():
            context.store.load()
    except FreshkeyError as error:
        return error if isinstance(error, StoreUnavailable) and error.absent else None
    return None


def _keep(
    future: SharedFuture[Credential],
    managed: ManagedCredential,
    credential: Credential,
    replacement: Replacement | None,
    hold: ExitHold,
) -> None:
    context, refused = managed.context, tuple(managed.refusals)
    try:
        with hold, about(context.profile.name), context.store.lock(LOCK_TIMEOUT):
            # If the store was emptied or put back, continue after the last known generation: other processes ignore
            # lower ones.
            before, known = load(context)
            generation = next_generation(before, known)
            # The provider's profile endpoint may have failed this time.
            # See docs/decisions.md, "Signing in again completes an identity".
            identity = credential.identity.completed_by(_known_identity(context, before, credential.source))
            newer = evolve(credential, identity=identity)
            served = keep_owned(context, managed, newer, generation, held_generation=before.generation)
            hold.close()  # what follows asks the provider's hooks
            if _is_hidden(context, served):
                managed.forget()
            future.set_result(served)
    finally:
        managed.announce()
    if replacement is not None:
        replacement.revoke(context, before, credential, refused)


def _is_hidden(context: ProfileContext, credential: Credential) -> bool:
    """Whether an earlier source wins, which every process then uses instead of the sign-in; asks no one."""
    detect = functools.partial(context.hooks.detect, context.profile)
    consent = context.consent and recalling(context.profile)
    with suppress(FreshkeyError):
        steps = precedence.walk(context.profile, context.description, detect, lambda: credential, consent)
        winner = next((step.source.id for step in steps if step.wins), credential.source)
        return winner != credential.source
    return False


def _known_identity(context: ProfileContext, snapshot: Snapshot, source: str) -> Identity:
    """Return the identity of the last sign-in with a source, to keep what the provider did not return this time."""
    # A credential that is corrupt, or of another provider or server, is about to be replaced: ignore it.
    with suppress(FreshkeyError):
        if snapshot.payload is not None:
            last = decode(context, snapshot.payload)
            return last.identity if last.source == source else Identity()
    return Identity()
