"""Checks of the credentials that a provider returns."""

from __future__ import annotations

import attrs
import pytest

from freshkey import Credential, Description
from freshkey._stores.records.codec import Codec
from freshkey_testing.provider_contract.kit import ProviderKit


class Credentials(ProviderKit):
    """Checks of credential classes and formats."""

    def test_credentials_are_frozen(self, found: list[Credential]) -> None:
        """A credential never changes: declare its class with ``attrs.frozen``; a renewal creates a new one."""
        for credential in found:
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                credential.source = "changed"  # type: ignore[misc]  # what the test tries

    def test_a_credential_survives_a_store(self, description: Description, held: Credential) -> None:
        """A credential read back from a store equals the one written, in every stored field.

        Use only types that the codec supports (text, numbers, booleans, tuples, `Secret`, attrs classes), list the
        class in ``formats``, and mark fields that cannot be stored with ``metadata={"stored": False}``.
        """
        codec = Codec(description.formats)
        again = codec.decode(codec.encode(held))
        assert type(again) is type(held), f"{type(held).__name__} is read back as {type(again).__name__}"
        changed = [
            field.name
            for field in attrs.fields(type(held))
            if field.metadata.get("stored", True) and getattr(again, field.name) != getattr(held, field.name)
        ]
        assert not changed, f"these fields change in a store: {', '.join(changed)}"

    def test_a_credential_belongs_to_its_profile(self, description: Description, held: Credential) -> None:
        """``Description.binding`` and ``Credential.binding`` have the same value for every name they share.

        Otherwise the core assumes that the stored credential is for another server, and asks for a sign-in every time.
        """
        ours, theirs = dict(description.binding), dict(held.binding)
        odd = [name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]]
        assert not odd, f"profile and credential disagree about {', '.join(sorted(odd))}"
