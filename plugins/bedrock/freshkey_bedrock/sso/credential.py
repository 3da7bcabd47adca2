"""Role credentials from freshkey's own sign-in with IAM Identity Center, together with the session that renews them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from freshkey.plugin import Secret
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.sso.session import SsoSession


SSO: Final = "sso"
"""ID of the source."""


@frozen(kw_only=True)
class SsoCredential(AwsCredential):
    """AWS credentials of a role, and the sign-in session that issued them.

    Attributes:
        session: The sign-in session.
        account_id: AWS account of the role.
        role_name: The permission set.
    """

    session: SsoSession
    account_id: str
    role_name: str

    @property
    def renewable(self) -> bool:
        """Always true: only the server decides when the sign-in ends."""
        return True

    @property
    def renewal_secret(self) -> Secret | None:
        """The refresh token of the sign-in, once a renewal will send it.

        Before that, a renewal only requests role credentials, which can be repeated safely.
        See docs/decisions.md, "A sign-in with IAM Identity Center is stored with its role credentials".
        """
        return self.session.refresh_token if self.session.is_due(self.clock.now().wall) else None

    @property
    def binding(self) -> Mapping[str, str]:
        """The user directory and the role: credentials of another role must not be used for this profile."""
        return binding(self.session.start_url, self.account_id, self.role_name)


def binding(start_url: str | None, account_id: str | None, role_name: str | None) -> dict[str, str]:
    """Return what a stored sign-in and the settings must have in common; unset values are omitted."""
    known = {"issuer": start_url, "account": account_id, "role": role_name}
    return {name: value for name, value in known.items() if value is not None}
