"""What was found for one profile: the source to use, the stored credential, and the state of the store."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeGuard

from attrs import define, field, frozen

from freshkey._renewal.binding import moved
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.known import is_put_back, load, next_generation
from freshkey._renewal.seen import Mark
from freshkey._sources import precedence
from freshkey._sources.choosers import settled_on
from freshkey._sources.next_step import after_refusal, next_step
from freshkey._stores.keychain import prompts
from freshkey.errors import FreshkeyError, LoginRequired, StoreError, StoreUnavailable
from freshkey.model.credential import Credential
from freshkey.model.source import Detected, Source
from freshkey.model.storage import Snapshot
from freshkey.secret import Secret


@frozen(kw_only=True)
class Reading:
    """The result of one walk through the sources, the same walk that `freshkey explain` prints.

    Attributes:
        winner: The source that is used, or None.
        detected: What was found there, without its value, or None.
        stored: The owned credential in the store, or None; the store is read only if the walk reaches it.
        displaced: A stored credential of a source that the profile does not use any more, although `winner` would store
            its own in its place; None if there is none.
        snapshot: Everything else that was read from the store.
        known: The newest record that is known to have been saved there.
        no_store: Why the store was not read although the walk reached it, or None: it does not exist here.
    """

    winner: Source | None = None
    detected: Detected | None = None
    stored: Credential | None = None
    displaced: Credential | None = None
    snapshot: Snapshot = field(factory=Snapshot)
    known: Mark = field(factory=Mark)
    no_store: StoreUnavailable | None = None

    @property
    def owned(self) -> bool:
        """Whether the winning source is one whose credential freshkey obtains and stores."""
        return self.winner is not None and self.winner.owned

    @property
    def put_back(self) -> bool:
        """Whether the stored credential was replaced long ago, and an older copy of the store is there again."""
        return is_put_back(self.snapshot, self.known)

    @property
    def next_generation(self) -> int:
        """The generation of the next record."""
        return next_generation(self.snapshot, self.known)


@define
class StoredSignIn:
    """The stored credential of a profile: read when it is first asked for, and only once.

    Attributes:
        context: Everything about the profile.
        snapshot: What was read from the store.
        known: The newest record that is known to have been saved there.
        no_store: Why the store was not read although it was asked for, or None.
        source: ID of the source that the credential came from, even if it cannot be used; None if that is not known.
    """

    context: ProfileContext
    snapshot: Snapshot = field(init=False, factory=Snapshot)
    known: Mark = field(init=False, factory=Mark)
    no_store: StoreUnavailable | None = field(init=False, default=None)
    source: str | None = field(init=False, default=None)
    _answer: Credential | FreshkeyError | None = field(init=False, default=None)
    _asked: bool = field(init=False, default=False)

    def __call__(self) -> Credential | None:
        """Return the credential, or None if none is stored, or if there is no store and never was.

        Raises:
            LoginRequired: It belongs to another server or client.
            StoreError: The store cannot be read.
        """
        if not self._asked:
            self._asked, self._answer = True, self._read()
        if isinstance(self._answer, FreshkeyError):
            raise self._answer
        return self._answer

    @property
    def answer(self) -> Credential | None:
        """The credential if it was asked for and could be read, else None."""
        return None if isinstance(self._answer, FreshkeyError) else self._answer

    def _read(self) -> Credential | FreshkeyError | None:
        try:
            self.snapshot, self.known = load(self.context)
            if self.snapshot.payload is None:
                return None
            credential, bound = self.context.codec.decode_bound(self.snapshot.payload)
            self.source = credential.source
            source = self.context.description.source(credential.source)
            if source is not None and source.automatic and moved(self.context, credential, bound) is not None:
                return None  # never sent to these endpoints; another one can be had without the user
            if source is None and credential.renewable:
                raise _ruled_out(self.context, credential)
            return _belonging(self.context, credential, bound)
        except (LoginRequired, StoreError) as error:
            failure: FreshkeyError = error.with_traceback(None)
        if not is_missing(failure, self.context):
            return failure
        self.no_store = failure
        return None


def _ruled_out(context: ProfileContext, credential: Credential) -> LoginRequired:
    """Return the error for a sign-in with a source that the settings have ruled out since.

    Another source would replace it: it would be lost without a revocation, and the user would be somebody else.
    """
    return LoginRequired(
        f"the stored sign-in is from source {credential.source!r}, which the settings now rule out",
        profile=context.profile.name,
        hint=f"Restore the settings, or run: freshkey logout {context.profile.word}",
        code="sign-in-settings-changed",
    )


def read(context: ProfileContext) -> Reading:
    """Walk the sources and read the store if needed; nothing is published.

    Raises:
        LoginRequired: The stored credential belongs to another server or client.
        StoreError: The store is needed and cannot be read.
        ConfigurationError: The profile names a source that the provider does not have.
    """
    stored = StoredSignIn(context)
    detect = functools.partial(context.hooks.detect, context.profile)
    steps = precedence.walk(context.profile, context.description, detect, stored, context.consent)
    won = next((step for step in steps if step.wins), None)
    found = stored.answer
    # The profile's `source` or `skip` may have been set since somebody signed in.
    displaced = found if won and won.source.owned and found and found.source != won.source.id else None
    return Reading(
        winner=won.source if won else None,
        detected=won.detected if won else None,
        stored=None if displaced else found,
        displaced=displaced,
        snapshot=stored.snapshot,
        known=stored.known,
        no_store=stored.no_store,
    )


def is_missing(error: FreshkeyError, context: ProfileContext) -> TypeGuard[StoreUnavailable]:
    """Return whether the store does not exist here, and nothing is known to be stored in it."""
    # A locked store is different: if someone may be signed in, another account must not be used silently.
    # See docs/decisions.md, "A store that does not exist contains nothing".
    return isinstance(error, StoreUnavailable) and error.absent and not context.hints.read().may_be_signed_in


def stores_nothing(context: ProfileContext) -> bool:
    """Return whether nothing can be stored for this profile: no source needs a store, or there is none and never was.

    Raises:
        StoreError: The store cannot be read.
    """
    if not any(source.owned for source in context.description.sources):
        return True
    try:
        context.store.load()
    except StoreUnavailable as error:
        if not is_missing(error, context):
            raise
        return True
    return False


def stored_credential(context: ProfileContext) -> Credential | None:
    """Return the owned credential in the store, or None.

    Raises:
        LoginRequired: It belongs to another server or client.
        StoreError: The store cannot be read.
    """
    return _credential_in(context, load(context)[0])


def signed_out_since(context: ProfileContext, reading: Reading, generation: int) -> bool:
    """Return whether the user has signed out since this generation was saved."""
    snapshot, hints = reading.snapshot, context.hints.read()
    if snapshot.record is None and hints.signed_out and hints.generation > generation:
        # The walk did not need the store. Hints may be wrong, so they only tell that there is something to read there.
        with suppress(StoreError), prompts.background():
            snapshot, _ = load(context)
    record = snapshot.record
    return record is not None and record.payload is None and record.generation > generation


def decode(context: ProfileContext, payload: Secret) -> Credential:
    """Decode a stored credential.

    Raises:
        LoginRequired: It belongs to a server or client other than the profile's, and is never sent there.
        RecordUnreadable: It is corrupt, or a newer version wrote it.
    """
    return _belonging(context, *context.codec.decode_bound(payload))


def _belonging(context: ProfileContext, credential: Credential, bound: Mapping[str, Any] | None) -> Credential:
    """Return a stored credential if it belongs to the profile's server, client and endpoints; `bound` as in `moved`.

    Raises:
        LoginRequired: It belongs to others, and is never sent to these.
    """
    different = moved(context, credential, bound)
    if different is not None:
        message = f"the stored sign-in belongs to a different {different}"
        raise login_required(context, message, code="sign-in-settings-changed")
    return credential


def login_required(
    context: ProfileContext, message: str, *, code: str, no_store: StoreUnavailable | None = None
) -> LoginRequired:
    """Return the error with the reason why the user must act, and a hint how; `no_store` says why not by signing in."""
    if no_store is not None:
        message = f"{message}, and a sign-in could not be stored: {no_store.message}"
    hint = what_next(context, no_store)
    return LoginRequired(message, profile=context.profile.name, hint=hint, code=code)


def ignored_settings(context: ProfileContext, winner: Source | None) -> tuple[str, ...]:
    """Return the settings of the profile that its source does not use, even if nothing was found there."""
    source = settled_on(context.profile, context.description, winner)
    return () if source is None else context.hooks.ignores(context.profile, source)


def outdated(context: ProfileContext, reading: Reading) -> LoginRequired:
    """Return the error for a stored sign-in that has been replaced, with a refresh token that was used then."""
    message = (
        f"the store contains an older copy of the sign-in (generation {reading.snapshot.generation}, and"
        f" {reading.known.generation} was saved), whose refresh token has been used"
    )
    error = login_required(context, message, code="stored-sign-in-outdated")
    error.unsent = True  # the newer copy may be put back, too
    return error


def nothing_found(context: ProfileContext, reading: Reading) -> LoginRequired:
    """Return the error if no source has a credential."""
    message, ignored = "no credential found", ignored_settings(context, None)
    if ignored:
        message += f" in source {context.profile.source!r}, which does not use {' and '.join(ignored)}"
    return login_required(context, message, code="no-credential-found", no_store=reading.no_store)


def what_next(context: ProfileContext, no_store: StoreUnavailable | None = None) -> str:
    """Return what the user can do to get a credential, as a hint."""
    setup = functools.partial(context.hooks.setup, context.profile)
    return next_step(context.profile, context.description, setup, no_store=no_store)


def with_next_step(
    error: LoginRequired, context: ProfileContext, source: Source | None, detected: Detected | None = None
) -> LoginRequired:
    """Add the next step to a provider's error that has none; `detected` is what was found in `source`, if known."""
    if error.hint is None and source is not None:
        if detected is None and not source.needs_sign_in:
            with suppress(FreshkeyError):  # the error at hand matters more
                detected = context.hooks.detect(context.profile, source)
        error.hint = after_refusal(context.profile, context.description, source, detected)
    return error


def _credential_in(context: ProfileContext, snapshot: Snapshot) -> Credential | None:
    return None if snapshot.payload is None else decode(context, snapshot.payload)
