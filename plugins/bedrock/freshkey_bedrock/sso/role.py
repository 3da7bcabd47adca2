"""The IAM Identity Center role configured in a profile, and how to get its credentials."""

from __future__ import annotations

from attrs import field, frozen

from freshkey.errors import ConfigurationError
from freshkey.plugin import Identity, Profile
from freshkey_bedrock.region import needed_region
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.sso import addresses, portal
from freshkey_bedrock.sso.credential import SSO, SsoCredential
from freshkey_bedrock.sso.oidc import IdentityCenter
from freshkey_bedrock.sso.session import SsoSession
from freshkey_bedrock.sso.setup import setup


@frozen(kw_only=True)
class Role:
    """A role in an AWS account, and the endpoints that issue its credentials.

    Attributes:
        identity_center: The instance that the user signs in to.
        portal: URL of the access portal.
        account_id: AWS account, twelve digits.
        name: The permission set, as shown in the access portal.
        region: Region to sign requests for.
    """

    identity_center: IdentityCenter = field(repr=False)
    portal: str
    account_id: str
    name: str
    region: str

    @classmethod
    def of(cls, profile: Profile) -> Role:
        """Return the role configured in a profile.

        Raises:
            ConfigurationError: Settings are missing.
        """
        settings = profile.settings_as(BedrockSettings)
        oidc, portal_url = addresses.oidc_url(settings), addresses.portal_url(settings)
        start_url, account_id, role_name = settings.sso_start_url, settings.sso_account_id, settings.sso_role_name
        if not (oidc and portal_url and start_url and account_id and role_name):
            hint = setup(profile)
            if profile.source is None and "stored-api-key" not in profile.skip:
                hint = f"{hint}. Or run: freshkey login {profile.word} --api-key"
            raise ConfigurationError(
                "the IAM Identity Center sign-in is not configured",
                profile=profile.name,
                hint=hint,
                code="bedrock-sso-not-configured",
            )
        return cls(
            identity_center=IdentityCenter(oidc=oidc, start_url=start_url, profile=profile),
            portal=portal_url,
            account_id=account_id,
            name=role_name,
            region=needed_region(profile),
        )

    def credential(self, session: SsoSession) -> SsoCredential:
        """Get role credentials for a session.

        Raises the errors of `freshkey_bedrock.sso.portal.role_keys`.
        """
        profile = self.identity_center.profile
        obtained = profile.clock.now()
        keys = portal.role_keys(
            self.portal,
            session.access_token,
            account_id=self.account_id,
            role_name=self.name,
            send=profile.send,
            now=obtained.wall,
        )
        return SsoCredential(
            obtained=obtained,
            clock=profile.clock,
            lifetime=keys.expires - obtained.wall,
            source=SSO,
            identity=Identity(organization=self.account_id),
            access_key_id=keys.access_key,
            secret_access_key=keys.secret_key,
            session_token=keys.session_token,
            region=self.region,
            session=session,
            account_id=self.account_id,
            role_name=self.name,
        )
