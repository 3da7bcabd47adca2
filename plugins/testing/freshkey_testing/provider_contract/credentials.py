"""Checks of the credentials that a provider hands out."""

from __future__ import annotations

import pickle

import attrs
import pytest

from freshkey import Credential, Description
from freshkey._stores.records.codec import Codec
from freshkey_testing.leaks import assert_no_secret, leaks, secrets_of
from freshkey_testing.provider_contract.kit import ProviderKit


class Credentials(ProviderKit):
    """The formats."""

    def test_credentials_are_frozen(self, found: list[Credential]) -> None:
        """A credential never changes: declare its class with ``attrs.frozen``; a renewal makes a new one."""
        for credential in found:
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                credential.source = "changed"  # type: ignore[misc]  # that is the point

    def test_credentials_show_no_secret(self, found: list[Credential]) -> None:
        """``repr``, ``str`` and pickles of a credential hold no secret: wrap each secret field in `Secret`."""
        for credential in found:
            secrets = secrets_of(credential)
            assert secrets, f"a {type(credential).__name__} holds no Secret: wrap what authorises in freshkey's Secret"
            assert_no_secret(
                f"{credential!r} {credential} {credential.identity!r}", secrets, "the text of a credential"
            )
            assert_no_secret(_pickled(credential), secrets, "a pickled credential")

    def test_what_authorises_is_wrapped(self, found: list[Credential]) -> None:
        """What travels in headers comes out of a `Secret` field, so that it is nowhere kept as a plain string."""
        for credential in found:
            values = " ".join(credential.headers("GET", "https://example.com/", b"").values())
            if credential.token is not None:
                assert leaks(values, {credential.token.reveal()}), "headers() does not carry the token"
                assert credential.token.reveal() in secrets_of(credential), "token is not one of the Secret fields"

    def test_requests_carry_no_refresh_token(self, found: list[Credential]) -> None:
        """Headers and environment authorise requests; what renews a credential never travels with them."""
        for credential in found:
            if credential.renewal_secret is None:
                continue
            secret = {credential.renewal_secret.reveal()}
            for name, values in (
                ("headers()", credential.headers("POST", "https://example.com/", b"{}")),
                ("environment()", credential.environment()),
            ):
                assert_no_secret(" ".join([*values, *values.values()]), secret, name)

    def test_exports_carry_no_refresh_token(self, description: Description, held: Credential) -> None:
        """What is written for another tool does not let that tool spend the refresh token."""
        secret = set() if held.renewal_secret is None else {held.renewal_secret.reveal()}
        for name, export in description.exports.items():
            assert_no_secret(export(held), secret, f"export format {name!r}")

    def test_a_credential_survives_a_store(self, description: Description, held: Credential) -> None:
        """What a store reads back equals what was written, in every field that is kept.

        Use only types that the codec knows (text, numbers, booleans, tuples, `Secret`, attrs classes), list the class
        in ``formats``, and mark what cannot be kept with ``metadata={"stored": False}``.
        """
        codec = Codec(description.formats)
        again = codec.decode(codec.encode(held))
        assert type(again) is type(held), f"a {type(held).__name__} comes back as a {type(again).__name__}"
        changed = [
            field.name
            for field in attrs.fields(type(held))
            if field.metadata.get("stored", True) and getattr(again, field.name) != getattr(held, field.name)
        ]
        assert not changed, f"these fields do not survive: {', '.join(changed)}"

    def test_a_credential_belongs_to_its_profile(self, description: Description, held: Credential) -> None:
        """``Description.binding`` and ``Credential.binding`` agree in every name that both have.

        Otherwise the core takes the stored credential for that of another server, and asks for a sign-in each time.
        """
        ours, theirs = dict(description.binding), dict(held.binding)
        odd = [name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]]
        assert not odd, f"profile and credential disagree about {', '.join(sorted(odd))}"


def _pickled(credential: Credential) -> str:
    try:
        return pickle.dumps(credential).decode("latin-1")
    except (TypeError, AttributeError, pickle.PicklingError):
        return ""
