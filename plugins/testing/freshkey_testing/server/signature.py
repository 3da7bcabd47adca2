"""Signatures of JSON Web Tokens, made with a secret, or verified (RFC 7518, section 3; RFC 8037, section 3.1)."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


def signed_with_secret(secret: str, claims: Mapping[str, object]) -> str:
    """Return a token that is signed with HS256."""
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    signed = ".".join(_base64url(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{_base64url(_digest(secret, signed))}"


def is_signed_with_secret(secret: str, signed: str, signature: bytes) -> bool:
    """Return whether the signature is that of HS256 with this secret."""
    return hmac.compare_digest(_digest(secret, signed), signature)


def is_signed_with_key(public_key: str, algorithm: str, signed: str, signature: bytes) -> bool:
    """Return whether the signature was made with the private key of this public key in PEM format."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key, data = load_pem_public_key(public_key.encode()), signed.encode()
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm in {"RS256", "PS256"}:
            salted = padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)
            key.verify(signature, data, salted if algorithm == "PS256" else padding.PKCS1v15(), SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm == "ES256":
            pair = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            key.verify(encode_dss_signature(*pair), data, ec.ECDSA(SHA256()))
        elif isinstance(key, ed25519.Ed25519PublicKey) and algorithm == "EdDSA":
            key.verify(signature, data)
        else:
            return False
    except InvalidSignature:
        return False
    return True


class SigningKey:
    """A key on the curve P-256, made when it is first used."""

    @functools.cached_property
    def _key(self) -> EllipticCurvePrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

        return generate_private_key(SECP256R1())

    def pem(self) -> str:
        """Return the private key in PEM format."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def published(self) -> dict[str, str]:
        """Return the public key as a JSON Web Key (RFC 7518, section 6.2)."""
        numbers = self._key.public_key().public_numbers()
        x, y = (_base64url(each.to_bytes(32, "big")) for each in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _digest(secret: str, signed: str) -> bytes:
    return hmac.digest(secret.encode(), signed.encode(), hashlib.sha256)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
