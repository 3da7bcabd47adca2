"""JSON Web Tokens (RFC 7519) that tests sign themselves, as a client or as an identity provider."""

from __future__ import annotations

import secrets
import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, KeyParameters, RSAKey


def new_key(key_id: str = "k1", algorithm: str = "ES256") -> ECKey | RSAKey:
    """Return a new private key for signatures with `ES256` or `RS256`."""
    uses: KeyParameters = {"kid": key_id, "use": "sig", "alg": algorithm}
    if algorithm == "RS256":
        return RSAKey.generate_key(2048, uses)
    assert algorithm == "ES256"
    return ECKey.generate_key("P-256", uses)


def public(key: ECKey | RSAKey) -> dict[str, Any]:
    """Return the public half of a key, as a JSON Web Key (RFC 7517)."""
    return dict(key.as_dict(private=False))


def pem(key: ECKey | RSAKey) -> str:
    """Return the private key in PEM, which is a secret."""
    return key.as_pem(private=True).decode()


def signed(key: ECKey | RSAKey, *, lifetime: float = 300, **claims: object) -> str:
    """Return a token with these claims, valid from now for `lifetime` seconds; a negative one makes it expired."""
    now = int(time.time())
    times = {"iat": now, "exp": int(now + lifetime), "jti": secrets.token_hex(8)}
    header = {"alg": str(key.alg), "kid": str(key.kid)}
    return jwt.encode(header, times | claims, key)
