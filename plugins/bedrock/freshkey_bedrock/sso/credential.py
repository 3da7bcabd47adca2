"""Role credentials that come from freshkey's own sign-in at IAM Identity Center, with the sign-in that renews them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from freshkey.plugin import Secret
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.sso.session import SsoSession


SSO: Final = "sso"
"""Id of the source."""


@frozen(kw_only=True)
class SsoCredential(AwsCredential):
    """AWS credentials of a role, and the sign-in that they came from.

    Attributes:
        session: The sign-in.
        account_id: The account of the role.
        role_name: The permission set.
    """

    session: SsoSession
    account_id: str
    role_name: str

    @property
    def renewable(self) -> bool:
        """It is: until the sign-in ends, which the server decides."""
        return True

    @property
    def renewal_secret(self) -> Secret | None:
        """The refresh token of the sign-in, from when on a renewal will send it.

        Until then a renewal asks for role credentials alone, which may be repeated any number of times.
        """
        return self.session.refresh_token if self.session.is_due(self.clock.now().wall) else None

    @property
    def binding(self) -> Mapping[str, str]:
        """The directory of users, and the role: credentials of another role are not what the profile asks for."""
        return binding(self.session.start_url, self.account_id, self.role_name)


def binding(start_url: str | None, account_id: str | None, role_name: str | None) -> dict[str, str]:
    """Return what a stored sign-in and the settings must agree on, as far as it is known."""
    known = {"issuer": start_url, "account": account_id, "role": role_name}
    return {name: value for name, value in known.items() if value is not None}
