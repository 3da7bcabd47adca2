"""The identity is read from the token response and the profile endpoint, cleaned, and not lost needlessly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey.errors import ProtocolError
from freshkey.model.exchange import Response
from freshkey.model.identity import Identity
from freshkey_claude_oauth.identity import MAX_TEXT, from_profile, from_token, read_profile
from freshkey_testing import Account


ADA = Account()
KNOWN = Identity(
    account=ADA.id,
    email=ADA.email,
    organization=ADA.organization_id,
    extra={"organization_name": ADA.organization, "plan": "max", "rate_limit_tier": "default_claude_max_5x"},
)


def test_token_response_contains_account_and_organization() -> None:
    assert from_token(ADA.token_fields()) == Identity(
        account=ADA.id, email=ADA.email, organization=ADA.organization_id, extra={"organization_name": ADA.organization}
    )


def test_token_response_without_a_plan_keeps_it() -> None:
    assert from_token(ADA.token_fields(), KNOWN) == KNOWN
    assert from_token({}, KNOWN) == KNOWN


def test_label_is_the_organization_if_no_account_is_known() -> None:
    named = {"organization": {"name": "Example Works"}}
    assert from_token(named).label == "Example Works"
    assert from_token({**named, "account": {"uuid": "a-1"}}, from_token(named)).label == "a-1"
    assert from_token(ADA.token_fields(), from_token(named)).label == ADA.email


def test_different_account_or_organization_inherits_nothing() -> None:
    other = Account(email="bob@example.com", id="another", organization_id="another-org")
    assert from_token(other.token_fields(), KNOWN).extra.get("plan") is None
    assert from_token({"organization": {"uuid": "another-org"}}, KNOWN) == Identity(organization="another-org")


def test_profile_contains_plan_and_tier() -> None:
    assert from_profile(ADA.profile(), from_token(ADA.token_fields())) == KNOWN


@pytest.mark.parametrize(
    ("kind", "plan"),
    [
        ("claude_max", "max"),
        ("claude_pro", "pro"),
        ("claude_team", "team"),
        ("claude_enterprise", "enterprise"),
        ("api_individual", None),
        (None, None),
        (5, None),
    ],
)
def test_plans_have_short_names_and_an_unknown_plan_is_removed(kind: object, plan: str | None) -> None:
    assert from_profile({"organization": {"organization_type": kind}}, KNOWN).extra.get("plan") == plan


def test_profile_without_a_plan_keeps_it() -> None:
    assert from_profile({"account": {"email": "new@example.com"}, "organization": None}, KNOWN).extra["plan"] == "max"


@pytest.mark.parametrize("text", ["a\x1b[31mb", "a\r\nb", "a\x00b", "a\u202eb", "a\ud800b", "a\u2028b"])
def test_display_text_cannot_move_a_cursor_or_break_an_encoding(text: str) -> None:
    name = from_token({"organization": {"name": text}}).extra.get("organization_name")
    assert name is not None
    assert name.isprintable()
    assert name.encode()


def test_display_text_is_short() -> None:
    assert from_token({"account": {"uuid": "x" * 5000}}).account == "x" * MAX_TEXT


@given(
    st.dictionaries(
        st.sampled_from(["account", "organization"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text("ab \x1b\u202eé", max_size=5),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(st.sampled_from(["uuid", "email", "name", "organization_type"]), inner, max_size=3)
            ),
            max_leaves=6,
        ),
    )
)
def test_any_server_response_can_be_read(facts: dict[str, object]) -> None:
    for identity in (from_token(facts), from_profile(facts, KNOWN)):
        assert isinstance(identity, Identity)


@pytest.mark.parametrize("body", [b"<html>", b'{"account": "ada"}', b'{"organization": []}', b"[]"])
def test_profile_with_an_unexpected_structure_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_profile(Response(status=200, headers={}, body=body), KNOWN)
