"""Checks of the credentials that a provider hands out."""

from __future__ import annotations

import attrs
import pytest

from freshkey import Credential, Description
from freshkey._stores.records.codec import Codec
from freshkey_testing.provider_contract.kit import ProviderKit


class Credentials(ProviderKit):
    """The formats."""

    def test_credentials_are_frozen(self, found: list[Credential]) -> None:
        """A credential never changes: declare its class with ``attrs.frozen``; a renewal makes a new one."""
        for credential in found:
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                credential.source = "changed"  # type: ignore[misc]  # that is the point

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
