"""Sign out: revoke a credential at the provider and delete it here."""

from __future__ import annotations

import functools
from contextlib import suppress

from attrs import evolve

from freshkey._accounts.login import WAIT
from freshkey._interprocess.exit_hold import ExitHold
from freshkey._interprocess.hints import Hints
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.known import newest_saved, next_generation, note_saved
from freshkey._renewal.managed import ManagedCredential
from freshkey._renewal.persist import SAVE_TIMEOUT
from freshkey._renewal.reading import decode, stores_nothing
from freshkey._renewal.single_flight import LOCK_TIMEOUT, SharedFuture, run_in_thread
from freshkey._sources import precedence
from freshkey.errors import ConfigurationError, FreshkeyError, about
from freshkey.events import SignedOut
from freshkey.model.storage import Record
from freshkey.secret import Secret


def sign_out(managed: ManagedCredential) -> SignedOut:
    """Revoke the owned credential of a profile, then delete it, even if it cannot be revoked.

    That ends this credential. If a source is automatic (`Source.automatic`), the next use gets another one there, and
    `SignedOut.detail` says so.

    Raises:
        ConfigurationError: In bare mode, which does not use stored credentials.
        StoreError: The store cannot be written; the credential was not deleted.
    """
    profile, message = managed.context.profile, "bare mode does not use stored credentials"
    if profile.bare:
        raise ConfigurationError(message, profile=profile.name, hint="Sign out without bare mode", code="bare-mode")
    future: SharedFuture[SignedOut] = run_in_thread(
        "sign-out",
        lambda future: _remove(future, managed),
        late="timed out waiting for the sign-out, which continues in the background",
    )
    return future.wait(WAIT + SAVE_TIMEOUT)


def _remove(future: SharedFuture[SignedOut], managed: ManagedCredential) -> None:
    try:
        with about(managed.context.profile.name, managed.context.profile.account):
            outlook = _outlook(managed.context)
            if stores_nothing(managed.context):
                event = _with(outlook, _not_signed_in(managed.context))
                managed.drop(event)
            else:
                event = _erase(managed, outlook)
        future.set_result(event)
    finally:
        managed.announce()


def _erase(managed: ManagedCredential, outlook: str) -> SignedOut:
    """Revoke and delete what is stored, under the lock; `outlook` as in `_with`."""
    context = managed.context
    with context.store.lock(LOCK_TIMEOUT):
        snapshot = context.store.load()  # as it is: what was put back is revoked, too
        event = _not_signed_in(context)
        if snapshot.payload is not None:
            event = _revoke(context, snapshot.payload)
            # A tombstone as the next generation, so that every process notices.
            generation = next_generation(snapshot, newest_saved(context))
            grave = Record(generation=generation, payload=None, written_at=context.clock.now().wall)
            with ExitHold(context.profile.label) as hold:
                hold.saving()  # what was just revoked must not stay in the store
                context.store.save(grave)
            # No pause or refusal of the sign-in outlives it.
            before = context.hints.read()
            kept = {name: getattr(before, name) for name in ("store", "generation", "signed_out", "elsewhere")}
            note_saved(context, Hints(**kept), grave)
            context.notifier.notify()
        if context.index is not None and context.profile.account is not None:
            context.index.remove(context.profile.account)
        event = _with(outlook, event)
        managed.drop(event)  # with all that callers are told, because subscribers get it as it is
    return event


def _outlook(context: ProfileContext) -> str:
    """Return that the next use gets another credential without the user, if what gets it is there; else nothing."""
    detect = functools.partial(context.hooks.detect, context.profile)
    with suppress(FreshkeyError):  # what cannot be looked at is told when it is used
        steps = precedence.walk(context.profile, context.description, detect, lambda: None)
        source = next((step.source for step in steps if step.wins), None)
        if source is not None and source.automatic:
            return f"the next use gets a new credential from {source.title!r}"
    return ""


def _with(outlook: str, event: SignedOut) -> SignedOut:
    return evolve(event, detail=f"{event.detail}; {outlook}") if outlook else event


def _not_signed_in(context: ProfileContext) -> SignedOut:
    return _done(context, None, "not signed in")


def _done(context: ProfileContext, revoked: bool | None, detail: str) -> SignedOut:
    return SignedOut(profile=context.profile.name, account=context.profile.account, revoked=revoked, detail=detail)


def _revoke(context: ProfileContext, payload: Secret) -> SignedOut:
    """Revoke the credential at the provider, and return the result as an event."""
    try:
        revoked = context.hooks.revoke(context.description, context.profile, decode(context, payload))
    except FreshkeyError as error:
        detail = f"deleted from the store, but not revoked at the provider: {error.message}"
        return _done(context, False, detail)
    if not revoked:
        return _done(context, None, "deleted from the store; the provider does not support revocation")
    return _done(context, True, "revoked at the provider and deleted from the store")
