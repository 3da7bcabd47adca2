"""Verifies the signature of an ID token with the keys that its issuer publishes (RFC 7515, RFC 7517), with joserfc.

See docs/decisions.md, "The signature of an ID token is verified at a sign-in".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from freshkey._http.status import raise_for_status
from freshkey._json import parse_json_object
from freshkey._text.shell_words import install_command
from freshkey.clock import Clock
from freshkey.errors import ConfigurationError, ProtocolError, frameless
from freshkey.model.exchange import Request, Response
from freshkey.oauth.answers import TokenAnswer
from freshkey.oauth.id_token import id_token_header
from freshkey.oauth.protocol import Server
from freshkey.secret import MAX_TOKEN


if TYPE_CHECKING:
    from joserfc.jwk import Key
    from joserfc.jws import JWSRegistry

_KEY_TYPES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
"""Types of keys by how the name of an algorithm begins (RFC 7518, section 3.1; RFC 8037, section 3.1; RFC 9864)."""

_ALGORITHMS: Final = frozenset(
    {f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)} | {"EdDSA", "Ed25519", "Ed448"}
)
"""Those whose keys can be published. Not ``none``, and none with a shared secret: its key would be taken from here."""

_MEMBERS: Final = frozenset({"kty", "use", "key_ops", "n", "e", "crv", "x", "y"})
"""Members of a public key that count (RFC 7517, section 4; RFC 7518, section 6). Not ``alg``, whose names differ."""

_NAMED: Final = re.compile(r"[A-Z]{2}[0-9]{3}K?")
"""Names of algorithms that are shown, such as ``HS256``: too short to be a secret in the wrong place."""

_MIN_RSA_BITS: Final = 2048  # RFC 7518, sections 3.3 and 3.5
_MAX_KEYS: Final = 64
"""Keys that are tried; more would only cost time. Real servers publish fewer than ten."""


def keys_request(server: Server) -> Request:
    """Return the request for the public keys of a server (RFC 7517, section 5).

    Raises:
        ConfigurationError: The server does not publish any.
    """
    if server.jwks_uri is None:
        raise ConfigurationError("this authorization server has no jwks_uri", code="endpoint-missing")
    return Request(method="GET", url=server.jwks_uri, headers={"Accept": "application/jwk-set+json, application/json"})


@frameless
def read_keys(request: Request, response: Response, *, clock: Clock) -> tuple[Mapping[str, Any], ...]:
    """Return the keys in a JWK Set, unchecked.

    Raises:
        TransientError: The server is temporarily unavailable.
        ProviderRefused: It does not hand out its keys.
        ProtocolError: The response is not a JWK Set.
    """
    raise_for_status(request, response, clock=clock, login_required=())
    keys = parse_json_object(response.body).get("keys")
    if not isinstance(keys, list):
        raise ProtocolError("the authorization server's keys are not a JWK Set", code="id-token-signature")
    return tuple(key for key in keys if isinstance(key, dict))


@frameless
def check_signature(answer: TokenAnswer, keys: tuple[Mapping[str, Any], ...]) -> None:
    """Return if one of the keys has signed the ID token in a token response; its claims are not checked.

    Raises:
        ProtocolError: There is no ID token, or it is malformed (``invalid-id-token``); it is not signed, or not with
            one of these keys (``id-token-signature``). Nothing of it is quoted.
        ConfigurationError: The package `joserfc` is missing (``freshkey[jwt]``).
    """
    try:
        from joserfc.errors import JoseError
        from joserfc.jws import deserialize_compact
    except ImportError:
        raise ConfigurationError(
            "verifying an ID token requires the package 'joserfc'",
            hint=f"Run: {install_command('freshkey[jwt]')}",
            code="missing-package",
        ) from None
    header = id_token_header(answer)
    algorithm = _algorithm(header)
    registry = _registry(algorithm)
    for key in _candidates(keys, header.get("kid"), algorithm):
        try:
            deserialize_compact(answer.extra["id_token"], key, registry=registry)
        except (JoseError, ValueError):
            continue
        return
    raise _wrong("is not signed with any of the keys that the authorization server publishes")


def _algorithm(header: Mapping[str, Any]) -> str:
    """Return the algorithm of a header, if its keys can be published, and if the header demands nothing else."""
    algorithm = header.get("alg")
    if "crit" in header:  # whoever does not understand what it names must not accept the token (RFC 7515, 4.1.11)
        raise _wrong("requires an extension that is not supported")
    if isinstance(algorithm, str) and algorithm in _ALGORITHMS:
        return algorithm
    if algorithm == "none":
        raise _wrong("is not signed")
    named = algorithm if isinstance(algorithm, str) and _NAMED.fullmatch(algorithm) else "an unknown algorithm"
    raise _wrong(f"is signed with {named}, which published keys cannot verify")


def _registry(algorithm: str) -> JWSRegistry:
    """Return what makes joserfc verify with this algorithm and no other."""
    from joserfc.jws import JWSRegistry

    class OneAlgorithm(JWSRegistry):
        # Its own limits are too low for headers with certificates, and for signatures with 8192-bit keys.
        max_header_length = max_payload_length = max_signature_length = MAX_TOKEN

        def get_alg(self, name: str) -> Any:  # noqa: ANN401, ARG002  the class is not public; the header has been read
            return self.algorithms[algorithm]  # without the warning that EdDSA has two newer names

    return OneAlgorithm(strict_check_header=False)  # unknown parameters must be ignored (RFC 7515, section 4)


def _candidates(keys: tuple[Mapping[str, Any], ...], key_id: object, algorithm: str) -> Iterator[Key]:
    """Yield the keys that may have signed it: those with its key ID, of the type that the algorithm needs."""
    from joserfc.jwk import import_key

    kind = _KEY_TYPES[algorithm[:2]]
    fitting = [key for key in keys if key.get("kty") == kind and key_id in (None, key.get("kid"))]
    for key in fitting[:_MAX_KEYS]:
        if kind == "RSA" and _bits(key.get("n")) < _MIN_RSA_BITS:
            continue  # before joserfc sees it, which only warns
        try:
            found = import_key({name: key[name] for name in _MEMBERS & key.keys()})
        except Exception:  # noqa: BLE001, S112  of a kind that only newer clients know; joserfc raises KeyError, too
            continue
        yield found


def _bits(modulus: object) -> int:
    """Return the length of an RSA modulus; 0 if it is malformed (RFC 7518, section 6.3.1.1)."""
    with suppress(ValueError):
        return int.from_bytes(base64.urlsafe_b64decode(f"{modulus}==")).bit_length()
    return 0


def _wrong(flaw: str) -> ProtocolError:
    return ProtocolError(
        f"the ID token {flaw}",
        hint="Sign in again. If it happens again, report it to the provider's support",
        code="id-token-signature",
    )
