"""Signed assertions: JSON Web Tokens that a program signs with its own key (RFC 7519, RFC 7515, RFC 7523).

They prove who a client is (`freshkey.oauth.PrivateKeyJwt`), and many APIs that are not OAuth take one instead of a
token. Only signing is done here: nothing in freshkey verifies one.
See docs/decisions.md, "An assertion is made here, with a library's signature".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import secrets
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from freshkey._text.shell_words import install_command
from freshkey.clock import SYSTEM, Clock
from freshkey.errors import ConfigurationError, frameless
from freshkey.oauth.protocol import new_state
from freshkey.secret import Secret


if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

Algorithm = Literal["HS256", "RS256", "PS256", "ES256", "EdDSA"]
"""Signature algorithms (RFC 7518, section 3.1; RFC 8037, section 3.1)."""

LIFETIME: Final = 300.0
"""Seconds; servers limit it, often to five or ten minutes."""

_MIN_RSA_BITS: Final = 2048  # RFC 7518, section 3.3
_P256_BYTES: Final = 32

_KEYS: Final = {
    "RS256": "an RSA private key of at least 2048 bits",
    "PS256": "an RSA private key of at least 2048 bits",
    "ES256": "a private key on the curve P-256",
    "EdDSA": "an Ed25519 private key",
}

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@frameless
def signed_assertion(
    *,
    key: Secret,
    algorithm: Algorithm,
    issuer: str,
    subject: str | None = None,
    audience: str | Collection[str] | None = None,
    lifetime: float = LIFETIME,
    backdate: float = 0.0,
    key_id: str | None = None,
    claims: Mapping[str, Any] = _NOTHING,
    header: Mapping[str, Any] = _NOTHING,
    clock: Clock = SYSTEM,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> Secret:
    """Return a signed JSON Web Token: ``iss``, ``sub``, ``aud``, ``iat``, ``exp`` and ``jti`` (RFC 7523, section 3).

    Args:
        key: The private key in PEM format, without a passphrase; for ``HS256``, the shared secret itself.
        algorithm: The signature algorithm. All but ``HS256`` need the package `cryptography` (``freshkey[jwt]``).
        issuer: ``iss``: usually the client ID, or the ID of the app.
        subject: ``sub``: whom the token is about; left out if None.
        audience: ``aud``: who accepts it, or several who do (RFC 7519, section 4.1.3); left out if None.
        lifetime: Seconds from now until ``exp``, at least one; a fraction is left out.
        backdate: Seconds by which ``iat`` precedes now, for servers that reject a token from the future; not negative.
        key_id: ``kid``: which of several keys signed it (RFC 7515, section 4.1.4).
        claims: More claims; as JSON.
        header: More header parameters, such as ``x5t#S256``; as JSON.
        clock: Says what time it is.
        random: Returns the given number of random bytes, for ``jti``.

    Raises:
        ConfigurationError: The key is not one for this algorithm, the package is missing, or `claims` or `header`
            contain what is set here. No message quotes the key.
        TypeError: Something that is stated cannot be written as JSON, such as a date; its name and type are said, and
            no value.
        ValueError: `lifetime` or `backdate` is out of range, or `audience` is empty.
    """
    check_lifetime(lifetime)
    if not 0 <= backdate < math.inf:
        raise ValueError("backdate must be a number of seconds, and not negative")
    now = int(clock.now().wall)
    stated: dict[str, Any] = {
        "iss": issuer,
        "sub": subject,
        "aud": _audience(audience),
        "iat": now - int(backdate),
        "exp": now + int(lifetime),
        "jti": new_state(random),
    }
    top: dict[str, Any] = {"alg": algorithm, "typ": "JWT", "kid": key_id}
    first = _part("header parameter", {**_own(top, header), **header})
    signed = f"{first}.{_part('claim', {**_own(stated, claims), **claims})}"
    return Secret(f"{signed}.{_base64url(_signature(key, algorithm, signed.encode()))}")


def check_lifetime(lifetime: float) -> None:
    """Refuse a lifetime with which an assertion would never be valid, or could not be written.

    Raises:
        ValueError: It is less than a second, infinite, or not a number.
    """
    if not 1 <= lifetime < math.inf:
        raise ValueError("the lifetime of a signed assertion must be a number of seconds, and at least one")


def _audience(given: str | Collection[str] | None) -> str | list[str] | None:
    if given is None or isinstance(given, str):
        return given
    several = list(given)
    if not several:
        raise ValueError("audience is empty: pass who accepts the assertion, or None to leave it out")
    return several


def _own(stated: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    repeated = sorted(stated.keys() & more.keys())
    if repeated:
        message = f"cannot override what a signed assertion sets itself: {', '.join(repeated)}"
        raise ConfigurationError(message, hint="Use the argument of that name", code="reserved-parameter")
    return {name: value for name, value in stated.items() if value is not None}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _part(what: str, members: Mapping[str, Any]) -> str:
    written = _json(members)
    if written is None:
        # Raised outside a handler: the error of the library would be its context, and may quote a value.
        raise TypeError(_flaw(what, members))
    return _base64url(written.encode())


def _json(value: object) -> str | None:
    """Return a value as JSON (RFC 8259); None if it cannot be written as that."""
    with suppress(TypeError, ValueError, RecursionError):
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    return None


def _flaw(what: str, members: Mapping[str, Any]) -> str:
    for name, value in members.items():
        if _json({name: None}) is None:
            return f"a {what} has a name of type {type(name).__name__} instead of str"
        if _json(value) is None:
            return f"the {what} {name!r}, of type {type(value).__name__}, cannot be written as JSON"
    return f"the {what}s are nested too deeply"


def _signature(key: Secret, algorithm: Algorithm, data: bytes) -> bytes:
    if algorithm == "HS256":
        octets = key.reveal().encode("utf-8", "surrogatepass")
        if not octets or octets.startswith(b"-----BEGIN"):  # a key that a server publishes would sign for anyone
            raise _wrong_key(algorithm, "a shared secret, and not a key in PEM format")
        return hmac.digest(octets, data, hashlib.sha256)
    if algorithm not in _KEYS:
        raise ConfigurationError(
            f"unknown signature algorithm; supported: HS256, {', '.join(_KEYS)}", code="invalid-signing-key"
        )
    private = _private_key(key, algorithm)
    signature = _sign(private, algorithm, data)
    if signature is None:
        raise _wrong_key(algorithm, _KEYS[algorithm])
    return signature


def _private_key(key: Secret, algorithm: Algorithm) -> PrivateKeyTypes:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise ConfigurationError(
            f"signing with {algorithm} requires the package 'cryptography'",
            hint=f"Run: {install_command('freshkey[jwt]')}",
            code="missing-package",
        ) from None
    with suppress(ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a passphrase
        return load_pem_private_key(key.reveal().encode("utf-8", "surrogatepass"), password=None)
    # Raised outside a handler: the library's error would be its context, and may quote the text.
    raise _wrong_key(algorithm, _KEYS[algorithm])


def _sign(key: PrivateKeyTypes, algorithm: Algorithm, data: bytes) -> bytes | None:
    """Return the signature (RFC 7518, section 3; RFC 8037, section 3.1); None if the key is of another kind."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    if algorithm == "EdDSA":
        return key.sign(data) if isinstance(key, ed25519.Ed25519PrivateKey) else None
    if algorithm == "ES256":
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            return None
        pair = decode_dss_signature(key.sign(data, ec.ECDSA(SHA256())))
        return b"".join(number.to_bytes(_P256_BYTES, "big") for number in pair)
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < _MIN_RSA_BITS:
        return None
    if algorithm == "RS256":
        return key.sign(data, padding.PKCS1v15(), SHA256())
    return key.sign(data, padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH), SHA256())


def _wrong_key(algorithm: str, wanted: str) -> ConfigurationError:
    hint = "Check which key the setting names; a key with a passphrase must be decrypted first"
    return ConfigurationError(f"{algorithm} needs {wanted}", hint=hint, code="invalid-signing-key")
