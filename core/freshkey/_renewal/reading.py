"""What is there of one profile: the source that wins, the stored credential, and what the store says around it."""

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


log = logging.getLogger("freshkey")


@frozen(kw_only=True)
class Reading:
    """One walk through the sources, as `freshkey explain` prints it.

    Attributes:
        winner: The source that is used, or None.
        stored: The owned credential that the store holds, or None; the store is read only if the walk reaches it.
        snapshot: What else the store says.
    """

    winner: Source | None = None
    stored: Credential | None = None
    snapshot: Snapshot = field(factory=Snapshot)

    @property
    def owned(self) -> bool:
        """Whether freshkey obtained and keeps what wins."""
        return self.winner is not None and self.winner.owned


def read(context: ProfileContext) -> Reading:
    """Read what is there; nothing is published.

    Raises:
        LoginRequired: What is stored belongs to another server or client.
        StoreError: The store had to be read and cannot be.
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
    """Return the owned credential that the store holds, or None.

    Raises:
        LoginRequired: It belongs to another server or client.
        StoreError: The store cannot be read.
    """
    return _credential_in(context, context.store.load())


def decode(context: ProfileContext, payload: Secret) -> Credential:
    """Read a stored credential.

    Raises:
        LoginRequired: It belongs to another server or client than the profile's, and is never sent to this one.
        RecordUnreadable: It is corrupt, or a newer version wrote it.
    """
    credential = context.codec.decode(payload)
    configured = context.description.binding
    for name, value in credential.binding.items():
        if configured.get(name, value) != value:
            raise login_required(context, f"the sign-in belongs to another {name.replace('_', ' ')}")
    return credential


def login_required(context: ProfileContext, message: str) -> LoginRequired:
    """Return the error that says why only a person can go on, and how."""
    name, bare = context.profile.name, context.profile.bare
    hint = f"Run: {sign_in_command(name)}"
    if precedence.first_owned(context.profile, context.description) is None:
        looked = "; ".join(source.title for source in context.description.sources if source.handed_in or not bare)
        hint = f"Looked for: {looked}"
    return LoginRequired(message, profile=name, hint=hint)


def _credential_in(context: ProfileContext, snapshot: Snapshot) -> Credential | None:
    return None if snapshot.payload is None else decode(context, snapshot.payload)


def _load(context: ProfileContext) -> Snapshot:
    """Read the store; once more if another process is known to have saved a newer generation."""
    snapshot = context.store.load()
    known = context.hints.read().generation
    if snapshot.generation < known:
        snapshot = context.store.load()
        if snapshot.generation < known:
            log.warning("%s: the store holds an older generation than was saved", context.profile.name)
    return snapshot
