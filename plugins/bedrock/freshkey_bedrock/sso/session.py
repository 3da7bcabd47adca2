"""A stored sign-in session with IAM Identity Center: its tokens, and the client that they were issued to."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from freshkey.plugin import Secret


MARGIN: Final = 900.0
"""Seconds before it expires at which an access token is renewed, as in botocore's ``SSOTokenProvider``."""


@frozen(kw_only=True)
class Registration:
    """A public client registered for one sign-in (``RegisterClient`` of SSO-OIDC, 2019-06-10).

    Attributes:
        client_id: The client ID.
        client_secret: The client secret; here even public clients have one.
        expires: When it expires, in seconds since 1970-01-01T00:00:00Z; about 90 days after registration.
    """

    client_id: str
    client_secret: Secret
    expires: float


@frozen(kw_only=True)
class SsoSession:
    """The result of one sign-in (``CreateToken`` of SSO-OIDC).

    Attributes:
        start_url: URL of the access portal; identifies the user directory.
        access_token: Access token for requesting role credentials.
        expires: When the access token expires, in seconds since 1970-01-01T00:00:00Z.
        refresh_token: Refresh token, if the server issued one.
        client: The client that both tokens belong to.
    """

    start_url: str
    access_token: Secret
    expires: float
    refresh_token: Secret | None
    client: Registration

    def is_due(self, now: float) -> bool:
        """Return whether the access token has expired or soon will.

        Args:
            now: Seconds since 1970-01-01T00:00:00Z.
        """
        return self.expires - now < MARGIN

    def is_renewable(self, now: float) -> bool:
        """Return whether it can be renewed without the user: it has a refresh token and a registered client."""
        return self.refresh_token is not None and self.client.expires > now
