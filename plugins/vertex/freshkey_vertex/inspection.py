"""Checks with Google whether an access token is still valid, and who it belongs to."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from freshkey import plugin
from freshkey.errors import OutcomeUnknown, TransientError
from freshkey.plugin import Credential, Identity, Inspection, Profile, Response, Validity
from freshkey_vertex import settings as defaults
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.identity import from_claims
from freshkey_vertex.settings import VertexSettings


DEADLINE: Final = 10.0
"""Timeout of the request, in seconds."""


def inspect(profile: Profile, credential: Credential) -> Inspection:
    """Return whether Google still accepts a credential.

    Raises:
        ProviderRefused: The endpoint's host is not allowed.
    """
    known = credential.identity
    if not isinstance(credential, GoogleCredential):
        return Inspection(validity=Validity.UNCHECKABLE, identity=known, detail="it is not a Google token")
    if credential.expired():
        detail = f"it expired at {credential.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        return Inspection(validity=Validity.EXPIRED, identity=known, detail=detail)
    settings = profile.settings_as(VertexSettings)
    if credential.kind == "federated identity":
        detail = "Google provides no information about tokens of federated identities"
        return Inspection(validity=Validity.UNCHECKABLE, identity=known, detail=detail)
    if _is_for_another_server(settings):
        detail = "token_url is a custom endpoint, and tokeninfo_url is not set"
        return Inspection(validity=Validity.UNCHECKABLE, identity=known, detail=detail)
    # In the body: URLs end up in logs.
    request = plugin.form(settings.tokeninfo_url, {"access_token": credential.access_token.reveal()})
    try:
        return _judged(profile.send(request, deadline=DEADLINE), known)
    except (TransientError, OutcomeUnknown) as error:
        return Inspection(validity=Validity.UNREACHABLE, identity=known, detail=error.message)


def _is_for_another_server(settings: VertexSettings) -> bool:
    """Return whether the token may come from a server other than Google's; then it must not be sent to Google."""
    return settings.tokeninfo_url == defaults.TOKENINFO_URL and settings.token_url != defaults.TOKEN_URL


def _judged(response: Response, known: Identity) -> Inspection:
    if response.status == HTTPStatus.OK:
        claims = plugin.parse_json_object(response.body)
        return Inspection(validity=Validity.VALID, identity=from_claims(claims, known), detail="Google accepts it")
    if response.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}:
        return Inspection(validity=Validity.REFUSED, identity=known, detail="Google no longer accepts it")
    if response.status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS} or response.status >= 500:  # noqa: PLR2004  RFC 9110, section 15.6
        detail = f"the tokeninfo endpoint is temporarily unavailable (status {response.status})"
        return Inspection(validity=Validity.UNREACHABLE, identity=known, detail=detail)
    detail = f"the tokeninfo endpoint responded with status {response.status}"
    return Inspection(validity=Validity.UNCHECKABLE, identity=known, detail=detail)
