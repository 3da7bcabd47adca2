"""Identities as Google reports them."""

from __future__ import annotations

import pytest

from freshkey.model.identity import Identity
from freshkey_vertex.identity import from_claims, from_id_token, with_project


@pytest.mark.parametrize("token", [None, 3, "", "a.b", "a.b.c", "e30.W10.x", "e30.!!!.x", "e30.eyJzdWIiOiA.x"])
def test_unreadable_id_token_is_ignored(token: object) -> None:
    known = Identity(email="ada@example.com", extra={"project": "p"})
    assert from_id_token({"id_token": token}, known) == known


def test_claims_that_are_not_displayable_text_are_left_out() -> None:
    known = Identity(display_name="p", extra={"project": "p"})
    assert from_claims({"sub": 3, "email": "a\nb", "hd": "x" * 300}, known) == known
    assert from_claims({"email": "ada@example.com"}, known) == Identity(email="ada@example.com", extra={"project": "p"})


def test_label_is_the_organization_or_project_if_no_account_is_known() -> None:
    known = with_project(Identity(), "p")
    assert known.label == "p"
    assert from_claims({"hd": "example.com"}, known).label == "example.com"
    assert from_claims({"sub": "1066", "hd": "example.com"}, known).label == "1066"
    assert from_claims({"sub": "1066", "email": "ada@example.com"}, known).label == "ada@example.com"
