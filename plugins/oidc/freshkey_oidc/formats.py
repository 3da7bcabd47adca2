"""The one kind of credential: an access token, whatever it was issued for."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from freshkey.plugin import Credential, OAuthToken


@frozen(kw_only=True)
class OidcToken(OAuthToken):
    """An access token of any issuer, sent as a bearer token.

    Attributes:
        authentication: How the client authenticated when it was issued, by the name of OpenID Connect Core 1.0,
            section 9; renewals choose between header and body by it.
        userinfo_endpoint: Says whose token it is, if the issuer has such an endpoint.
        subject: The ``sub`` of the ID token that was verified at the sign-in.
        variable: The environment variable in which programs that freshkey starts get it.
    """

    authentication: str = "none"
    userinfo_endpoint: str | None = None
    subject: str | None = None
    variable: str | None = None

    def _environment(self) -> dict[str, str]:
        return {} if self.variable is None else {self.variable: self.access_token.reveal()}


FORMATS: Final[dict[str, type[Credential]]] = {"oidc-token": OidcToken}
"""Tags in stored records; their meaning never changes."""
