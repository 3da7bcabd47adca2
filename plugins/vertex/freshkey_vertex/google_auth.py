"""From a credentials file to google-auth's object for it, type by type.

google-auth's own loaders are not used: they warn of themselves, start ``gcloud`` to find a project, ask the resource
manager, and ignore ``token_uri`` of a user's file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freshkey.errors import ConfigurationError, frameless
from freshkey.plugin import Secret
from freshkey_vertex.credentials_file import EXECUTABLE_VARIABLE, CredentialsFile, Unloadable, read_bytes
from freshkey_vertex.impersonation import impersonated, impersonation_target
from freshkey_vertex.settings import TOKEN_URL, VertexSettings


if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.auth.external_account import Credentials as ExternalAccount


@frameless
def load(file: CredentialsFile, settings: VertexSettings, environ: Mapping[str, str]) -> Credentials:
    """Return google-auth's credentials for a file; nothing is sent yet.

    Args:
        file: The file.
        settings: For the scopes.
        environ: Says whether programs may be run.

    Raises:
        Unloadable: The file cannot be used; a private key in it may be broken.
        ConfigurationError: It names a program, and running it was not allowed; a file that cannot be read; or a
            client certificate.
    """
    try:
        return _load(file.type, file.info, settings, environ)
    except (ValueError, TypeError, KeyError, AttributeError):
        # Their texts can quote the file; what is missing was said before, so this is about what is written there.
        flaw = f"{file.path}, of the type {file.type}, cannot be used: something in it is not what it should be"
    except ConfigurationError as error:
        error.message = f"{file.path}: {error.message}"
        raise
    raise Unloadable(flaw, hint="Download it again, or sign in again with the tool that wrote it")


def token_credentials(token: Secret) -> Credentials:
    """Return google-auth's credentials for an access token that is there already."""
    from google.oauth2 import credentials

    return credentials.Credentials(token=token.reveal())


def _load(kind: str, info: Mapping[str, Any], settings: VertexSettings, environ: Mapping[str, str]) -> Credentials:
    if kind == "service_account":
        return _service_account(info, settings)
    if kind == "authorized_user":
        return _user(info)
    if kind == "external_account_authorized_user":
        from google.auth import external_account_authorized_user

        user: Credentials = external_account_authorized_user.Credentials.from_info(dict(info))
        return user
    if kind == "external_account":
        return _external_account(info, settings, environ)
    source = _load(info["source_credentials"]["type"], info["source_credentials"], settings, environ)
    url = info["service_account_impersonation_url"]
    return impersonated(
        source, impersonation_target(url), settings, delegates=tuple(info.get("delegates") or ()), url=url
    )


def _service_account(info: Mapping[str, Any], settings: VertexSettings) -> Credentials:
    from google.oauth2 import service_account

    _ensure_rsa(info["private_key"])
    account: Credentials = service_account.Credentials.from_service_account_info(info, scopes=list(settings.scopes))
    return account


def _ensure_rsa(pem: str) -> None:
    """Say what is wrong with a private key; google-auth would fail on another kind only when it signs.

    Raises:
        Unloadable: It is no RSA key in PEM.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    flaw = "the private key in it is of another type than RSA, which Google takes no assertions with"
    try:
        if isinstance(load_pem_private_key(pem.encode(), password=None), RSAPrivateKey):
            return
    except (ValueError, TypeError, UnsupportedAlgorithm):
        flaw = "the private key in it cannot be read: it is cut off, changed or encrypted"
    raise Unloadable(flaw, hint="Create a new key for the service account and download it")


def _user(info: Mapping[str, Any]) -> Credentials:
    from google.oauth2 import credentials

    return credentials.Credentials(
        token=None,
        refresh_token=info["refresh_token"],
        token_uri=info.get("token_uri") or TOKEN_URL,
        client_id=info["client_id"],
        client_secret=info["client_secret"],
        rapt_token=info.get("rapt_token"),
    )


def _external_account(info: Mapping[str, Any], settings: VertexSettings, environ: Mapping[str, str]) -> Credentials:
    from google.auth import aws, identity_pool, pluggable

    source = info["credential_source"]
    if "certificate" in source:
        # google-auth would read whatever it names at once, a pipe as well.
        raise ConfigurationError("it identifies itself by client certificate", hint="That is not supported")
    kind: type[ExternalAccount] = identity_pool.Credentials
    if "executable" in source:
        kind = pluggable.Credentials
        if environ.get(EXECUTABLE_VARIABLE) != "1":
            raise ConfigurationError(
                "it names a program that prints tokens, and running it was not allowed",
                hint=f"Look at it, then set {EXECUTABLE_VARIABLE}=1",
            )
    elif str(source.get("environment_id", "")).startswith("aws"):
        kind = aws.Credentials
    _ensure_readable(source)
    workload: Credentials = kind.from_info(dict(info), scopes=list(settings.scopes))
    return workload


def _ensure_readable(source: Mapping[str, Any]) -> None:
    """Say which file a subject token is missing from; google-auth would wait for ever at a pipe, or read a device.

    Raises:
        ConfigurationError: It cannot be read, or is no regular file of a sensible size.
    """
    if not isinstance(source.get("file"), str):
        return
    try:
        read_bytes(Path(source["file"]))
    except Unloadable as error:
        flaw = f"the identity token in {error.message}"
    else:
        return
    raise ConfigurationError(flaw, hint="The platform that runs this puts it there")
