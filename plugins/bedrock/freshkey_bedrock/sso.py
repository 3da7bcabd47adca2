"""freshkey's own sign-in at IAM Identity Center: a person signs in, and role credentials follow without them."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable

from attrs import evolve, field, frozen

from freshkey import plugin
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    OutcomeUnknown,
    ProviderRefused,
    TransientError,
)
from freshkey.plugin import SYSTEM, Clock, Identity, Interaction, NonInteractive, Profile, Reporter
from freshkey_bedrock import sso_addresses, sso_oidc, sso_portal
from freshkey_bedrock.region import needed_region
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.sso_credential import SSO, SsoCredential
from freshkey_bedrock.sso_oidc import Place
from freshkey_bedrock.sso_session import SsoSession


def sign_in(
    profile: Profile,
    interaction: Interaction,
    *,
    clock: Clock = SYSTEM,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> SsoCredential:
    """Have a person sign in, and return credentials of the role that the settings name.

    Args:
        profile: The profile.
        interaction: The person.
        clock: Tells the time.
        random: Returns that many random bytes.

    Raises:
        ConfigurationError: Settings are missing.
        TransientError: Try again later.
        OutcomeUnknown: The authorization code may be spent; start over.
        LoginRequired: Nobody is there, the person declined, or nothing came in time.
        ProviderRefused: The settings cannot work, or the person has no such role.
    """
    if isinstance(interaction, NonInteractive):
        interaction.open_url("")  # refuses, before a client is registered for nothing
    directory = _Directory.of(profile, clock)
    session = sso_oidc.sign_in(directory.place, directory.settings.sso_flow, interaction, random=random)
    interaction.progress(f"Signed in; getting credentials of role {directory.role_name}")
    return directory.credential(session)


def renew(profile: Profile, credential: SsoCredential, reporter: Reporter, *, clock: Clock = SYSTEM) -> SsoCredential:
    """Return newer role credentials, and a newer access token where that one has ended or soon will.

    A new refresh token must never be lost. So where it was issued and no role credentials came, what is returned has
    the new tokens and the old role credentials: the core keeps it, and asks again soon.

    Raises:
        LoginRequired: The sign-in has ended.
        TransientError: Certainly nothing was spent; try again later.
        OutcomeUnknown: The refresh token was sent, no usable answer came.
        ProviderRefused: The person has no such role any more.
        ConfigurationError: Settings are missing.
    """
    directory, now = _Directory.of(profile, clock), clock.now().wall
    session = credential.session
    if session.is_due(now) and (session.is_renewable(now) or session.expires <= now):
        return directory.from_new_tokens(credential, reporter)
    try:
        return directory.credential(session)
    except LoginRequired:
        if not session.is_renewable(now):
            raise
    # An administrator can end access tokens early.
    return directory.from_new_tokens(credential, reporter)


def revoke(profile: Profile, credential: SsoCredential, *, clock: Clock = SYSTEM) -> None:
    """End the sign-in at IAM Identity Center. Role credentials that were given out live on until their own end.

    Raises:
        TransientError: It may still exist.
        OutcomeUnknown: Nobody answered whether it is ended.
        ProviderRefused: The portal does not accept the request.
        ConfigurationError: Settings are missing.
    """
    directory, now = _Directory.of(profile, clock), clock.now().wall
    session = credential.session
    try:
        if session.expires <= now and session.is_renewable(now):
            # Only a living access token can sign out, and the refresh token lives longer.
            session = sso_oidc.renewed(session, directory.place)
    except LoginRequired:
        return
    sso_portal.end_session(directory.portal, session.access_token, send=directory.place.send, now=now)


@frozen(kw_only=True)
class _Directory:
    """The directory and the role that a profile's settings name."""

    profile: Profile
    settings: BedrockSettings
    place: Place = field(repr=False)
    portal: str
    account_id: str
    role_name: str
    region: str

    @classmethod
    def of(cls, profile: Profile, clock: Clock) -> _Directory:
        settings = profile.settings_as(BedrockSettings)
        oidc, portal = sso_addresses.oidc_url(settings), sso_addresses.portal_url(settings)
        start_url, account_id, role_name = settings.sso_start_url, settings.sso_account_id, settings.sso_role_name
        if not (oidc and portal and start_url and account_id and role_name):
            names = ("sso_start_url", "sso_region", "sso_account_id", "sso_role_name")
            missing = ", ".join(name for name in names if not getattr(settings, name))
            hint = f"Write {missing} under [profiles.{profile.name}], or keep an API key: freshkey login --api-key"
            raise ConfigurationError(
                "the sign-in at IAM Identity Center is not set up", profile=profile.name, hint=hint
            )
        insecure = settings.allow_insecure_loopback
        send = functools.partial(plugin.send, hosts=sso_addresses.hosts(settings), allow_insecure_loopback=insecure)
        return cls(
            profile=profile,
            settings=settings,
            place=Place(oidc=oidc, start_url=start_url, send=send, clock=clock, insecure=insecure),
            portal=portal,
            account_id=account_id,
            role_name=role_name,
            region=needed_region(profile),
        )

    def credential(self, session: SsoSession) -> SsoCredential:
        """Get role credentials for a session."""
        clock = self.place.clock
        keys = sso_portal.role_keys(
            self.portal,
            session.access_token,
            account_id=self.account_id,
            role_name=self.role_name,
            send=self.place.send,
            now=clock.now().wall,
        )
        obtained = clock.now()
        return SsoCredential(
            obtained=obtained,
            clock=clock,
            lifetime=keys.expires - obtained.wall,
            source=SSO,
            identity=Identity(organization=self.account_id),
            access_key_id=keys.access_key,
            secret_access_key=keys.secret_key,
            session_token=keys.session_token,
            region=self.region,
            session=session,
            account_id=self.account_id,
            role_name=self.role_name,
        )

    def from_new_tokens(self, credential: SsoCredential, reporter: Reporter) -> SsoCredential:
        """Renew the access token, and get role credentials with it if they are to be had."""
        session = sso_oidc.renewed(credential.session, self.place)
        try:
            return self.credential(session)
        except (TransientError, OutcomeUnknown, ProviderRefused) as error:
            trouble: FreshkeyError = error
        reporter.notice(f"The sign-in was renewed, but there are no newer role credentials yet: {trouble.message}")
        return evolve(credential, session=session)
