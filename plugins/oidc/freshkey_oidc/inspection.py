"""Asks the issuer whether it still accepts a token, and whose it is."""

from __future__ import annotations

from freshkey.errors import LoginRequired, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.oauth import OAuthClient
from freshkey.plugin import Credential, Inspection, Profile, Validity
from freshkey_oidc import identity, issuer
from freshkey_oidc.formats import OidcToken


def inspect(profile: Profile, credential: Credential) -> Inspection:
    """Return whether a token is accepted at the userinfo endpoint; without one, there is no way to ask.

    Raises:
        ProtocolError: The endpoint describes another user, or nobody.
    """
    whose = credential.identity
    if credential.expired():
        detail = f"it expired at {credential.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        return Inspection(validity=Validity.EXPIRED, identity=whose, detail=detail)
    if not isinstance(credential, OidcToken) or credential.userinfo_endpoint is None:
        return Inspection(validity=Validity.UNCHECKABLE, identity=whose, detail="there is no userinfo endpoint to ask")
    client = OAuthClient.of(profile, issuer.issued_by(credential), credential.client_id or "")
    try:
        found = identity.asked(credential.access_token, client, profile, whose, credential.subject)
    except LoginRequired:
        return Inspection(validity=Validity.REFUSED, identity=whose, detail="the issuer no longer accepts it")
    except ProviderRefused as error:
        return Inspection(validity=Validity.UNCHECKABLE, identity=whose, detail=error.message)
    except (TransientError, OutcomeUnknown) as error:
        if error.code == "invalid-userinfo":
            raise
        return Inspection(validity=Validity.UNREACHABLE, identity=whose, detail=error.message)
    return Inspection(validity=Validity.VALID, identity=found, detail="the issuer accepts it")
