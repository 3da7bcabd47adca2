"""Impersonates a service account with other credentials (IAM Credentials API, ``generateAccessToken``)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from freshkey_vertex.credentials_file import Unloadable
from freshkey_vertex.settings import VertexSettings


if TYPE_CHECKING:
    from google.auth.credentials import Credentials

_TARGET: Final = re.compile(r"/serviceAccounts/([^/:]+):generateAccessToken\Z")


def impersonation_target(url: str) -> str:
    """Return the email of the service account in an impersonation URL of a credentials file.

    Raises:
        Unloadable: The URL contains none.
    """
    target = _TARGET.search(url)
    if target is None:
        raise Unloadable("service_account_impersonation_url contains no service account")
    return target[1]


def impersonated(
    source: Credentials, target: str, settings: VertexSettings, *, delegates: tuple[str, ...], url: str | None = None
) -> Credentials:
    """Return credentials that impersonate a service account.

    Args:
        source: The credentials to impersonate with.
        target: Email of the service account.
        settings: Provides scopes, lifetime and the URL of the service.
        delegates: Intermediate service accounts, as ``projects/-/serviceAccounts/EMAIL``.
        url: The complete URL, if a file specifies one.
    """
    from google.auth import impersonated_credentials

    address = f"{settings.iam_url.rstrip('/')}/v1/projects/-/serviceAccounts/{target}:generateAccessToken"
    return impersonated_credentials.Credentials(
        source_credentials=source,
        target_principal=target,
        target_scopes=list(settings.scopes),
        delegates=list(delegates),
        lifetime=int(settings.impersonate_lifetime),
        iam_endpoint_override=url or address,
    )
