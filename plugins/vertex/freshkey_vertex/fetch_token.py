"""Fetches one token with google-auth and builds freshkey's credential from it.

google-auth's objects change on refresh and are not thread-safe, so each attempt creates its own and discards it; the
core runs only one attempt at a time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from attrs import evolve, field, frozen

from freshkey.errors import FreshkeyError, ProtocolError
from freshkey.plugin import Identity, Profile, Secret, is_token
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
"""Lifetime in seconds if the response has none: Google's default."""


@frozen(kw_only=True)
class Principal:
    """The identity that a token is requested for, and its credentials.

    Attributes:
        credentials: google-auth's object; usable for only one `fetch_token`.
        kind: Kind of identity; with `impersonated`, the token is a service account's.
        display_name: Name used in messages.
        account: Email, if known.
        impersonated: Email of the service account that the token will be for, if it is another.
        sign_in_hint: How the user can sign in again.
        lead: How many seconds before the token expires to renew it; None for the default.
    """

    credentials: Credentials = field(repr=False)
    kind: Kind
    display_name: str
    account: str | None
    sign_in_hint: str
    impersonated: str | None = None
    lead: float | None = None


def with_impersonation(principal: Principal, profile: Profile) -> Principal:
    """Return the service account that the profile impersonates, or else the principal itself."""
    settings = profile.settings_as(VertexSettings)
    target = settings.impersonate
    if target is None:
        return principal
    between = tuple(f"projects/-/serviceAccounts/{email}" for email in settings.impersonate_delegates)
    other = impersonated(principal.credentials, target, settings, delegates=between)
    return evolve(principal, credentials=other, impersonated=target)


def fetch_token(
    principal: Principal, transport: Transport, resolved: ResolvedProject, profile: Profile
) -> GoogleCredential:
    """Return a new token.

    Raises:
        TransientError: Temporary failure; try again.
        OutcomeUnknown: No usable response; trying again is safe.
        LoginRequired: The user must sign in again.
        ProviderRefused: The credentials were not accepted.
    """
    wanted = with_impersonation(principal, profile)
    requested = profile.clock.now()
    token = _token(wanted, transport)
    account = wanted.impersonated or wanted.account
    return GoogleCredential(
        obtained=requested,  # before the request, so that the lifetime is never too long
        clock=profile.clock,
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
        failure = ProtocolError(f"the token response for {wanted.display_name} contains no valid access token")
    raise failure


def _lifetime(wanted: Principal, transport: Transport) -> float:
    """Return the remaining lifetime of the token in seconds.

    google-auth adds durations in responses to this machine's time. For an impersonated token, however, it returns the
    server's time, which must be corrected if the clocks differ.
    See docs/decisions.md, "When an impersonated token expires is determined by the server's clock".
    """
    expiry = wanted.credentials.expiry
    if expiry is None:
        return DEFAULT_LIFETIME
    left: float = (expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
    return max(left - (transport.behind or 0.0), 0.0) if wanted.impersonated else left
