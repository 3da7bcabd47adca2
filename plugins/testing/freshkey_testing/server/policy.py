"""The behavior of the authorization server: where real servers differ, as settings a test may change at any time."""

from __future__ import annotations

import enum
from typing import Literal

from attrs import define


class Rotation(enum.Enum):
    """What a renewal does with the refresh token (RFC 6749, section 6)."""

    ROTATE = "rotate"
    """Each renewal issues a new refresh token and spends the old one."""

    REPEAT = "repeat"
    """The refresh token stays the same and is repeated in the response."""

    OMIT = "omit"
    """The refresh token stays the same and is not in the response."""


@define(kw_only=True)
class Policy:
    """Settings of the server; durations are in seconds.

    Attributes:
        lifetime: How long an access token is accepted; may be fractional.
        announced: ``expires_in`` of token responses; None means `lifetime` in whole seconds, at least 1.
        refresh_lifetime: How long a sign-in can be renewed, counted from the sign-in; None means forever.
        issues_refresh_tokens: Whether a sign-in returns a refresh token at all.
        rotation: What a renewal does with the refresh token.
        grace: How long a spent refresh token returns the same tokens it was exchanged for.
        reuse_kills_grant: Whether using a spent refresh token revokes its sign-in (RFC 9700, section 4.14.2).
        access_dies_on_renewal: Whether a renewal revokes the access tokens issued before it.
        state_in_body: Whether the code exchange must repeat ``state`` in its body, as Claude's server requires.
        consent: What the authorize endpoint does: ``approve``, ``deny``, or ``page`` to let the user choose.
        iss_in_callback: Whether the redirect contains ``iss`` (RFC 9207).
        pushed_requests: Whether the authorization request can, or must, be pushed first (RFC 9126).
        client_authentication: How the client must authenticate, in every request but an assertion grant. Only a client
            that does so gets a token for itself (RFC 6749, section 4.4). ``private_key_jwt`` needs `cryptography`.
        authorization_endpoint: Whether the metadata name one; servers for machines and devices have none.
        signature_algorithm: How ID tokens are signed: with the client secret, or with a key that the server publishes,
            which needs `cryptography`.
        id_token_lifetime: How long an ID token is valid. A sign-in with the scope ``openid`` has one.
        code_lifetime: How long an authorization code is valid.
        device_interval: ``interval`` of device responses; None omits it (RFC 8628, section 3.2).
        device_lifetime: How long a device code is valid.
        profile_scope: The scope that the profile endpoint requires; empty for none.
    """

    lifetime: float = 3600.0
    announced: int | None = None
    refresh_lifetime: float | None = None
    issues_refresh_tokens: bool = True
    rotation: Rotation = Rotation.ROTATE
    grace: float = 0.0
    reuse_kills_grant: bool = True
    access_dies_on_renewal: bool = False
    state_in_body: bool = False
    consent: Literal["approve", "deny", "page"] = "approve"
    iss_in_callback: bool = False
    pushed_requests: Literal["none", "offered", "required"] = "none"
    client_authentication: Literal[
        "none", "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"
    ] = "none"
    authorization_endpoint: bool = True
    signature_algorithm: Literal["HS256", "ES256"] = "HS256"
    id_token_lifetime: float = 300.0
    code_lifetime: float = 60.0
    device_interval: float | None = 1
    device_lifetime: float = 600.0
    profile_scope: str = "user:profile"

    @property
    def expires_in(self) -> int:
        """The ``expires_in`` of a token response: whole seconds (RFC 6749, appendix A.14)."""
        return max(1, int(self.lifetime)) if self.announced is None else self.announced
