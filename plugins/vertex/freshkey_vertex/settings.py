"""The settings of a profile; all have defaults, and they are validated on construction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from attrs import field, frozen

from freshkey.errors import ConfigurationError
from freshkey.plugin import Command, Profile, Secret, checked_url


AUTHORIZE_URL: Final = "https://accounts.google.com/o/oauth2/v2/auth"
"""Where the user signs in ("OAuth 2.0 for Mobile & Desktop Apps")."""

TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105  a URL
"""Exchanges codes, refresh tokens and service account assertions."""

REVOKE_URL: Final = "https://oauth2.googleapis.com/revoke"
"""Revokes a sign-in."""

TOKENINFO_URL: Final = "https://oauth2.googleapis.com/tokeninfo"
"""Reports whom an access token belongs to and whether it is still valid."""

IAM_URL: Final = "https://iamcredentials.googleapis.com"
"""Impersonates service accounts."""

SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
"""The scope that google-auth requests by default; IAM decides what it permits."""

IDENTITY_SCOPES: Final = ("openid", "https://www.googleapis.com/auth/userinfo.email")
"""Also requested at sign-in, to find out who signed in."""

MAX_IMPERSONATION: Final = 43200.0
"""Seconds: twelve hours; an organization policy must allow more than one hour."""

_ADDRESSES: Final = ("authorize_url", "token_url", "revoke_url", "tokeninfo_url", "iam_url")
_UNBOUND: Final[Mapping[str, object]] = MappingProxyType({"bound": False})
"""Marks settings with URLs to which no secret of a stored sign-in is sent."""

_PROJECT: Final = re.compile(r"(?:[a-z0-9.-]{1,63}:)?[a-z0-9][a-z0-9-]{0,62}")
_REGION: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_EMAIL: Final = re.compile(r"[0-9A-Za-z._%+-]{1,128}@[0-9A-Za-z.-]{1,253}")


@frozen(kw_only=True)
class VertexSettings:
    """The settings of a profile with ``provider = "vertex"``.

    Attributes:
        project: The Google Cloud project to use; a ``.freshkey.toml`` may set it.
        region: Region of the models; a ``.freshkey.toml`` may set it.
        quota_project: The project that pays for API calls.
        credentials_file: Absolute path of a credentials file, such as a service account key.
        impersonate: Email of a service account to impersonate, whatever the source.
        impersonate_delegates: Emails of intermediate service accounts, in order.
        impersonate_lifetime: Lifetime of its tokens, in seconds.
        on_google_cloud: Whether this machine has a metadata server: True uses it, False never does, None decides by
            environment variables.
        auth_refresh: A command that signs in again if a credentials file has expired; a project's command must
            be trusted.
        client_id: The OAuth client of your application, of the type "Desktop app"; none is shipped.
        client_secret: Its secret; Google issues one to desktop apps but does not consider it confidential.
        scopes: The scopes to request.
        authorize_parameters: Additional parameters of the authorization request, such as ``hd``.
        redirect_host: Host of the loopback redirect.
        redirect_path: Path of the loopback redirect.
        authorize_url: Authorization endpoint.
        token_url: Token endpoint.
        revoke_url: Revocation endpoint.
        tokeninfo_url: Reports whom a token belongs to.
        iam_url: IAM Credentials API, for impersonation.
    """

    project: str | None = field(default=None, metadata={"project": True})
    region: str | None = field(default=None, metadata={"project": True})
    quota_project: str | None = None
    credentials_file: Path | None = None
    impersonate: str | None = None
    impersonate_delegates: tuple[str, ...] = ()
    impersonate_lifetime: float = 3600.0
    on_google_cloud: bool | None = None
    auth_refresh: Command | None = None
    client_id: str | None = None
    client_secret: Secret | None = None
    scopes: tuple[str, ...] = field(default=SCOPES, metadata=_UNBOUND)  # their names are URLs
    authorize_parameters: Mapping[str, str] = field(factory=dict, metadata=_UNBOUND)
    redirect_host: Literal["localhost", "127.0.0.1", "::1"] = "127.0.0.1"
    redirect_path: str = "/"
    authorize_url: str = field(default=AUTHORIZE_URL, metadata=_UNBOUND)
    token_url: str = TOKEN_URL
    revoke_url: str = REVOKE_URL
    tokeninfo_url: str = TOKENINFO_URL
    iam_url: str = IAM_URL

    def __attrs_post_init__(self) -> None:
        for name in _ADDRESSES:
            if (url := getattr(self, name)) is not None:
                checked_url(url, allow_insecure_loopback=True, setting=name)
        for name in ("project", "quota_project"):
            if getattr(self, name) is not None:
                checked_project(getattr(self, name), name)
        if self.region is not None:
            checked_region(self.region, "region")
        for email in (*((self.impersonate,) if self.impersonate is not None else ()), *self.impersonate_delegates):
            if not _EMAIL.fullmatch(email):
                raise ConfigurationError(
                    "impersonate and impersonate_delegates must be email addresses of service accounts",
                    code="invalid-setting",
                )
        if not 0 < self.impersonate_lifetime <= MAX_IMPERSONATION:
            message = f"impersonate_lifetime must be between 0 and {MAX_IMPERSONATION:g} seconds"
            raise ConfigurationError(message, code="invalid-setting")
        if self.credentials_file is not None and not self.credentials_file.is_absolute():
            raise ConfigurationError(
                "credentials_file must be an absolute path", hint="Specify the full path", code="invalid-setting"
            )


def uses_adc(profile: Profile, source_id: str) -> bool:
    """Return whether a profile may use Application Default Credentials.

    A profile with its own OAuth client is meant for signing in. There, credentials that any program could use do not
    replace the sign-in, unless the profile names that source, or bare mode rules out a sign-in.
    See docs/decisions.md, "A Google profile with an OAuth client is meant for signing in".
    """
    client = profile.settings_as(VertexSettings).client_id
    return client is None or profile.bare or profile.source == source_id


def sign_in_setup(profile: Profile) -> str | None:
    """Return what to do before a sign-in is possible, or instead of it, as a hint; None if nothing is missing."""
    if profile.settings_as(VertexSettings).client_id:
        return None
    client = f'et client_id = "…" and client_secret = "…" under [profiles.{profile.name}] in config.toml'
    if profile.source is not None or "adc-gcloud" in profile.skip:
        return f"S{client}"  # the profile would not use what gcloud stores
    return f"Run: gcloud auth application-default login. Or s{client}"


def checked_project(name: str, origin: str) -> str:
    """Return a project ID or number, if it is safe in a header and a URL.

    Raises:
        ConfigurationError: It is not a valid ID or number.
    """
    if not _PROJECT.fullmatch(name):
        raise ConfigurationError(f"{origin} is not a valid Google Cloud project ID", code="vertex-invalid-project")
    return name


def checked_region(name: str, origin: str) -> str:
    """Return the name of a region.

    Raises:
        ConfigurationError: It is not a valid name.
    """
    if not _REGION.fullmatch(name):
        raise ConfigurationError(
            f"{origin} is not a valid region",
            hint='Use a name such as "us-east5" or "global"',
            code="vertex-invalid-region",
        )
    return name
