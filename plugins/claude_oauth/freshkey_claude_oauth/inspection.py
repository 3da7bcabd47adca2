"""Checks with Anthropic whether a credential is still valid, and who it belongs to."""

from __future__ import annotations

from http import HTTPStatus

from freshkey.errors import OutcomeUnknown, ProtocolError, TransientError
from freshkey.plugin import Credential, Identity, Inspection, Profile, Response, Validity
from freshkey_claude_oauth import endpoints
from freshkey_claude_oauth.formats import ClaudeApiKey, ClaudeToken
from freshkey_claude_oauth.identity import PROFILE_TIMEOUT, profile_request, read_profile
from freshkey_claude_oauth.settings import ClaudeSettings


def inspect(profile: Profile, credential: Credential) -> Inspection:
    """Return whether a credential is valid; only OAuth tokens can be checked without spending a model request.

    Raises:
        ProviderRefused: The profile endpoint's host is not allowed.
    """
    if not isinstance(credential, ClaudeToken):
        what = "API key" if isinstance(credential, ClaudeApiKey) else "bearer token"
        return _uncheckable(credential, f"there is no way to check this {what} without a model request")
    if credential.expired():
        return Inspection(
            validity=Validity.EXPIRED,
            identity=credential.identity,
            detail=f"it expired at {credential.expires_at:%Y-%m-%d %H:%M:%S} UTC",
        )
    settings = profile.settings_as(ClaudeSettings)
    url = endpoints.profile_url(settings)
    if url is None or not _same_issuer(settings, credential):
        return _uncheckable(credential, "there is no known profile endpoint for the server that issued it")
    try:
        response = profile.send(profile_request(url, credential), deadline=PROFILE_TIMEOUT)
        return _judge(response, credential.identity)
    except (TransientError, OutcomeUnknown) as error:
        return _unreachable(credential.identity, error.message)


def _same_issuer(settings: ClaudeSettings, credential: ClaudeToken) -> bool:
    """Return whether the token may be sent to the profile endpoint of these settings: only if its issuer matches."""
    bound, here = credential.binding, endpoints.binding(settings)
    return all(bound[name] == here[name] for name in ("issuer", "token_endpoint") if name in bound and name in here)


def _judge(response: Response, known: Identity) -> Inspection:
    if response.status == HTTPStatus.OK:
        return Inspection(
            validity=Validity.VALID, identity=read_profile(response, known), detail="the server accepts it"
        )
    if response.status == HTTPStatus.UNAUTHORIZED:
        return Inspection(validity=Validity.REFUSED, identity=known, detail="the server no longer accepts it")
    if response.status == HTTPStatus.FORBIDDEN:
        detail = "the check requires the scope user:profile, which this token does not have"
        return Inspection(validity=Validity.UNCHECKABLE, identity=known, detail=detail)
    if response.status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS} or response.status >= 500:  # noqa: PLR2004  RFC 9110, section 15.6
        return _unreachable(known, f"the profile endpoint is temporarily unavailable (status {response.status})")
    raise ProtocolError(f"the profile endpoint responded with status {response.status}")


def _uncheckable(credential: Credential, detail: str) -> Inspection:
    return Inspection(validity=Validity.UNCHECKABLE, identity=credential.identity, detail=detail)


def _unreachable(known: Identity, detail: str) -> Inspection:
    return Inspection(validity=Validity.UNREACHABLE, identity=known, detail=detail)
