"""What was found for one profile: the source to use, the stored credential, and the state of the store."""

from __future__ import annotations

import functools
import logging

from attrs import field, frozen

from freshkey._renewal.context import ProfileContext
from freshkey._sources import precedence
from freshkey.errors import LoginRequired, sign_in_command
from freshkey.model.credential import Credential
from freshkey.model.source import Source
from freshkey.model.storage import Snapshot
from freshkey.secret import Secret


log = logging.getLogger(__name__)


@frozen(kw_only=True)
class Reading:
    """The result of one walk through the sources, the same walk that `freshkey explain` prints.

    Attributes:
        winner: The source that is used, or None.
        stored: The owned credential in the store, or None; the store is read only if the walk reaches it.
        snapshot: Everything else that was read from the store.
    """

    winner: Source | None = None
    stored: Credential | None = None
    snapshot: Snapshot = field(factory=Snapshot)

    @property
    def owned(self) -> bool:
        """Whether the winning source is one whose credential freshkey obtains and stores."""
        return self.winner is not None and self.winner.owned


def read(context: ProfileContext) -> Reading:
    """Walk the sources and read the store if needed; nothing is published.

    Raises:
        LoginRequired: The stored credential belongs to another server or client.
        StoreError: The store is needed and cannot be read.
        ConfigurationError: The profile names a source that the provider does not have.
    """
    snapshot = Snapshot()

    @functools.cache
    def stored() -> Credential | None:
        nonlocal snapshot
        snapshot = _load(context)
        return _credential_in(context, snapshot)

    detect = functools.partial(context.hooks.detect, context.profile)
    steps = precedence.walk(context.profile, context.description, detect, stored, context.consent)
    winner = next((step.source for step in steps if step.wins), None)
    return Reading(winner=winner, stored=stored() if stored.cache_info().currsize else None, snapshot=snapshot)


def stored_credential(context: ProfileContext) -> Credential | None:
    """Return the owned credential in the store, or None.

    Raises:
        LoginRequired: It belongs to another server or client.
        StoreError: The store cannot be read.
    """
    return _credential_in(context, context.store.load())


def decode(context: ProfileContext, payload: Secret) -> Credential:
    """Decode a stored credential.

    Raises:
        LoginRequired: It belongs to a server or client other than the profile's, and is never sent there.
        RecordUnreadable: It is corrupt, or a newer version wrote it.
    """
    credential = context.codec.decode(payload)
    configured = context.description.binding
    for name, value in credential.binding.items():
        if configured.get(name, value) != value:
            message = f"the stored sign-in belongs to a different {name.replace('_', ' ').replace(' id', ' ID')}"
            raise login_required(context, message, code="sign-in-settings-changed")
    return credential


def login_required(context: ProfileContext, message: str, *, code: str) -> LoginRequired:
    """Return the error with the reason why the user must act, and a hint how."""
    name, bare = context.profile.name, context.profile.bare
    hint = f"Run: {sign_in_command(name)}"
    if precedence.first_owned(context.profile, context.description) is None:
        looked = "; ".join(source.title for source in context.description.sources if source.handed_in or not bare)
        hint = f"Provide one of these: {looked}"
    return LoginRequired(message, profile=name, hint=hint, code=code)


def _credential_in(context: ProfileContext, snapshot: Snapshot) -> Credential | None:
    return None if snapshot.payload is None else decode(context, snapshot.payload)


def _load(context: ProfileContext) -> Snapshot:
    """Read the store; read it again if another process is known to have saved a newer generation."""
    snapshot = context.store.load()
    known = context.hints.read().generation
    if snapshot.generation < known:
        snapshot = context.store.load()
        if snapshot.generation < known:
            log.warning(
                "%s: the store returned an older generation than the last one saved: %d instead of %d",
                context.profile.name,
                snapshot.generation,
                known,
            )
    return snapshot
