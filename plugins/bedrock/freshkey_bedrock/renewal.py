"""Renews what freshkey itself obtained; everything else is taken anew from where it came from."""

from __future__ import annotations

from freshkey.errors import LoginRequired, ProviderRefused, sign_in_command
from freshkey.plugin import SYSTEM, Clock, Credential, Profile, Reporter
from freshkey_bedrock.sso.credential import SsoCredential


def renew(profile: Profile, credential: Credential, reporter: Reporter, *, clock: Clock = SYSTEM) -> Credential:
    """Return a newer credential.

    Raises:
        LoginRequired: Nothing came along to renew it with, or the sign-in has ended.
        TransientError: Certainly nothing was spent; try again later.
        OutcomeUnknown: The refresh token was sent, no usable answer came.
        ProviderRefused: The user has no such role any more.
    """
    if isinstance(credential, SsoCredential):
        from freshkey_bedrock.sso.renewal import renew as renew_role

        reporter.progress("Getting newer credentials of the role")
        return renew_role(profile, credential, reporter, clock=clock)
    raise LoginRequired(
        "this credential cannot be renewed: nothing came along to renew it with",
        profile=profile.name,
        hint=f"Replace it where it came from, or run: {sign_in_command(profile.name)}",
    )


def revoke(profile: Profile, credential: Credential, *, clock: Clock = SYSTEM) -> None:
    """End a sign-in at IAM Identity Center.

    Raises:
        TransientError: It may still exist; try again.
        OutcomeUnknown: No answer came whether it is ended.
        ProviderRefused: It is no sign-in, or the access portal does not accept the request.
    """
    if not isinstance(credential, SsoCredential):
        raise ProviderRefused(
            "only a sign-in can be ended from here; delete an API key in the console of Amazon Bedrock"
        )
    from freshkey_bedrock.sso.sign_out import revoke as end

    end(profile, credential, clock=clock)
