"""Whose a token is: from the ID token of a sign-in or a renewal, and from the userinfo endpoint."""

from __future__ import annotations

import logging
from typing import Final

from attrs import evolve

from freshkey.errors import FreshkeyError, ProtocolError, ProviderRefused
from freshkey.oauth import OAuthClient, TokenAnswer, identity_of, read_userinfo, userinfo_request
from freshkey.plugin import Identity, Interaction, Profile, Secret, parse_json_object, raise_for_status
from freshkey_oidc.settings import OidcSettings


log = logging.getLogger(__name__)

USERINFO_TIMEOUT: Final = 10.0
"""Seconds; a sign-in does not wait longer for text that is only displayed."""


def of_sign_in(
    answer: TokenAnswer, client: OAuthClient, profile: Profile, interaction: Interaction, *, nonce: str | None
) -> Identity:
    """Return who signed in: the user of the ID token, once verified, with what the userinfo endpoint adds.

    Raises:
        ProtocolError: The ID token is not the issuer's, not for this client, or not of this sign-in.
        TransientError: The issuer's keys cannot be fetched now.
    """
    server = client.server
    organization, known = profile.settings_as(OidcSettings).organization_claim, Identity()
    # What cannot be verified, because the issuer publishes no keys, is not used; some servers write "" for none.
    if answer.extra.get("id_token") not in (None, "") and server.issuer is not None and server.jwks_uri is not None:
        known = client.verified_identity(answer, nonce=nonce, organization=organization)
    if server.userinfo_endpoint is None or not answer.access_token:
        return known
    try:
        return asked(answer.access_token, client, profile, known)
    except FreshkeyError as error:
        interaction.notice(f"Signed in, but could not look up the account: {error.message}")
        return known


def of_renewal(
    answer: TokenAnswer, client: OAuthClient, profile: Profile, known: Identity
) -> tuple[Identity, ProviderRefused | None]:
    """Return whose the tokens of a renewal are, and why they must not be used, if so (OpenID Connect Core, 12.2).

    Nothing is fetched, because the new refresh token must be saved before anything else can fail: that the ID token
    came from the token endpoint over TLS vouches for it (section 3.1.3.7, point 6).
    """
    settings = profile.settings_as(OidcSettings)
    # With another claim than "sub", it is not the ID token that said who signed in.
    if "id_token" not in answer.extra or client.server.issuer is None or settings.account_claim != "sub":
        return known, None
    try:
        found = client.identity(answer, organization=settings.organization_claim)
    except ProtocolError as error:
        log.warning("ignored the ID token of a renewal: %s", error.message)
        return known, None
    if found.differs_from(known):
        message = "the issuer answered the renewal with the tokens of another user"
        hint = "Report this to the issuer's support, then sign in again"
        return known, ProviderRefused(message, hint=hint, code="oidc-another-user")
    return _completed(found, known), None


def asked(access_token: Secret, client: OAuthClient, profile: Profile, known: Identity) -> Identity:
    """Ask the userinfo endpoint whose an access token is.

    Raises:
        FreshkeyError: As `freshkey.oauth.OAuthClient.userinfo` does.
        ProtocolError: It is not that of `known`, or the response does not say whose it is.
    """
    settings = profile.settings_as(OidcSettings)
    request = userinfo_request(client.server, access_token=access_token)
    response = profile.send(request, deadline=USERINFO_TIMEOUT)
    if settings.account_claim == "sub":
        claims = read_userinfo(request, response, clock=profile.clock)
    else:  # that of a server that is no OpenID provider
        raise_for_status(request, response, clock=profile.clock)
        claims = parse_json_object(response.body)
    # An ID token that was verified at the sign-in has named the user already, by "sub".
    account = "sub" if known.account and known.account == claims.get("sub") else settings.account_claim
    found = identity_of(claims, organization=settings.organization_claim, account=account)
    if found.account is None or found.differs_from(known):
        raise ProtocolError("the userinfo response describes no user, or another one", code="invalid-userinfo")
    return _completed(found, known)


def _completed(found: Identity, known: Identity) -> Identity:
    """Fill the gaps from what is known of the same user; the ID token of a renewal often has no name."""
    return evolve(found.completed_by(known), display_name=found.display_name or known.display_name)
