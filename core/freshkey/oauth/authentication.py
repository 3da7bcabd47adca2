"""How a client authenticates at the endpoints of its authorization server, as values (RFC 6749, section 2.3).

The names are those of OpenID Connect Core 1.0, section 9, which servers list in
``token_endpoint_auth_methods_supported``. What a value adds goes into every request of an `OAuthClient`: to the token,
revocation, device authorization and pushed authorization request endpoints.
"""

from __future__ import annotations

import base64
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote_plus

from attrs import Attribute, field, frozen

from freshkey._http.messages import Fields
from freshkey.clock import Clock
from freshkey.errors import ConfigurationError
from freshkey.oauth.assertion import LIFETIME, Algorithm, check_lifetime, signed_assertion
from freshkey.oauth.protocol import NOTHING, Server
from freshkey.secret import Secret


JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_ENDPOINT: Final = "endpoint"

Added = tuple[Fields, Mapping[str, str]]
"""The fields and the headers of a request."""


class ClientAuthentication(ABC):
    """How a client proves who it is: one of the classes below, or your own for a server that wants something else."""

    @abstractmethod
    def apply(
        self, fields: Fields, headers: Mapping[str, str], *, client_id: str, server: Server, endpoint: str, clock: Clock
    ) -> Added:
        """Return the fields and headers of one request with what authenticates it.

        Args:
            fields: Fields of the request, with ``client_id``; the result replaces them.
            headers: Headers of the request; the result replaces them.
            client_id: The client ID.
            server: The server that the request is for.
            endpoint: The URL that it goes to.
            clock: Says what time it is.
        """


def _usable(value: object, attribute: Attribute[Secret], secret: Secret) -> None:  # noqa: ARG001  attrs
    encodable = False
    with suppress(UnicodeEncodeError):
        encodable = bool(secret.reveal().encode())
    if not encodable:
        raise ConfigurationError(
            "the client secret is empty or contains an unpaired surrogate",
            hint="Copy it from the page where the client is registered",
            code="invalid-client-secret",
        )


def _lasts(value: object, attribute: Attribute[float], lifetime: float) -> None:  # noqa: ARG001  attrs
    check_lifetime(lifetime)


@frozen
class PublicClient(ClientAuthentication):
    """``none``: the client only names itself, because a program on a user's machine cannot keep a secret."""

    def apply(
        self,
        fields: Fields,
        headers: Mapping[str, str],
        **_: Any,  # noqa: ANN401  not used
    ) -> Added:
        """Return them as they are."""
        return fields, headers


@frozen
class ClientSecretBasic(ClientAuthentication):
    """``client_secret_basic``: client ID and secret in the ``Authorization`` header (RFC 6749, section 2.3.1).

    Attributes:
        secret: The client secret.
    """

    secret: Secret = field(validator=_usable)

    def apply(
        self,
        fields: Fields,
        headers: Mapping[str, str],
        *,
        client_id: str,
        **_: Any,  # noqa: ANN401  not used
    ) -> Added:
        """Add the header and leave out ``client_id``, which only clients that do not authenticate must send."""
        pair = f"{_form_encoded(client_id)}:{_form_encoded(self.secret.reveal())}"
        header = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return {name: value for name, value in fields.items() if name != "client_id"}, {
            **headers,
            "Authorization": header,
        }


@frozen
class ClientSecretPost(ClientAuthentication):
    """``client_secret_post``: client ID and secret in the body (RFC 6749, section 2.3.1), where a server insists on it.

    Attributes:
        secret: The client secret.
    """

    secret: Secret = field(validator=_usable)

    def apply(
        self,
        fields: Fields,
        headers: Mapping[str, str],
        *,
        client_id: str,
        **_: Any,  # noqa: ANN401  not used
    ) -> Added:
        """Add both fields."""
        return {**fields, "client_id": client_id, "client_secret": self.secret.reveal()}, headers


@frozen
class ClientAssertion(ClientAuthentication):
    """An assertion from elsewhere that the server trusts for this client, such as a workload's identity token.

    It is sent like that of `PrivateKeyJwt` (RFC 7523, section 2.2), but is signed by the platform that the client runs
    on, so it is read again for each request that needs one.

    Attributes:
        assertion: The assertion.
    """

    assertion: Secret

    def apply(
        self,
        fields: Fields,
        headers: Mapping[str, str],
        *,
        client_id: str,
        **_: Any,  # noqa: ANN401  not used
    ) -> Added:
        """Add it."""
        return _with_assertion(fields, client_id, self.assertion), headers


@frozen
class PrivateKeyJwt(ClientAuthentication):
    """``private_key_jwt``: an assertion that the client signs with its own key (RFC 7523, section 2.2).

    Each request has a new one, because servers accept each only once.

    Attributes:
        key: The private key in PEM format.
        algorithm: The signature algorithm.
        key_id: Which of the registered keys it is.
        header: More header parameters, such as ``x5t#S256``.
        audience: Who accepts the assertion; None for the issuer of the server, or for its token endpoint if the issuer
            is unknown; ``endpoint`` for the URL of each request, where a server insists on that.
        lifetime: Seconds that an assertion is valid, at least one.
        random: Returns the given number of random bytes.
    """

    key: Secret
    algorithm: Algorithm = "RS256"
    key_id: str | None = field(default=None, kw_only=True)
    header: Mapping[str, Any] = field(default=NOTHING, kw_only=True, hash=False)
    audience: str | None = field(default=None, kw_only=True)
    lifetime: float = field(default=LIFETIME, kw_only=True, validator=_lasts)
    random: Callable[[int], bytes] = field(default=secrets.token_bytes, kw_only=True, repr=False)

    def apply(
        self, fields: Fields, headers: Mapping[str, str], *, client_id: str, server: Server, endpoint: str, clock: Clock
    ) -> Added:
        """Add a new assertion. Raises like `signed_assertion`."""
        assertion = signed_assertion(
            key=self.key,
            algorithm=self.algorithm,
            issuer=client_id,
            subject=client_id,
            audience=_audience(self.audience, server, endpoint),
            lifetime=self.lifetime,
            key_id=self.key_id,
            header=self.header,
            clock=clock,
            random=self.random,
        )
        return _with_assertion(fields, client_id, assertion), headers


@frozen
class ClientSecretJwt(ClientAuthentication):
    """``client_secret_jwt``: an assertion that is signed with the client secret (OpenID Connect Core 1.0, section 9).

    The secret itself is never sent.

    Attributes:
        secret: The client secret.
        audience: As for `PrivateKeyJwt`.
        lifetime: Seconds that an assertion is valid, at least one.
        random: Returns the given number of random bytes.
    """

    secret: Secret = field(validator=_usable)
    audience: str | None = field(default=None, kw_only=True)
    lifetime: float = field(default=LIFETIME, kw_only=True, validator=_lasts)
    random: Callable[[int], bytes] = field(default=secrets.token_bytes, kw_only=True, repr=False)

    def apply(
        self, fields: Fields, headers: Mapping[str, str], *, client_id: str, server: Server, endpoint: str, clock: Clock
    ) -> Added:
        """Add a new assertion."""
        assertion = signed_assertion(
            key=self.secret,
            algorithm="HS256",
            issuer=client_id,
            subject=client_id,
            audience=_audience(self.audience, server, endpoint),
            lifetime=self.lifetime,
            clock=clock,
            random=self.random,
        )
        return _with_assertion(fields, client_id, assertion), headers


def _form_encoded(text: str) -> str:
    """Encode a text as in a form (RFC 6749, section 2.3.1 and appendix B); as in browsers, ``*-._`` stay."""
    return quote_plus(text, safe="*", errors="surrogatepass").replace("~", "%7E")


def _audience(given: str | None, server: Server, endpoint: str) -> str:
    if given == _ENDPOINT:
        return endpoint
    # The issuer, because a hostile server could name another server's address as its own token endpoint.
    return given or server.issuer or server.token_endpoint


def _with_assertion(fields: Fields, client_id: str, assertion: Secret) -> Fields:
    return {
        **fields,
        "client_id": client_id,  # optional (RFC 7521, section 4.2), and some servers need it
        "client_assertion_type": JWT_BEARER,
        "client_assertion": assertion.reveal(),
    }
