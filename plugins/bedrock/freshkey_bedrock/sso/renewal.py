"""Renews role credentials of a sign-in at IAM Identity Center, and the access token that gets them."""

from __future__ import annotations

from attrs import evolve

from freshkey.errors import FreshkeyError, LoginRequired, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.plugin import SYSTEM, Clock, Profile, Reporter
from freshkey_bedrock.sso import oidc
from freshkey_bedrock.sso.credential import SsoCredential
from freshkey_bedrock.sso.role import Role


def renew(profile: Profile, credential: SsoCredential, reporter: Reporter, *, clock: Clock = SYSTEM) -> SsoCredential:
    """Return newer role credentials, and a newer access token where that one has ended or soon will.

    A new refresh token must never be lost. So where it was issued and no role credentials came, what is returned has
    the new tokens and the old role credentials: the core keeps it, and asks again soon.

    Raises:
        LoginRequired: The sign-in has ended.
        TransientError: Certainly nothing was spent; try again later.
        OutcomeUnknown: The refresh token was sent, no usable answer came.
        ProviderRefused: The user has no such role any more.
        ConfigurationError: Settings are missing.
    """
    role, now = Role.of(profile, clock), clock.now().wall
    session = credential.session
    if session.is_due(now) and (session.is_renewable(now) or session.expires <= now):
        return _with_new_tokens(role, credential, reporter)
    try:
        return role.credential(session)
    except LoginRequired:
        if not session.is_renewable(now):
            raise
    # An administrator can end access tokens early.
    return _with_new_tokens(role, credential, reporter)


def _with_new_tokens(role: Role, credential: SsoCredential, reporter: Reporter) -> SsoCredential:
    """Renew the access token, and get role credentials with it if they are to be had."""
    session = oidc.renewed(credential.session, role.identity_center)
    try:
        return role.credential(session)
    except (TransientError, OutcomeUnknown, ProviderRefused) as error:
        failure: FreshkeyError = error
    reporter.notice(f"The sign-in was renewed, but there are no newer role credentials yet: {failure.message}")
    return evolve(credential, session=session)
