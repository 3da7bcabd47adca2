"""ID tokens (OpenID Connect Core 1.0, section 2), and the keys that verify them (RFC 7517, section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from freshkey.oauth import signed_assertion
from freshkey.plugin import Secret
from freshkey_testing.server.signature import SigningKey, signed_with_secret


if TYPE_CHECKING:
    from collections.abc import Mapping

    from freshkey import Clock
    from freshkey_testing.server.grants import Grant
    from freshkey_testing.server.policy import Policy

KEY_ID: Final = "test-key"


class IdTokens:
    """Issues ID tokens for one client.

    Args:
        policy: The server's behavior.
        issuer: The server's issuer identifier.
        client_id: The client.
        client_secret: Its secret, which signs with HS256 (section 10.1).
        clock: Decides when they expire.
    """

    def __init__(self, policy: Policy, *, issuer: str, client_id: str, client_secret: str, clock: Clock) -> None:
        self._policy = policy
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._clock = clock
        self._key = SigningKey()

    def token(self, grant: Grant) -> str:
        """Return the ID token of a sign-in."""
        nonce = {} if grant.nonce is None else {"nonce": grant.nonce}
        claims = {**nonce, **grant.account.claims()}
        lifetime = self._policy.id_token_lifetime
        if self._policy.signature_algorithm == "ES256":
            return signed_assertion(
                key=Secret(self._key.pem()),
                algorithm="ES256",
                issuer=self._issuer,
                subject=str(claims.pop("sub")),
                audience=self._client_id,
                lifetime=lifetime,
                key_id=KEY_ID,
                claims=claims,
                clock=self._clock,
            ).reveal()
        now = int(self._clock.now().wall)
        times = {"iat": now, "exp": now + int(lifetime)}
        return signed_with_secret(self._client_secret, {"iss": self._issuer, "aud": self._client_id, **times, **claims})

    def keys(self) -> list[Mapping[str, str]]:
        """Return the public key, if there is one."""
        if self._policy.signature_algorithm != "ES256":
            return []
        return [{"kid": KEY_ID, "use": "sig", "alg": "ES256", **self._key.published()}]
