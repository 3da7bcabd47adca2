"""The identity token of the machine or the workload: in a file, in a variable, or handed out by GitHub Actions."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import quote, urlsplit

from freshkey import plugin
from freshkey.errors import LoginRequired, OutcomeUnknown, TransientError
from freshkey.plugin import Detected, Profile, Request, Secret
from freshkey_oidc.settings import OidcSettings


REQUEST_URL: Final = "ACTIONS_ID_TOKEN_REQUEST_URL"
"""Where a job of GitHub Actions asks for its identity token ("OpenID Connect reference", GitHub's documentation)."""

REQUEST_TOKEN: Final = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"  # noqa: S105  a name
"""The bearer token for that request; set only in jobs with the permission ``id-token: write``."""


def detect(profile: Profile) -> Detected | None:
    """Report the identity token that the settings name, if it is there; it is not read."""
    settings = profile.settings_as(OidcSettings)
    place, file, variable = settings.identity_source, settings.identity_token_file, settings.identity_token_variable
    if place == "file" and file is not None and file.is_file():
        return _found(plugin.shown_path(str(file)) or "the file in identity_token_file", plugin.file_version(file))
    if place == "variable" and variable is not None and os.environ.get(variable):
        return _found(f"environment variable {variable}", Secret(os.environ[variable]).fingerprint())
    # In a job without permission, too: the error says how to get it.
    if place == "github-actions" and (os.environ.get(REQUEST_TOKEN) or os.environ.get("GITHUB_ACTIONS")):
        return _found("GitHub Actions", None)
    return None


def _found(origin: str, version: str | None) -> Detected:
    return Detected(kind="identity token", origin=origin, version=version)


def read(profile: Profile) -> Secret:
    """Return the identity token; read anew each time, because its platform replaces it.

    Raises:
        LoginRequired: There is none.
        ConfigurationError: It is unreadable or malformed, or another user can change its file.
        TransientError: GitHub Actions cannot be reached now.
        ProviderRefused: GitHub Actions refuses.
    """
    settings = profile.settings_as(OidcSettings)
    place, file, variable = settings.identity_source, settings.identity_token_file, settings.identity_token_variable
    if place == "file" and file is not None:
        return plugin.identity_token_file(file, named_by="identity_token_file", code="oidc-invalid-identity-token")
    if place == "variable" and variable is not None and variable in os.environ:
        found = os.environ[variable].encode("utf-8", "surrogatepass")
        return plugin.identity_token(found, where=variable, code="oidc-invalid-identity-token")
    if place == "github-actions":
        return _from_github(profile, settings)
    raise LoginRequired(
        "there is no identity token to exchange",
        unsent=True,
        hint="Set identity_token_file or identity_token_variable, and see that the platform provides it",
        code="no-credential-found",
    )


def _from_github(profile: Profile, settings: OidcSettings) -> Secret:
    """Ask for a token with the audience that the issuer wants."""
    url, bearer = os.environ.get(REQUEST_URL), plugin.environment_secret(REQUEST_TOKEN, os.environ)
    if not url or bearer is None:
        raise LoginRequired(
            "this job of GitHub Actions gets no identity token",
            unsent=True,
            hint="Add permissions: id-token: write to the workflow",
            code="no-credential-found",
        )
    plugin.checked_url(url, allow_insecure_loopback=profile.allow_insecure_loopback, setting=REQUEST_URL)
    audience = settings.identity_token_audience or settings.issuer
    named = f"{'&' if '?' in url else '?'}audience={quote(audience, safe='')}" if audience else ""
    headers = {"Accept": "application/json", "Authorization": f"Bearer {bearer.reveal()}"}
    request = Request(method="GET", url=url + named, headers=headers)
    try:
        response = profile.with_hosts([urlsplit(url).hostname or ""]).send(request)
    except OutcomeUnknown:  # asking again is harmless
        response = None
    if response is None:
        raise TransientError("GitHub Actions did not answer", hint="Try again", code="oidc-identity-token-unavailable")
    plugin.raise_for_status(request, response, clock=profile.clock, hint="Check the permissions of the workflow")
    value = plugin.parse_json_object(response.body).get("value")
    found = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else b""
    return plugin.identity_token(found, where="the response of GitHub Actions", code="oidc-invalid-identity-token")
