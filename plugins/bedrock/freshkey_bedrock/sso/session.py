"""A sign-in at IAM Identity Center as freshkey keeps it: its tokens, and the client that they were issued to."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from freshkey.plugin import Secret


MARGIN: Final = 900.0
"""Seconds before its end at which an access token is renewed: as botocore's ``SSOTokenProvider`` does."""


@frozen(kw_only=True)
class Registration:
    """A public client that was registered for one sign-in (``RegisterClient`` of SSO-OIDC, 2019-06-10).

    Attributes:
        client_id: Its id.
        client_secret: What comes with it; public clients have one here.
        expires: Its end, in seconds since 1970-01-01T00:00:00Z; some 90 days after it was made.
    """

    client_id: str
    client_secret: Secret
    expires: float


@frozen(kw_only=True)
class SsoSession:
    """What one sign-in brought (``CreateToken`` of SSO-OIDC).

    Attributes:
        start_url: The access portal, which names the directory of users.
        access_token: Gets role credentials.
        expires: Its end, in seconds since 1970-01-01T00:00:00Z.
        refresh_token: What renews it, where the server issued one.
        client: The client that both belong to.
    """

    start_url: str
    access_token: Secret
    expires: float
    refresh_token: Secret | None
    client: Registration

    def is_due(self, now: float) -> bool:
        """Tell whether the access token has ended, or ends soon.

        Args:
            now: Seconds since 1970-01-01T00:00:00Z.
        """
        return self.expires - now < MARGIN

    def is_renewable(self, now: float) -> bool:
        """Tell whether it can be renewed without the user: there is a refresh token, and its client still exists."""
        return self.refresh_token is not None and self.client.expires > now
