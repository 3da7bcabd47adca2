"""The sign-in that a new one replaces: the user is asked first, and it is revoked once the new one is saved.

See docs/decisions.md, "A replaced sign-in is revoked, and the new one checked".
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from attrs import define, field

from freshkey._renewal.context import ProfileContext
from freshkey._renewal.known import is_put_back, load
from freshkey._renewal.reading import decode
from freshkey.clock import interruptible
from freshkey.errors import FreshkeyError, LoginRequired, RecordUnreadable
from freshkey.expiry import Freshness
from freshkey.model.credential import Credential
from freshkey.model.description import Validity
from freshkey.model.identity import Identity
from freshkey.model.interaction import Interaction
from freshkey.model.storage import Snapshot


REVOKE_TIMEOUT: Final = 45.0
"""Seconds to wait for the provider to confirm; it has its own, shorter limit for each request."""


def live_sign_in(context: ProfileContext, refused: Collection[int]) -> Credential | None:
    """Return the stored credential if it may still work, or None; `refused` are generations that cannot be renewed.

    Raises:
        StoreError: The store cannot be read.
    """
    try:
        snapshot, known = load(context)
        credential = None if snapshot.payload is None else decode(context, snapshot.payload)
    except (LoginRequired, RecordUnreadable):
        return None  # it is of no use here
    if credential is None or _is_refused(context, snapshot, refused):
        return None
    if context.description.single_use and is_put_back(snapshot, known):
        return None  # it cannot be renewed
    ended = context.freshness(credential) is Freshness.EXPIRED and not credential.renewable
    return None if ended else credential


def may_replace(context: ProfileContext, current: Credential, interaction: Interaction) -> bool:
    """Ask the user; where no one can be asked, the caller has asked for a sign-in, and that counts."""
    name, label = context.profile.label, current.identity.label
    source = context.description.source(current.source or "")
    if source is not None and source.automatic:
        return True  # no one signed in for it
    if source is not None and source.pasted:
        question = f"{name} already has a stored key. Replace it?"
    else:
        question = f"{name} is already signed in{f' as {label}' if label else ''}. Sign in again and replace that?"
    try:
        return interaction.confirm(question)
    except LoginRequired:
        return True


@define
class Replacement:
    """What became of the credential that a new one replaced; filled in on the thread that saves.

    Attributes:
        notice: What the user should know, or None.
        revoked: Whether it was revoked, and belonged to the account of the new one as far as is known.
    """

    notice: str | None = field(init=False, default=None)
    revoked: bool = field(init=False, default=False)
    _done: threading.Event = field(init=False, factory=threading.Event)

    def revoke(
        self, context: ProfileContext, before: Snapshot, newer: Credential, refused: Collection[int] = ()
    ) -> None:
        """Revoke what was stored before, unless that is useless or would end the new sign-in. Raises nothing."""
        try:
            self.notice = self._revoke(context, before, newer, refused)
        except FreshkeyError as error:
            self.notice = f"The sign-in that was replaced is not revoked at the provider: {error.message}"
        finally:
            self._done.set()

    def wait(self) -> None:
        """Wait until it is revoked."""
        if not interruptible(self._done.wait, REVOKE_TIMEOUT):
            self.notice = "The sign-in that was replaced is not revoked yet: the provider has not responded"

    def _revoke(
        self, context: ProfileContext, before: Snapshot, newer: Credential, refused: Collection[int]
    ) -> str | None:
        if before.payload is None or _is_refused(context, before, refused):
            return None
        old = decode(context, before.payload)
        if _is_same_grant(old, newer):
            return None
        other_account = _is_another_user(old.identity, newer.identity)
        if not (context.description.revokes_alone or other_account):
            return "The sign-in that was replaced is not revoked at the provider: that could end the new one too"
        if not context.hooks.revoke(context.description, context.profile, old):
            return "The credential that was replaced may still be valid: the provider does not support revocation"
        self.revoked = not other_account
        return "Revoked the sign-in that was replaced"


def is_ended(context: ProfileContext, credential: Credential) -> bool:
    """Ask the provider whether it refuses a credential; if it cannot tell, it does not."""
    with suppress(FreshkeyError):
        return context.hooks.inspect(context.profile, credential).validity is Validity.REFUSED
    return False


def _is_refused(context: ProfileContext, snapshot: Snapshot, refused: Collection[int]) -> bool:
    return snapshot.generation in {*refused, context.hints.read().refused_generation}


def _is_another_user(old: Identity, newer: Identity) -> bool:
    """Whether both users are known and differ; one user can sign in to several organizations."""
    if old.account and newer.account:
        return old.account != newer.account
    return bool(old.email and newer.email and old.email != newer.email)


def _is_same_grant(old: Credential, newer: Credential) -> bool:
    """Whether both have the same secret: some servers return the refresh token of an earlier sign-in again."""
    shared = old.renewal_secret is not None and old.renewal_secret == newer.renewal_secret
    return shared or old.authorizes_like(newer)
