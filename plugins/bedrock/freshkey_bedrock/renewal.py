"""Renews sign-ins that freshkey made itself; all other credentials are read again from their source."""

from __future__ import annotations

from freshkey.errors import LoginRequired, ProviderRefused, sign_in_command
from freshkey.plugin import Credential, Profile, Reporter
from freshkey_bedrock.sso.credential import SsoCredential
from freshkey_bedrock.sso.setup import setup


def renew(profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
    """Return a newer credential.

    Raises:
        LoginRequired: The credential has no refresh token, or the sign-in has ended.
        TransientError: No refresh token was used up; try again later.
        OutcomeUnknown: The refresh token was sent, but no usable response was received.
        ProviderRefused: The user no longer has the role.
    """
    if isinstance(credential, SsoCredential):
        from freshkey_bedrock.sso.renewal import renew as renew_role

        reporter.progress("Getting new role credentials")
        return renew_role(profile, credential, reporter)
    option = " --api-key" if setup(profile) else ""
    raise LoginRequired(
        "this credential cannot be renewed: it has no refresh token",
        profile=profile.name,
        hint=f"Replace the credential at its source, or run: {sign_in_command(profile.word)}{option}",
        code="not-renewable",
    )


def revoke(profile: Profile, credential: Credential) -> None:
    """End a sign-in with IAM Identity Center.

    Raises:
        TransientError: The session may still be active; try again.
        OutcomeUnknown: No response was received, so the session may still be active.
        ProviderRefused: It is not a sign-in, or the access portal rejects the request.
    """
    if not isinstance(credential, SsoCredential):
        raise ProviderRefused(
            "only a sign-in can be revoked; delete API keys in the Amazon Bedrock console",
            code="revocation-not-supported",
        )
    from freshkey_bedrock.sso.sign_out import revoke as end

    end(profile, credential)
