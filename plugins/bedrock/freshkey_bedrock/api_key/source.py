"""A Bedrock API key: from ``AWS_BEARER_TOKEN_BEDROCK``, or entered by the user for freshkey to store."""

from __future__ import annotations

import os
from typing import Final

from freshkey.errors import ConfigurationError, LoginRequired, ProviderRefused, sign_in_command
from freshkey.plugin import (
    MAX_LINE,
    Detected,
    Interaction,
    Profile,
    Secret,
    environment_secret,
    is_token,
    looks_like,
    required_variable,
)
from freshkey_bedrock.api_key.parse import Term, term_of
from freshkey_bedrock.api_key.shape import other_than_entered_key, other_than_key
from freshkey_bedrock.formats import BedrockApiKey
from freshkey_bedrock.region import known_region


BEARER_KEY: Final = "bearer-key"
STORED_KEY: Final = "stored-api-key"
VARIABLE: Final = "AWS_BEARER_TOKEN_BEDROCK"
_IN_VARIABLE: Final = f"the key in {VARIABLE}"


def detect(profile: Profile) -> Detected | None:
    """Report a key in the environment; an empty variable counts as unset."""
    secret = environment_secret(VARIABLE, os.environ)
    if secret is None:
        return None
    term = _term(secret, profile, _IN_VARIABLE)
    return Detected(
        kind="short-term Bedrock API key" if term else "Bedrock API key",
        origin=f"environment variable {VARIABLE}",
        expires_at=term.ends if term else None,
        last_four=None if term else secret.last_four(),
        fingerprint=secret.fingerprint(),
        version=secret.fingerprint(),
    )


def from_environment(profile: Profile) -> BedrockApiKey:
    """Return the key in the environment.

    Raises:
        LoginRequired: There is none, or it has expired.
        ConfigurationError: It is not a usable key.
    """
    return _credential(required_variable(VARIABLE, os.environ), profile, _IN_VARIABLE)


def from_user(profile: Profile, interaction: Interaction) -> BedrockApiKey:
    """Prompt for a key, without echo.

    Raises:
        LoginRequired: No user can be prompted, nothing was entered, or the key has expired.
        ProviderRefused: The input is not a valid key.
    """
    entered = interaction.read_secret("Paste your Bedrock API key:")
    if not entered:
        hint = f"Run: {sign_in_command(profile.word)} --api-key, then paste the key, or pipe it to standard input"
        raise LoginRequired("no API key was entered", profile=profile.name, hint=hint, code="no-key-entered")
    shape = looks_like(entered.reveal()) or other_than_entered_key(entered.reveal())
    flaw = "it is too long or contains invalid characters" if shape is None else f"it looks like {shape}"
    if shape is None and is_token(entered.reveal(), MAX_LINE):
        try:
            return _credential(entered, profile, "the key")
        except ConfigurationError as error:
            flaw = error.message
    message = f"the input is not a Bedrock API key: {flaw}"
    raise ProviderRefused(
        message,
        profile=profile.name,
        hint="Copy only the key, in one piece, without quotes, spaces or line breaks",
        code="bedrock-invalid-api-key",
    )


def _credential(secret: Secret, profile: Profile, what: str) -> BedrockApiKey:
    obtained, term = profile.clock.now(), _term(secret, profile, what)
    left = term.ends.timestamp() - obtained.wall if term else None
    if term and left is not None and left <= 0:
        message = f"{what} expired at {term.ends:%Y-%m-%d %H:%M:%S} UTC"
        raise LoginRequired(message, profile=profile.name, hint="Create a new one", code="bedrock-api-key-expired")
    region = (term.region if term else None) or known_region(profile)
    return BedrockApiKey(obtained=obtained, lifetime=left, key=secret, region=region)


def _term(secret: Secret, profile: Profile, what: str) -> Term | None:
    shape = other_than_key(secret.reveal())
    if shape is not None:
        hint = "Set or enter only the key, or use AWS credentials as they are, which need no API key"
        message = f"{what} looks like {shape}"
        raise ConfigurationError(message, profile=profile.name, hint=hint, code="bedrock-invalid-api-key")
    try:
        return term_of(secret)
    except ConfigurationError as error:
        error.profile = profile.name
        raise
