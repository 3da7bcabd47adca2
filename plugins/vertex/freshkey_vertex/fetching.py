"""Has google-auth fetch one token, and makes freshkey's credential of it.

google-auth's objects change when they refresh and are not safe for several threads, so each attempt makes its own and
drops it; the core sees to it that there is one attempt at a time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from attrs import evolve, field, frozen

from freshkey.errors import FreshkeyError, ProtocolError
from freshkey.plugin import Clock, Identity, Profile, Secret
from freshkey_vertex.failures import STUMBLES, Attempt, failure
from freshkey_vertex.formats import GoogleCredential, Kind
from freshkey_vertex.loading import impersonating
from freshkey_vertex.places import Places
from freshkey_vertex.settings import VertexSettings
from freshkey_vertex.transport import Transport


if TYPE_CHECKING:
    from google.auth.credentials import Credentials

LIFETIME: Final = 3600.0
"""Seconds, where nobody says how long a token lives: so long Google's live."""


@frozen(kw_only=True)
class Identification:
    """What identifies somebody to Google, and who that is.

    Attributes:
        credentials: google-auth's object; it is used up by one `fetch`.
        kind: Who is identified; a token of somebody `impersonated` is a service account's.
        whose: What messages call it.
        account: Their email, where that is known.
        impersonated: Email of the service account whose token it brings, where that is another.
        sign_in: What a person does to sign in again.
        lead: Seconds before the end at which it is renewed; None for the default.
    """

    credentials: Credentials = field(repr=False)
    kind: Kind
    whose: str
    account: str | None
    sign_in: str
    impersonated: str | None = None
    lead: float | None = None


def acting_as(identification: Identification, profile: Profile) -> Identification:
    """Return the identification of the service account that the profile wants to act as; itself without one."""
    settings = profile.settings_as(VertexSettings)
    target = settings.impersonate
    if target is None:
        return identification
    between = tuple(f"projects/-/serviceAccounts/{email}" for email in settings.impersonate_delegates)
    other = impersonating(identification.credentials, target, settings, delegates=between)
    return evolve(identification, credentials=other, impersonated=target)


def fetch(
    identification: Identification, transport: Transport, places: Places, profile: Profile, *, clock: Clock
) -> GoogleCredential:
    """Return a new token.

    Raises:
        TransientError: Not now.
        OutcomeUnknown: No usable answer; asking again does no harm.
        LoginRequired: A person has to sign in again.
        ProviderRefused: What identifies them is not accepted.
    """
    wanted = acting_as(identification, profile)
    token = _token(wanted, transport)
    account = wanted.impersonated or wanted.account
    return GoogleCredential(
        obtained=clock.now(),
        clock=clock,
        lifetime=_lifetime(wanted, transport),
        lead=wanted.lead,
        access_token=token,
        kind="service account" if wanted.impersonated else wanted.kind,
        project=places.project,
        region=places.region,
        quota_project=places.quota_project,
        identity=Identity(account=account, email=account, project=places.project),
    )


def _token(wanted: Identification, transport: Transport) -> Secret:
    from google.auth.exceptions import GoogleAuthError

    trouble: FreshkeyError
    try:
        wanted.credentials.refresh(transport)
    except (GoogleAuthError, *STUMBLES):
        attempt = Attempt(
            kind=wanted.kind, whose=wanted.whose, impersonated=wanted.impersonated, sign_in=wanted.sign_in
        )
        trouble = failure(transport, attempt)
    else:
        token = wanted.credentials.token
        if isinstance(token, str) and token and all("!" <= character <= "~" for character in token):
            return Secret(token)
        trouble = ProtocolError(f"what came for {wanted.whose} is no access token")
    raise trouble


def _lifetime(wanted: Identification, transport: Transport) -> float:
    """Return the seconds that the token lives from now.

    google-auth adds what servers tell as a duration to this machine's time. The end of an impersonation is told in the
    server's time: where the clocks differ, so does the end.
    """
    expiry = wanted.credentials.expiry
    if expiry is None:
        return LIFETIME
    left: float = (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
    return max(left - (transport.behind or 0.0), 0.0) if wanted.impersonated else left
