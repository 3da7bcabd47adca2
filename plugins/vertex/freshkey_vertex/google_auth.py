"""Creates google-auth's credentials object for each type of credentials file.

google-auth's own loaders are not used: they emit warnings about their own use, run ``gcloud`` to find a project, query
the Resource Manager API, and ignore ``token_uri`` in a user's file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from freshkey.errors import ConfigurationError, frameless
from freshkey.plugin import Secret
from freshkey_vertex.credentials_file import EXECUTABLE_VARIABLE, CredentialsFile, Unloadable
from freshkey_vertex.impersonation import impersonated, impersonation_target
from freshkey_vertex.settings import TOKEN_URL, VertexSettings


if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.auth.external_account import Credentials as ExternalAccount


_ESCAPED_NEWLINE: Final = re.compile(r"(?<!\\)\\++(?:r\\++)?n|(%0[Dd])?%0[Aa]")


@frameless
def load(file: CredentialsFile, settings: VertexSettings, environ: Mapping[str, str]) -> Credentials:
    """Return google-auth's credentials for a file, without sending anything.

    Args:
        file: The file.
        settings: Provides the scopes.
        environ: Environment variables, which decide whether programs may run.

    Raises:
        Unloadable: The file cannot be used, for example because its private key is invalid.
        ConfigurationError: It requires a program that is not allowed to run, an identity token file that cannot be
            read, or a client certificate.
    """
    try:
        return _load(file.type, file.info, settings, environ)
    except (ValueError, TypeError, KeyError, AttributeError):
        # These messages can quote the file. Missing members were reported earlier, so a value must be invalid.
        flaw = f"{file.path} (type {file.type}) contains an invalid value"
    except ConfigurationError as error:
        error.message = f"{file.path}: {error.message}"
        raise
    raise Unloadable(flaw, hint="Download it again, or sign in again with the tool that wrote it")


def token_credentials(token: Secret) -> Credentials:
    """Return google-auth's credentials for an existing access token."""
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

    # A key that went through variables, templates or URLs often has something else for each newline, or too many.
    lines = _ESCAPED_NEWLINE.sub("\n", info["private_key"]).split("\n")
    pem = "\n".join(line.strip() for line in lines if line.strip())
    _ensure_rsa(pem)
    repaired = {**info, "private_key": pem}
    account: Credentials = service_account.Credentials.from_service_account_info(repaired, scopes=list(settings.scopes))
    return account


def _ensure_rsa(pem: str) -> None:
    """Check a private key early: google-auth would fail on other key types only when it signs.

    Raises:
        Unloadable: It is not an RSA key in PEM format.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    flaw = "the private key is not an RSA key; Google accepts only RSA"
    try:
        if isinstance(load_pem_private_key(pem.encode(), password=None), RSAPrivateKey):
            return
    except (ValueError, TypeError, UnsupportedAlgorithm):
        flaw = f"the private key {_flaw_of_pem(pem)}"
    raise Unloadable(flaw, hint="Create a new key for the service account and download it")


def _flaw_of_pem(pem: str) -> str:
    if "-----BEGIN " not in pem:
        return "has no line -----BEGIN PRIVATE KEY-----"
    return "has /n in place of line breaks" if "-----/n" in pem else "is truncated, corrupt, or encrypted"


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
    from google.auth import aws

    from freshkey_vertex.aws_supplier import ensure_metadata_enabled, needs_botocore
    from freshkey_vertex.executable import ProgramCredentials
    from freshkey_vertex.federation import AwsCredentials, TokenCredentials

    source = info["credential_source"]
    if "certificate" in source:
        # google-auth would immediately read any configured file, even a pipe.
        raise ConfigurationError(
            "client certificates are not supported",
            hint="Use a credential_source with a file, URL or program",
            code="vertex-unsupported-credentials",
        )
    kind: type[ExternalAccount] = TokenCredentials
    if "executable" in source:
        kind = ProgramCredentials
        if environ.get(EXECUTABLE_VARIABLE) != "1":
            raise ConfigurationError(
                "the program that prints identity tokens is not allowed to run",
                hint=f"Review the program in the file, then set {EXECUTABLE_VARIABLE}=1",
                code="vertex-executable-not-allowed",
            )
    elif str(source.get("environment_id", "")).startswith("aws"):
        if needs_botocore(environ):
            kind = AwsCredentials
        else:
            ensure_metadata_enabled(source, environ)
            kind = aws.Credentials
    # google-auth reads nothing here, but checks the form of the source.
    workload: ExternalAccount = kind.from_info(dict(info), scopes=list(settings.scopes))
    return workload
