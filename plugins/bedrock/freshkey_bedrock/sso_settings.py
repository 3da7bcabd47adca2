"""The settings of a sign-in at AWS IAM Identity Center, and their checks."""

from __future__ import annotations

import re
from typing import Final, Literal

from attrs import field, frozen

from freshkey.errors import ConfigurationError
from freshkey.plugin import checked_url
from freshkey_bedrock.shapes import checked_region


_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_ROLE: Final = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_ADDRESSES: Final = ("sso_start_url", "sso_oidc_url", "sso_portal_url")


def _without_fragment(url: str | None) -> str | None:
    return url and url.partition("#")[0]


@frozen(kw_only=True)
class SsoSettings:
    """What the source ``sso`` needs.

    Attributes:
        sso_start_url: Address of the access portal, such as ``https://example.awsapps.com/start``; what a browser adds
            to it behind ``#`` is dropped.
        sso_region: Region of IAM Identity Center; often another one than that of Bedrock.
        sso_account_id: Account of the role, twelve digits.
        sso_role_name: Name of the permission set, as the access portal shows it.
        sso_flow: ``browser`` (authorization code with PKCE, or the address pasted), or ``device`` (a code that is typed
            on any device).
        sso_oidc_url: Where tokens are issued; that of `sso_region` by default.
        sso_portal_url: Where role credentials are given out; that of `sso_region` by default.
        allow_insecure_loopback: Accept http on 127.0.0.1, ::1 and localhost; for tests.
    """

    sso_start_url: str | None = field(default=None, converter=_without_fragment)
    sso_region: str | None = None
    sso_account_id: str | None = None
    sso_role_name: str | None = None
    sso_flow: Literal["browser", "device"] = "browser"
    sso_oidc_url: str | None = None
    sso_portal_url: str | None = None
    allow_insecure_loopback: bool = False

    def check_sso(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: A setting has not the shape that it needs.
        """
        for name in _ADDRESSES:
            self._check_address(name)
        if self.sso_region is not None:
            checked_region(self.sso_region, "sso_region")
        if self.sso_account_id is not None and not _ACCOUNT.fullmatch(self.sso_account_id):
            raise ConfigurationError("sso_account_id: an AWS account has twelve digits", hint='Write it in quotes: "…"')
        if self.sso_role_name is not None and not _ROLE.fullmatch(self.sso_role_name):
            raise ConfigurationError(f"sso_role_name: {self.sso_role_name!r} is no name of a permission set")

    def _check_address(self, name: str) -> None:
        url = getattr(self, name)
        if url is None:
            return
        try:
            checked_url(url, allow_insecure_loopback=self.allow_insecure_loopback)
        except ConfigurationError as error:
            flaw = ConfigurationError(f"{name}: {error.message}", hint=error.hint)
        else:
            return
        raise flaw
