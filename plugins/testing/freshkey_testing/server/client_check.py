"""Checks how a client authenticates.

RFC 6749, section 2.3; RFC 7523, section 3; OpenID Connect Core 1.0, section 9.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from freshkey_testing.server.grants import Refused
from freshkey_testing.server.signature import is_signed_with_key, is_signed_with_secret


if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from freshkey import Clock
    from freshkey_testing.server.policy import Policy
    from freshkey_testing.server.wire import Asked

_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class ClientCheck:
    """Accepts requests of the one client that the server knows, if it authenticates as the policy says.

    Args:
        policy: The server's behavior; read at each call.
        client_id: The client ID.
        secret: The client secret.
        public_key: The public key in PEM format for ``private_key_jwt``, if there is one.
        audiences: What an assertion may be addressed to.
        clock: Decides when an assertion has expired.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        client_id: str,
        secret: str,
        public_key: str | None,
        audiences: Collection[str],
        clock: Clock,
    ) -> None:
        self._policy = policy
        self._client_id = client_id
        self._secret = secret
        self._public_key = public_key
        self._audiences = audiences
        self._clock = clock
        self._seen: set[str] = set()

    def check(self, asked: Asked, fields: Mapping[str, str]) -> None:
        """Accept a request, or refuse it.

        Raises:
            Refused: The client is unknown, or does not authenticate with the method of the policy and no other.
        """
        method = self._policy.client_authentication
        header = asked.headers.get("authorization")
        used = {
            "client_secret_basic": header is not None,
            "client_secret_post": "client_secret" in fields,
            "assertion": "client_assertion" in fields,
        }
        expected = {"none": None, "client_secret_jwt": "assertion", "private_key_jwt": "assertion"}.get(method, method)
        if [name for name, is_used in used.items() if is_used] != [expected] * (expected is not None):
            raise _unknown(f"Authenticate with {method} and nothing else")
        if expected == "client_secret_basic":
            client_id, secret = _basic(header or "")
            client_id = client_id if fields.get("client_id", client_id) == client_id else ""
        else:
            client_id, secret = fields.get("client_id", ""), fields.get("client_secret", "")
        if client_id != self._client_id:
            raise _unknown("Unknown client")
        if expected == "assertion":
            self._check_assertion(fields, method)
        elif expected is not None and not hmac.compare_digest(secret.encode(), self._secret.encode()):
            raise _unknown("Wrong client secret")

    def _check_assertion(self, fields: Mapping[str, str], method: str) -> None:
        signed, _, signature = fields["client_assertion"].rpartition(".")
        try:
            header, claims = (_object(part) for part in signed.split("."))
            proof = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        except (ValueError, binascii.Error):
            raise _unknown("The assertion cannot be read") from None
        if method == "client_secret_jwt":
            genuine = header.get("alg") == "HS256" and is_signed_with_secret(self._secret, signed, proof)
        elif self._public_key is None:
            raise ValueError("private_key_jwt needs AuthorizationServer(client_public_key=…)")
        else:
            genuine = is_signed_with_key(self._public_key, str(header.get("alg")), signed, proof)
        if fields.get("client_assertion_type") != _ASSERTION_TYPE or not genuine:
            raise _unknown("The assertion is not signed by this client")
        if fault := self._fault(claims):
            raise _unknown(f"The assertion has a wrong {fault}")
        self._seen.add(claims["jti"])

    def _fault(self, claims: Mapping[str, Any]) -> str | None:
        """Return the name of a claim that is wrong (RFC 7523, section 3)."""
        if (claims.get("iss"), claims.get("sub")) != (self._client_id, self._client_id):
            return "iss or sub"
        if claims.get("aud") not in self._audiences:
            return "aud"
        if not isinstance(claims.get("exp"), int) or claims["exp"] <= self._clock.now().wall:
            return "exp"
        return "jti" if not isinstance(claims.get("jti"), str) or claims["jti"] in self._seen else None


def _unknown(description: str) -> Refused:
    return Refused("invalid_client", description, 401)


def _basic(header: str) -> tuple[str, str]:
    """Return client ID and secret (RFC 6749, section 2.3.1, and appendix B)."""
    scheme, _, encoded = header.partition(" ")
    try:
        pair = base64.b64decode(encoded, validate=True).decode("ascii")
    except (ValueError, binascii.Error):
        pair = ""
    client_id, _, secret = pair.partition(":") if scheme.lower() == "basic" else ("", "", "")
    return unquote_plus(client_id), unquote_plus(secret)


def _object(part: str) -> dict[str, Any]:
    value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  like everything else that is wrong with it
    return value
