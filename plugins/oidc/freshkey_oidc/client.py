"""The OAuth client of a profile, and how it authenticates."""

from __future__ import annotations

import os

from freshkey import oauth
from freshkey.errors import LoginRequired, ProviderRefused
from freshkey.plugin import Profile, Secret, required_variable, secret_file, shown_path
from freshkey_oidc.issuer import setup
from freshkey_oidc.settings import Authentication, OidcSettings


_MISSING = "oidc-client-secret-missing"


def client(profile: Profile, server: oauth.Server, *, method: str | None = None) -> oauth.OAuthClient:
    """Return the client of a profile.

    Args:
        profile: The profile.
        server: Its server.
        method: How the client authenticates; None finds out.

    Raises:
        ProviderRefused: client_id is not set.
        LoginRequired: Its secret or key is not there.
        ConfigurationError: Its secret or key cannot be read or used.
    """
    settings = profile.settings_as(OidcSettings)
    if not settings.client_id:
        raise ProviderRefused("client_id is not set", hint=setup(profile), code="oidc-client-id-missing")
    authentication = _authentication(settings, method or authenticates_by(settings, server))
    return oauth.OAuthClient.of(
        profile, server, settings.client_id, authentication=authentication, extra=settings.token_parameters
    )


def authenticates_by(settings: OidcSettings, server: oauth.Server) -> Authentication:
    """Return how the client authenticates: as the settings say, or as fits what they have and the server takes."""
    if settings.client_authentication is not None:
        return settings.client_authentication
    if settings.private_key_file is not None:
        return "private_key_jwt"
    if not settings.confidential:
        return "none"
    # Basic is meant if the metadata do not say (RFC 8414, section 2).
    only_post = {"client_secret_basic", "client_secret_post"}.intersection(server.authentication_methods)
    return "client_secret_post" if only_post == {"client_secret_post"} else "client_secret_basic"


def missing_secret(profile: Profile) -> str | None:
    """Return what the client lacks to authenticate, as a hint; None if nothing is missing. Reads no file."""
    settings = profile.settings_as(OidcSettings)
    if settings.client_secret_variable and not os.environ.get(settings.client_secret_variable):
        return f"Set {settings.client_secret_variable} to the client secret"
    files = {"secret": settings.client_secret_file, "private key (PEM)": settings.private_key_file}
    for what, file in files.items():
        if file is not None and not file.exists():
            return f"Write the client's {what} to {shown_path(str(file)) or 'the file in the settings'}"
    hint = f"Set client_secret_variable or private_key_file under [profiles.{profile.name}] in config.toml"
    return None if settings.confidential else hint


def _authentication(settings: OidcSettings, method: str) -> oauth.ClientAuthentication:
    if method == "none":
        return oauth.PublicClient()
    if method == "private_key_jwt":
        if settings.private_key_file is None:
            raise _missing("private_key_file")
        thumbprint = settings.certificate_thumbprint
        return oauth.PrivateKeyJwt(
            secret_file(settings.private_key_file, named_by="private_key_file", code=_MISSING),
            settings.key_algorithm,
            key_id=settings.key_id,
            header={} if thumbprint is None else {"x5t#S256": thumbprint},
            audience=settings.assertion_audience,
        )
    secret = _secret(settings)
    if method == "client_secret_jwt":
        return oauth.ClientSecretJwt(secret, audience=settings.assertion_audience)
    return oauth.ClientSecretPost(secret) if method == "client_secret_post" else oauth.ClientSecretBasic(secret)


def _secret(settings: OidcSettings) -> Secret:
    if settings.client_secret_variable is not None:
        return required_variable(settings.client_secret_variable, os.environ, code=_MISSING)
    if settings.client_secret_file is not None:
        return secret_file(settings.client_secret_file, named_by="client_secret_file", code=_MISSING)
    if not settings.client_secret:
        raise _missing("client_secret_variable")
    return settings.client_secret


def _missing(setting: str) -> LoginRequired:
    return LoginRequired(
        "there is nothing that the client can authenticate with",
        unsent=True,
        hint=f"Set {setting}, or another client_authentication",
        code="oidc-client-secret-missing",
    )
