"""Asks Google whether an access token still counts, and whose it is."""

from __future__ import annotations

import functools
from http import HTTPStatus
from typing import Final

from freshkey import plugin
from freshkey.errors import OutcomeUnknown, TransientError
from freshkey.plugin import Credential, Identity, Inspection, Profile, Response, Validity
from freshkey_vertex import settings as defaults
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.identity import from_claims
from freshkey_vertex.settings import VertexSettings
from freshkey_vertex.transport import allowed_hosts


DEADLINE: Final = 10.0
"""Seconds that the question has."""


def inspect(profile: Profile, credential: Credential) -> Inspection:
    """Return what Google thinks of a credential.

    Raises:
        ProviderRefused: The endpoint's certificate cannot be verified, or it is no host to be called.
    """
    known = credential.identity
    if not isinstance(credential, GoogleCredential):
        return Inspection(validity=Validity.UNCHECKABLE, identity=known, detail="It is no token of Google's")
    if credential.expired():
        detail = f"It expired at {credential.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        return Inspection(validity=Validity.EXPIRED, identity=known, detail=detail)
    settings = profile.settings_as(VertexSettings)
    if credential.kind == "federated identity":
        detail = "Google explains no tokens of workload identities"
        return Inspection(validity=Validity.UNCHECKABLE, identity=known, detail=detail)
    if _is_for_another_server(settings):
        detail = "It comes from a token endpoint of your own, and no tokeninfo_url is set for that"
        return Inspection(validity=Validity.UNCHECKABLE, identity=known, detail=detail)
    send = functools.partial(
        plugin.send,
        deadline=DEADLINE,
        hosts=allowed_hosts(settings),
        allow_insecure_loopback=settings.allow_insecure_loopback,
    )
    # In the body: addresses are written to logs.
    request = plugin.form(settings.tokeninfo_url, {"access_token": credential.access_token.reveal()})
    try:
        return _judged(send(request), known)
    except (TransientError, OutcomeUnknown) as error:
        return Inspection(validity=Validity.UNREACHABLE, identity=known, detail=error.message)


def _is_for_another_server(settings: VertexSettings) -> bool:
    """Whether the token may come from elsewhere than the vendor's endpoint would be asked about."""
    return settings.tokeninfo_url == defaults.TOKENINFO_URL and settings.token_url != defaults.TOKEN_URL


def _judged(response: Response, known: Identity) -> Inspection:
    if response.status == HTTPStatus.OK:
        claims = plugin.parse_json_object(response.body)
        return Inspection(validity=Validity.VALID, identity=from_claims(claims, known), detail="It is honored")
    if response.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}:
        return Inspection(validity=Validity.REFUSED, identity=known, detail="Google no longer honors it")
    if response.status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS} or response.status >= 500:  # noqa: PLR2004  RFC 9110, section 15.6
        detail = f"The endpoint that explains tokens answers {response.status} for now"
        return Inspection(validity=Validity.UNREACHABLE, identity=known, detail=detail)
    detail = f"The endpoint that explains tokens answers {response.status}"
    return Inspection(validity=Validity.UNCHECKABLE, identity=known, detail=detail)
