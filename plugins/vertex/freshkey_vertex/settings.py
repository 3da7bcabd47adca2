"""The settings of a profile, each with a default, and checked as a whole when it is built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from attrs import Factory, field, frozen

from freshkey.errors import ConfigurationError
from freshkey.plugin import Command, Profile, Secret, checked_url


AUTHORIZE_URL: Final = "https://accounts.google.com/o/oauth2/v2/auth"
"""Where the user signs in ("OAuth 2.0 for Mobile & Desktop Apps")."""

TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105  an address
"""Where codes, refresh tokens and assertions of service accounts are exchanged."""

REVOKE_URL: Final = "https://oauth2.googleapis.com/revoke"
"""Where a sign-in is ended."""

TOKENINFO_URL: Final = "https://oauth2.googleapis.com/tokeninfo"
"""Tells whose an access token is and whether it still counts."""

IAM_URL: Final = "https://iamcredentials.googleapis.com"
"""Where service accounts are impersonated."""

SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
"""What google-auth's users ask for; IAM decides what it permits."""

IDENTITY_SCOPES: Final = ("openid", "https://www.googleapis.com/auth/userinfo.email")
"""Asked for at a sign-in as well, to tell whose it is."""

MAX_IMPERSONATION: Final = 43200.0
"""Seconds; twelve hours, where the organization's policy allows more than one."""

_ADDRESSES: Final = ("authorize_url", "token_url", "revoke_url", "tokeninfo_url", "iam_url")
_PROJECT: Final = re.compile(r"(?:[a-z0-9.-]{1,63}:)?[a-z0-9][a-z0-9-]{0,62}")
_REGION: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
_EMAIL: Final = re.compile(r"[0-9A-Za-z._%+-]{1,128}@[0-9A-Za-z.-]{1,253}")


@frozen(kw_only=True)
class VertexSettings:
    """The keys of a profile with ``provider = "vertex"``.

    Attributes:
        project: The project to use; a project's file may choose it.
        region: Where models run; a project's file may choose it.
        quota_project: The project that pays for API calls.
        credentials_file: Absolute path of a credentials file of the profile, such as a service account's key.
        impersonate: Email of a service account to act as, whatever the source.
        impersonate_delegates: Emails of the service accounts that lie between, in order.
        impersonate_lifetime: Seconds that its tokens are to live.
        on_google_cloud: This machine has a metadata server: True asks it, False never does, None believes the
            environment.
        auth_refresh: A command that signs in again where a credentials file has expired; a project's needs trust.
        client_id: The OAuth client of your application, of the type "Desktop app"; none is shipped.
        client_secret: Its secret, which Google hands out to desktop apps as well and does not count as one.
        scopes: What to ask for.
        authorize_parameters: Further parameters of the authorization request, such as ``hd``.
        redirect_host: Host of the loopback redirect.
        redirect_path: Path of the loopback redirect.
        authorize_url: Authorization endpoint.
        token_url: Token endpoint.
        revoke_url: Revocation endpoint.
        tokeninfo_url: Tells whose a token is.
        iam_url: Where service accounts are impersonated.
        allow_insecure_loopback: Accept http on 127.0.0.1, ::1 and localhost; for tests.
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
    scopes: tuple[str, ...] = SCOPES
    authorize_parameters: Mapping[str, str] = Factory(dict)
    redirect_host: Literal["localhost", "127.0.0.1", "::1"] = "127.0.0.1"
    redirect_path: str = "/"
    authorize_url: str = AUTHORIZE_URL
    token_url: str = TOKEN_URL
    revoke_url: str = REVOKE_URL
    tokeninfo_url: str = TOKENINFO_URL
    iam_url: str = IAM_URL
    allow_insecure_loopback: bool = False

    def __attrs_post_init__(self) -> None:
        for name in _ADDRESSES:
            if (url := getattr(self, name)) is not None:
                checked_url(url, allow_insecure_loopback=self.allow_insecure_loopback, setting=name)
        for name in ("project", "quota_project"):
            if getattr(self, name) is not None:
                checked_project(getattr(self, name), name)
        if self.region is not None:
            checked_region(self.region, "region")
        for email in (*((self.impersonate,) if self.impersonate is not None else ()), *self.impersonate_delegates):
            if not _EMAIL.fullmatch(email):
                raise ConfigurationError("impersonate and impersonate_delegates hold emails of service accounts")
        if not 0 < self.impersonate_lifetime <= MAX_IMPERSONATION:
            message = f"impersonate_lifetime must be between 0 and {MAX_IMPERSONATION:g} seconds"
            raise ConfigurationError(message)
        if self.credentials_file is not None and not self.credentials_file.is_absolute():
            raise ConfigurationError("credentials_file: it must be an absolute path", hint="Begin it with /")


def uses_adc(profile: Profile, source_id: str) -> bool:
    """Whether application default credentials are meant by a profile.

    One with an OAuth client of its own is to be signed in to: what lies around for every program is not used in its
    place, unless the profile names that source, or no user can sign in because only what is handed in counts.
    """
    client = profile.settings_as(VertexSettings).client_id
    return client is None or profile.bare or profile.source == source_id


def checked_project(name: str, origin: str) -> str:
    """Return a project's id or number, if it is one that can go into a header and an address.

    Raises:
        ConfigurationError: It is none.
    """
    if not _PROJECT.fullmatch(name):
        raise ConfigurationError(f"{origin} holds no id of a Google Cloud project")
    return name


def checked_region(name: str, origin: str) -> str:
    """Return the name of a region.

    Raises:
        ConfigurationError: It is none.
    """
    if not _REGION.fullmatch(name):
        raise ConfigurationError(f"{origin} holds no name of a region", hint='Such as "europe-west1" or "global"')
    return name
