"""Signs out of IAM Identity Center."""

from __future__ import annotations

from freshkey.errors import LoginRequired
from freshkey.plugin import Profile
from freshkey_bedrock.sso import oidc, portal
from freshkey_bedrock.sso.credential import SsoCredential
from freshkey_bedrock.sso.role import Role


def revoke(profile: Profile, credential: SsoCredential) -> None:
    """End the session with IAM Identity Center. Role credentials already issued stay valid until they expire.

    Raises:
        TransientError: The session may still be active.
        OutcomeUnknown: No response was received, so the session may still be active.
        ProviderRefused: The portal rejects the request.
        ConfigurationError: Settings are missing.
    """
    role, now = Role.of(profile), profile.clock.now().wall
    session = credential.session
    try:
        if session.expires <= now and session.is_renewable(now):
            # Signing out requires a valid access token; the refresh token lasts longer.
            session = oidc.renewed(session, role.identity_center)
    except LoginRequired:
        return
    portal.end_session(role.portal, session.access_token, send=profile.send, now=now)
