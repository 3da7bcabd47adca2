"""Verifies the signature of an ID token with the keys that its issuer publishes (RFC 7515, RFC 7517), with joserfc.

See docs/decisions.md, "The signature of an ID token is verified at a sign-in".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from freshkey._http.status import raise_for_status
from freshkey._json import parse_json_object
from freshkey._text.shell_words import install_command
from freshkey.clock import Clock
from freshkey.errors import ConfigurationError, ProtocolError, frameless
from freshkey.model.exchange import Request, Response
from freshkey.oauth.answers import TokenAnswer
from freshkey.oauth.protocol import Server
from freshkey.secret import shown_name


if TYPE_CHECKING:
    from joserfc.jwk import Key
    from joserfc.jws import JWSRegistry

_KEY_TYPES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
"""Types of keys by how the name of an algorithm begins (RFC 7518, section 3.1; RFC 8037, section 3.1; RFC 9864)."""

_ALGORITHMS: Final = frozenset(
    {f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)} | {"EdDSA", "Ed25519", "Ed448"}
)
"""Those whose keys can be published. Not ``none``, and none with a shared secret: its key would be taken from here."""

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
        ProtocolError: There is no ID token, it is malformed, not signed, or not with one of these keys. Nothing of it
            is quoted.
        ConfigurationError: The package `joserfc` is missing (``freshkey[jwt]``).
    """
    try:
        from joserfc.errors import JoseError
        from joserfc.jws import deserialize_compact, extract_compact
    except ImportError:
        raise ConfigurationError(
            "verifying an ID token requires the package 'joserfc'",
            hint=f"Run: {install_command('freshkey[jwt]')}",
            code="missing-package",
        ) from None
    token = answer.extra.get("id_token")
    header: Mapping[str, Any] = {}
    try:
        header = extract_compact(token.encode()).headers() if isinstance(token, str) else {}
    except (JoseError, ValueError):
        raise _wrong("is malformed") from None
    algorithm = _algorithm(header)
    registry = _registry(algorithm)
    for key in _candidates(keys, header.get("kid"), algorithm):
        try:
            deserialize_compact(str(token), key, registry=registry)
        except (JoseError, ValueError):
            continue
        return
    raise _wrong("is not signed with any of the keys that the authorization server publishes")


def _algorithm(header: Mapping[str, Any]) -> str:
    """Return the algorithm of a header, if its keys can be published."""
    algorithm = header.get("alg")
    if algorithm in _ALGORITHMS:
        return str(algorithm)
    if algorithm == "none":
        raise _wrong("is not signed")
    named = shown_name(algorithm) if isinstance(algorithm, str) else None
    raise _wrong(f"is signed with {named or 'an algorithm'} that cannot be verified with a published key")


def _registry(algorithm: str) -> JWSRegistry:
    """Return what makes joserfc verify with this algorithm and no other."""
    from joserfc.jws import JWSRegistry

    class OneAlgorithm(JWSRegistry):
        def get_alg(self, name: str) -> Any:  # noqa: ANN401, ARG002  the class is not public; the header has been read
            return self.algorithms[algorithm]  # without the warning that EdDSA has two newer names

    return OneAlgorithm(strict_check_header=False)  # unknown parameters must be ignored (RFC 7515, section 4)


def _candidates(keys: tuple[Mapping[str, Any], ...], key_id: object, algorithm: str) -> Iterator[Key]:
    """Yield the keys that may have signed it: those with its key ID, of the type that the algorithm needs."""
    from joserfc.errors import JoseError
    from joserfc.jwk import RSAKey, import_key

    kind = _KEY_TYPES[algorithm[:2]]
    fitting = [key for key in keys if key.get("kty") == kind and key_id in (None, key.get("kid"))]
    for key in fitting[:_MAX_KEYS]:
        try:
            found = import_key({name: key[name] for name in key if name != "alg"})
        except (JoseError, ValueError, TypeError):
            continue  # of a kind that only newer clients know
        if not isinstance(found, RSAKey) or found.raw_value.key_size >= _MIN_RSA_BITS:
            yield found


def _wrong(flaw: str) -> ProtocolError:
    return ProtocolError(
        f"the ID token {flaw}",
        hint="Sign in again. If it happens again, report it to the provider's support",
        code="id-token-signature",
    )
