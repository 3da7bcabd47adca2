"""Renews role credentials from IAM Identity Center, and the access token that they are requested with."""

from __future__ import annotations

from attrs import evolve

from freshkey.errors import LoginRequired, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.plugin import Profile, Reporter
from freshkey_bedrock.sso import oidc
from freshkey_bedrock.sso.credential import SsoCredential
from freshkey_bedrock.sso.role import Role


def renew(profile: Profile, credential: SsoCredential, reporter: Reporter) -> SsoCredential:
    """Return new role credentials, and a new access token if the old one has expired or soon will.

    A new refresh token must never be lost. If one was issued but role credentials could not be fetched, the result has
    the new tokens and the old role credentials: the core stores it and soon tries again.
    See docs/decisions.md, "A sign-in with IAM Identity Center is stored with its role credentials".

    Raises:
        LoginRequired: The sign-in has ended.
        TransientError: No refresh token was used up; try again later.
        OutcomeUnknown: The refresh token was sent, but no usable response was received.
        ProviderRefused: The user no longer has the role.
        ConfigurationError: Settings are missing.
    """
    role, now = Role.of(profile), profile.clock.now().wall
    session = credential.session
    if session.is_due(now) and (session.is_renewable(now) or session.expires <= now):
        return _with_new_tokens(role, credential, reporter)
    try:
        return role.credential(session)
    except LoginRequired:
        if not session.is_renewable(now):
            raise
    # An administrator may have revoked the access token early.
    return _with_new_tokens(role, credential, reporter)


def _with_new_tokens(role: Role, credential: SsoCredential, reporter: Reporter) -> SsoCredential:
    """Renew the access token, and get role credentials with it if possible."""
    session = oidc.renewed(credential.session, role.identity_center)
    trouble = "IAM Identity Center issued an access token that cannot be used or has already expired"
    if session.expires > role.identity_center.profile.clock.now().wall:
        try:
            return role.credential(session)
        except (TransientError, OutcomeUnknown, ProviderRefused) as error:
            trouble = error.message
    reporter.notice(f"The sign-in was renewed, but new role credentials are not available yet: {trouble}")
    return evolve(credential, session=session)
