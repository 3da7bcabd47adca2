"""A misspelt word is met with the one that was meant."""

from __future__ import annotations

from freshkey._suggestion import suggestion


def test_suggestion_names_what_was_meant_or_everything() -> None:
    assert suggestion("client_di", {"client_id", "issuer"}) == "Did you mean 'client_id'?"
    assert suggestion("zzz", {"client_id", "issuer"}) == "Known names: client_id, issuer"
    assert suggestion("zzz", set()) == "Known names: none"
