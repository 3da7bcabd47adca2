"""Checks that no secret leaks: in the text of a credential, in requests, and in exports."""

from __future__ import annotations

import pickle
from contextlib import suppress

from freshkey import Credential, Description, Profile
from freshkey.errors import NotForHttp
from freshkey_testing.provider_contract.kit import ProviderKit
from freshkey_testing.secret_scan import assert_no_secret, leaks, secrets_of


class Leaks(ProviderKit):
    """Checks of places where a secret must not appear."""

    def test_credentials_show_no_secret(self, found: list[Credential]) -> None:
        """``repr``, ``str`` and pickles of a credential contain no secret: wrap each secret field in `Secret`."""
        for credential in found:
            secrets = secrets_of(credential)
            assert secrets, f"{type(credential).__name__} has no Secret field: wrap its token in freshkey.Secret"
            assert_no_secret(
                f"{credential!r} {credential} {credential.identity!r}", secrets, "the text of a credential"
            )
            assert_no_secret(_pickled(credential), secrets, "a pickled credential")

    def test_what_authorizes_is_wrapped(self, found: list[Credential]) -> None:
        """The token in the headers comes from a `Secret` field, so that it is never stored as a plain string."""
        for credential in found:
            values = " ".join(_headers(credential, "GET").values())
            if credential.token is not None:
                # One that is not for HTTP has none.
                assert (
                    not values or credential.token.reveal() in values or leaks(values, {credential.token.reveal()})
                ), "headers() does not carry the token"
                assert credential.token.reveal() in secrets_of(credential), "token is not one of the Secret fields"

    def test_requests_carry_no_refresh_token(self, found: list[Credential]) -> None:
        """Headers and environment authorize requests; they never contain the refresh token."""
        for credential in found:
            if credential.renewal_secret is None:
                continue
            secret = {credential.renewal_secret.reveal()}
            for name, values in (
                ("headers()", _headers(credential, "POST")),
                ("environment()", credential.environment()),
            ):
                assert_no_secret(" ".join([*values, *values.values()]), secret, name)

    def test_exports_carry_no_refresh_token(self, profile: Profile, description: Description, held: Credential) -> None:
        """An export for another tool does not contain the refresh token, so that the tool cannot use it."""
        secret = set() if held.renewal_secret is None else {held.renewal_secret.reveal()}
        for name, export in description.exports.items():
            assert_no_secret(export(profile, held), secret, f"export format {name!r}")


def _headers(credential: Credential, method: str) -> dict[str, str]:
    with suppress(NotForHttp):
        return credential.headers(method, "https://example.com/", b"{}")
    return {}


def _pickled(credential: Credential) -> str:
    try:
        return pickle.dumps(credential).decode("latin-1")
    except (TypeError, AttributeError, pickle.PicklingError):
        return ""
