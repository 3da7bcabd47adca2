"""The status of a profile, from local information only."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import Factory, frozen

from freshkey._interprocess.hints import Hints
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.failure import describe_end, describe_refusal, describe_shared, hint_to_retry, needs_user
from freshkey._renewal.managed import ManagedCredential
from freshkey._renewal.reading import (
    Reading,
    StoredSignIn,
    ignored_settings,
    outdated,
    read,
    stored_credential,
    what_next,
)
from freshkey._renewal.subject import subject_of
from freshkey._sources.choosers import chosen_by, overruled
from freshkey._sources.precedence import candidates, first_owned
from freshkey._stores.keychain import prompts
from freshkey.errors import LoginRequired, StoreError, safe_code
from freshkey.expiry import Freshness
from freshkey.model.credential import Credential
from freshkey.model.profile import Profile
from freshkey.model.sign_in_end import ends_soon
from freshkey.model.source import Detected, Source


@frozen(kw_only=True)
class HiddenSignIn:
    """A stored sign-in that is not used, because an earlier source has a credential.

    Attributes:
        source: The source that it came from.
        credential: The stored credential.
        store: Kind of the store.
        hidden_by: What is used instead, without its value.
        chosen_by: Settings of the profile and environment variables that choose what is used instead.
    """

    source: Source
    credential: Credential
    store: str
    hidden_by: Detected
    chosen_by: tuple[str, ...] = ()


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
        sign_in_ending: Whether the sign-in ends soon, and renewals do not prolong it; `Credential.sign_in_ends_at` says
            when.
        sign_in_needed: Why the user has to sign in, or None.
        sign_in_code: The `FreshkeyError.code` of that, or None.
        last_error: The error of the last attempt if it failed, or None.
        last_error_code: Its `FreshkeyError.code`, or None.
        renews: Whether freshkey gets a newer credential when it is next used and due, without the user.
        next_step: What the user can do to get a credential, as a hint; None if a source has one that works, as far as
            is known.
        hidden: A stored sign-in that is not used, because an earlier source has a credential; None if there is none.
        detected: What was found in the source in use, without its value; None without a source.
        overruled: Settings of the profile that choose a later source than the one in use, and the IDs of their sources.
        ignored: Settings of the profile that the source in use does not use, or the one that the profile names.
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
    sign_in_ending: bool = False
    renews: bool = False
    next_step: str | None = None
    hidden: HiddenSignIn | None = None
    detected: Detected | None = None
    overruled: Mapping[str, str] = Factory(dict)
    ignored: tuple[str, ...] = ()


def status(managed: ManagedCredential) -> Status:
    """Return the status of a profile, from memory, the store and the hints of other processes; no network.

    Raises:
        StoreError: The stored credential was needed but cannot be read.
    """
    context = managed.context
    found, unusable = Reading(), None
    try:
        found = read(context)
    except LoginRequired as error:
        unusable = error
    credential, generation = _in_use(managed, found)
    hints = context.hints.read()
    last_error, last_error_code, advice = _last_error(managed, hints, found)
    why, code, step = _sign_in_needed(managed, found, unusable, last_error, last_error_code)
    works = credential is not None and context.freshness(credential) is not Freshness.EXPIRED
    return Status(
        profile=context.profile,
        store=_store_kind(context, found),
        source=found.winner.id if found.winner else None,
        generation=generation,
        credential=credential,
        freshness=context.freshness(credential) if credential else None,
        sign_in_needed=why,
        sign_in_code=code,
        last_error=last_error,
        last_error_code=last_error_code,
        renews=why is None and credential is not None and context.renews(credential) and not _is_stuck(context, found),
        sign_in_ending=credential is not None
        and not context.is_automatic(credential)
        and ends_soon(credential, context.clock.now(), failing=hints.kind is not None),
        next_step=step if works else step or advice,
        hidden=_hidden(context, found),
        detected=found.detected,
        overruled=overruled(context.profile, context.description, found.winner),
        ignored=ignored_settings(context, found.winner),
    )


def why_over(managed: ManagedCredential, source: Source, stored: StoredSignIn) -> str | None:
    """Return why the stored credential that a source has is of no use, or cannot be renewed; None if it can."""
    found = Reading(winner=source, stored=stored.answer, snapshot=stored.snapshot)
    last_error, code, _ = _last_error(managed, managed.context.hints.read(), found)
    return _sign_in_needed(managed, found, None, last_error, code)[0]


def _sign_in_needed(
    managed: ManagedCredential,
    found: Reading,
    unusable: LoginRequired | None,
    last_error: str | None,
    last_error_code: str | None,
) -> tuple[str | None, str | None, str | None]:
    """Return why the user has to sign in, the code of that, and the next step; `unusable` is why nothing was found."""
    context, hints = managed.context, managed.context.hints.read()
    credential, generation = _in_use(managed, found)
    expired = credential is not None and context.freshness(credential) is Freshness.EXPIRED
    if generation and hints.refused_generation == generation and not _is_automatic(found):
        return *_refusal(managed, generation, hints), what_next(context)
    if credential is not None and expired and not context.renews(credential):
        return describe_end(context.description.source(credential.source)), "sign-in-ended", what_next(context)
    if expired and _is_stuck(context, found):
        unusable = outdated(context, found)
    if unusable is not None:
        return unusable.message, unusable.code, unusable.hint
    if expired and found.owned and last_error and needs_user(hints):
        return last_error, last_error_code, what_next(context)
    return None, None, what_next(context, found.no_store) if found.winner is None else None


def _refusal(managed: ManagedCredential, generation: int, hints: Hints) -> tuple[str, str]:
    """Return why a sign-in cannot be renewed any more, and the code of that."""
    refusal = managed.refusals.get(generation)
    if refusal is not None:
        return refusal.message, refusal.code
    return describe_refusal(hints.sign_in_code), hints.sign_in_code or LoginRequired.code


def _last_error(managed: ManagedCredential, hints: Hints, found: Reading) -> tuple[str | None, str | None, str | None]:
    """Return what the last attempt failed with, in the words of this process if it knows any, its code and a hint."""
    own, context, source = managed.last_error, managed.context, found.winner
    # That no one is signed in is not an error of an attempt.
    if own is not None and (hints.kind is not None or not isinstance(own, LoginRequired)):
        return own.message, safe_code(own), own.hint
    # What failed elsewhere with another source or other settings, or before something changed, says nothing about the
    # next attempt here.
    of_another = source is not None and hints.source not in ("", source.id)
    if hints.kind is None or of_another or hints.subject not in (None, subject_of(context, found)):
        return None, None, None
    told = describe_shared(hints, context.clock.now(), owned=found.owned)
    hint = hint_to_retry(context.profile.word, None if found.owned else found.detected)
    return told, hints.error_code, hint


def _in_use(managed: ManagedCredential, found: Reading) -> tuple[Credential | None, int]:
    """Return the credential of the source in use, from the store or from memory, and its generation."""
    if found.owned and found.stored is not None:
        return found.stored, found.snapshot.generation
    held = managed.held
    if held is None or (found.winner is not None and held.credential.source != found.winner.id):
        return None, 0 if found.winner else found.snapshot.generation
    return held.credential, held.generation


def _is_stuck(context: ProfileContext, found: Reading) -> bool:
    return found.owned and not _is_automatic(found) and found.put_back and context.description.single_use


def _is_automatic(found: Reading) -> bool:
    """Whether freshkey gets another credential without the user, whatever became of the stored one."""
    return found.winner is not None and found.winner.automatic


def _store_kind(context: ProfileContext, found: Reading) -> str | None:
    if context.profile.bare or found.no_store is not None:
        return None
    owned = found.owned if found.winner else first_owned(context.profile, context.description) is not None
    return context.store.kind if owned else None


def _hidden(context: ProfileContext, found: Reading) -> HiddenSignIn | None:
    """Return the stored sign-in that would be used without the source in use."""
    if found.detected is None or found.owned or not context.hints.read().may_be_signed_in:
        return None  # where nothing is known to be stored, the store is not asked
    try:
        with prompts.background():  # a notice is no reason to make the keychain prompt
            credential = found.stored or stored_credential(context)
    except (StoreError, LoginRequired):
        return None  # the source in use does not depend on it
    allowed = {source.id: source for source in candidates(context.profile, context.description)}
    if credential is None or credential.source not in allowed:
        return None
    source, store = allowed[credential.source], context.store.kind
    chosen = chosen_by(context.profile, found.winner) if found.winner else ()
    return HiddenSignIn(source=source, credential=credential, store=store, hidden_by=found.detected, chosen_by=chosen)
