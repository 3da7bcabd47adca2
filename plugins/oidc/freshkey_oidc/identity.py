"""Whose a token is: from the ID token of a sign-in or a renewal, and from the userinfo endpoint."""

from __future__ import annotations

from typing import Final

from attrs import evolve

from freshkey.errors import FreshkeyError, ProtocolError, ProviderRefused
from freshkey.oauth import OAuthClient, TokenAnswer, identity_of, read_userinfo, userinfo_request
from freshkey.plugin import Identity, Interaction, Profile, Secret
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.settings import OidcSettings


USERINFO_TIMEOUT: Final = 10.0
"""Seconds; a sign-in does not wait longer for text that is only displayed."""


def of_sign_in(
    answer: TokenAnswer, client: OAuthClient, profile: Profile, interaction: Interaction, *, nonce: str | None
) -> tuple[Identity, str | None]:
    """Return who signed in, with what the userinfo endpoint adds, and ``sub`` of the ID token if that was verified.

    Raises:
        ProtocolError: The ID token is not the issuer's, not for this client, or not of this sign-in.
        TransientError: The issuer's keys cannot be fetched now.
    """
    settings, known = profile.settings_as(OidcSettings), Identity()
    # What cannot be verified, because the issuer publishes no keys, is not used; some servers write "" for none.
    if answer.extra.get("id_token") not in (None, "") and client.server.issuer and client.server.jwks_uri:
        age = settings.authorization_parameters.get("max_age") if nonce else None  # sent with the nonce, or not at all
        max_age, organization = None if age is None else float(age), settings.organization_claim
        known = client.verified_identity(answer, nonce=nonce, max_age=max_age, organization=organization)
    subject = known.account
    if client.server.userinfo_endpoint is not None and answer.access_token:
        try:
            known = asked(answer.access_token, client, profile, known, subject)
        except FreshkeyError as error:
            interaction.notice(f"Signed in, but could not look up the account: {error.message}")
    return known, subject


def of_renewal(
    answer: TokenAnswer, client: OAuthClient, profile: Profile, credential: OidcToken
) -> tuple[Identity, ProviderRefused | None]:
    """Return whose the tokens of a renewal are, and why they must not be used, if so."""
    settings, known = profile.settings_as(OidcSettings), credential.identity
    # If another claim said who signed in, and no ID token did, there is nothing to compare.
    if settings.account_claim != "sub" and credential.subject is None:
        return known, None
    return client.identity_after_renewal(answer, known=known, organization=settings.organization_claim)


def asked(
    access_token: Secret, client: OAuthClient, profile: Profile, known: Identity, subject: str | None
) -> Identity:
    """Ask the userinfo endpoint whose an access token is; `subject` is the ``sub`` that it must be, if that is known.

    Raises:
        FreshkeyError: As `freshkey.oauth.OAuthClient.userinfo` does.
        ProtocolError: It is not that of `known`, or the response does not say whose it is.
    """
    settings = profile.settings_as(OidcSettings)
    request = userinfo_request(client.server, access_token=access_token)
    response = profile.send(request, deadline=USERINFO_TIMEOUT)
    claims = read_userinfo(request, response, clock=profile.clock, account=settings.account_claim)
    # What an ID token has said of the user counts (section 5.3.2): other claims may be chosen by users.
    account = "sub" if subject is not None and "sub" in claims else settings.account_claim
    found = identity_of(claims, organization=settings.organization_claim, account=account)
    if found.account is None or found.differs_from(known):
        raise ProtocolError("the userinfo response describes no user, or another one", code="invalid-userinfo")
    return evolve(found.completed_by(known), display_name=found.display_name or known.display_name)
