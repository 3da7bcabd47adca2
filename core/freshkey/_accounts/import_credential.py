"""Take in a credential that an application obtained itself: checked like one of the provider, and stored like one."""

from __future__ import annotations

from attrs import evolve

from freshkey._accounts import login
from freshkey._plugins.credential_formats import flaw_of_credential, unhidden_field
from freshkey._renewal.binding import binding_of, moved
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.managed import ManagedCredential
from freshkey._sources.precedence import sign_in_source
from freshkey.errors import ConfigurationError, TransientError
from freshkey.expiry import Freshness
from freshkey.model.credential import Credential


def import_credential(managed: ManagedCredential, credential: Credential) -> Credential:
    """Store a credential for a profile as the next generation, and return it as it is served.

    One that has expired is taken in if it can be renewed: the next `get` does so.

    Raises:
        ConfigurationError: It is not one that this profile could have obtained and can keep.
        StoreError: It could not be stored.
    """
    context = managed.context
    if (flaw := _flaw(context, credential)) is not None:
        raise _refused(f"the credential cannot be imported: {flaw}")
    # Also refuses a source that is not owned, and bare mode.
    source = sign_in_source(context.profile, context.description, credential.source or None)
    expired = context.freshness(credential) is Freshness.EXPIRED
    if expired and (not credential.renewable or context.is_over(credential)):
        raise _refused("the credential cannot be imported: it has expired, and cannot be renewed")
    context.store.probe()
    newer = evolve(credential, source=source.id)
    try:
        return login.keep(managed, newer)
    except TransientError as error:
        if expired and error.code == "credential-already-expired":
            return evolve(newer, clock=context.clock)  # stored, and renewed when it is first asked for
        raise


def _flaw(context: ProfileContext, credential: Credential) -> str | None:
    """Return why a credential is not one of this profile, to follow a colon; None if it is."""
    if type(credential) not in context.description.formats.values():
        return f"{type(credential).__name__} is not a format of provider {context.profile.provider!r}"
    if (name := unhidden_field(credential)) is not None:
        return f"its {name} must be a freshkey.plugin.Secret"
    if (flaw := flaw_of_credential(credential)) is not None:
        return f"it {flaw}"
    if credential.unusable is not None:
        return "it is marked as unusable"
    part = moved(context, credential, binding_of(context))
    return None if part is None else f"it belongs to another {part} than the profile"


def _refused(message: str) -> ConfigurationError:
    return ConfigurationError(
        message, hint="Import what a sign-in with this profile would return", code="invalid-credential"
    )
