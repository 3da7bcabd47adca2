"""Ends a sign-in at IAM Identity Center."""

from __future__ import annotations

from freshkey.errors import LoginRequired
from freshkey.plugin import SYSTEM, Clock, Profile
from freshkey_bedrock.sso import oidc, portal
from freshkey_bedrock.sso.credential import SsoCredential
from freshkey_bedrock.sso.role import Role


def revoke(profile: Profile, credential: SsoCredential, *, clock: Clock = SYSTEM) -> None:
    """End the sign-in at IAM Identity Center. Role credentials that were given out live on until their own end.

    Raises:
        TransientError: It may still exist.
        OutcomeUnknown: No answer came whether it is ended.
        ProviderRefused: The portal does not accept the request.
        ConfigurationError: Settings are missing.
    """
    role, now = Role.of(profile, clock), clock.now().wall
    session = credential.session
    try:
        if session.expires <= now and session.is_renewable(now):
            # Only a living access token can sign out, and the refresh token lives longer.
            session = oidc.renewed(session, role.identity_center)
    except LoginRequired:
        return
    portal.end_session(role.portal, session.access_token, send=role.identity_center.send, now=now)
