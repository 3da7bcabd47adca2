"""Has google-auth fetch one token, and makes freshkey's credential of it.

google-auth's objects change when they refresh and are not safe for several threads, so each attempt makes its own and
drops it; the core sees to it that there is one attempt at a time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from attrs import evolve, field, frozen

from freshkey.errors import FreshkeyError, ProtocolError
from freshkey.plugin import Clock, Identity, Profile, Secret, is_token
from freshkey_vertex.errors import INPUT_ERRORS, Attempt, translate_failure
from freshkey_vertex.formats import GoogleCredential, Kind
from freshkey_vertex.identity import with_project
from freshkey_vertex.impersonation import impersonated
from freshkey_vertex.project import ResolvedProject
from freshkey_vertex.settings import VertexSettings
from freshkey_vertex.transport import Transport


if TYPE_CHECKING:
    from google.auth.credentials import Credentials

DEFAULT_LIFETIME: Final = 3600.0
"""Seconds, where no expiry is told: as long as Google lets them live."""


@frozen(kw_only=True)
class Principal:
    """Whom a token is asked for, and what identifies them to Google.

    Attributes:
        credentials: google-auth's object; it is used up by one `fetch_token`.
        kind: Who is identified; a token of one that is `impersonated` is a service account's.
        display_name: What messages call it.
        account: Their email, where that is known.
        impersonated: Email of the service account whose token it brings, where that is another.
        sign_in_hint: What the user does to sign in again.
        lead: Seconds before the end at which it is renewed; None for the default.
    """

    credentials: Credentials = field(repr=False)
    kind: Kind
    display_name: str
    account: str | None
    sign_in_hint: str
    impersonated: str | None = None
    lead: float | None = None


def with_impersonation(principal: Principal, profile: Profile) -> Principal:
    """Return the service account that the profile wants to act as; itself without one."""
    settings = profile.settings_as(VertexSettings)
    target = settings.impersonate
    if target is None:
        return principal
    between = tuple(f"projects/-/serviceAccounts/{email}" for email in settings.impersonate_delegates)
    other = impersonated(principal.credentials, target, settings, delegates=between)
    return evolve(principal, credentials=other, impersonated=target)


def fetch_token(
    principal: Principal, transport: Transport, resolved: ResolvedProject, profile: Profile, *, clock: Clock
) -> GoogleCredential:
    """Return a new token.

    Raises:
        TransientError: Not now.
        OutcomeUnknown: No usable answer; asking again does no harm.
        LoginRequired: The user has to sign in again.
        ProviderRefused: What identifies them is not accepted.
    """
    wanted = with_impersonation(principal, profile)
    token = _token(wanted, transport)
    account = wanted.impersonated or wanted.account
    return GoogleCredential(
        obtained=clock.now(),
        clock=clock,
        lifetime=_lifetime(wanted, transport),
        lead=wanted.lead,
        access_token=token,
        kind="service account" if wanted.impersonated else wanted.kind,
        project=resolved.project,
        region=resolved.region,
        quota_project=resolved.quota_project,
        identity=with_project(Identity(account=account, email=account), resolved.project),
    )


def _token(wanted: Principal, transport: Transport) -> Secret:
    from google.auth.exceptions import GoogleAuthError

    failure: FreshkeyError
    try:
        wanted.credentials.refresh(transport)
    except (GoogleAuthError, *INPUT_ERRORS):
        attempt = Attempt(
            kind=wanted.kind,
            display_name=wanted.display_name,
            impersonated=wanted.impersonated,
            sign_in_hint=wanted.sign_in_hint,
        )
        failure = translate_failure(transport, attempt)
    else:
        token = wanted.credentials.token
        if is_token(token):
            return Secret(token)
        failure = ProtocolError(f"what came for {wanted.display_name} is no access token")
    raise failure


def _lifetime(wanted: Principal, transport: Transport) -> float:
    """Return the seconds that the token lives from now.

    google-auth adds what servers tell as a duration to this machine's time. The end of an impersonation is told in the
    server's time: where the clocks differ, so does the end.
    """
    expiry = wanted.credentials.expiry
    if expiry is None:
        return DEFAULT_LIFETIME
    left: float = (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
    return max(left - (transport.behind or 0.0), 0.0) if wanted.impersonated else left
