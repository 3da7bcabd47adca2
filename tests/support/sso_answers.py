"""Arbitrary responses of IAM Identity Center, and how the code under test handles them."""

from __future__ import annotations

import traceback

from hypothesis import strategies as st

from freshkey.errors import FreshkeyError
from freshkey.model.exchange import Response
from freshkey.secret import Secret
from freshkey_bedrock.sso.oidc import IdentityCenter
from freshkey_bedrock.sso.session import Registration, SsoSession
from freshkey_testing import ManualClock
from freshkey_testing.secret_scan import assert_no_secret
from sending import scripted
from sso_double import START_URL


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
"""Any JSON value."""


def answering(body: bytes, status: int = 200) -> IdentityCenter:
    return IdentityCenter(
        oidc="https://oidc.example",
        start_url=START_URL,
        profile=scripted(lambda _: Response(status=status, headers={}, body=body), clock=ManualClock()),
    )


def session(client_secret: str = "s") -> SsoSession:
    client = Registration(client_id="c", client_secret=Secret(client_secret), expires=2e9)
    return SsoSession(
        start_url=START_URL,
        access_token=Secret("a"),
        expires=0.0,
        refresh_token=Secret("canary-refresh"),
        client=client,
    )


def outcome(call: object) -> None:
    """Run it; any exception other than a `FreshkeyError` fails the test."""
    assert callable(call)
    try:
        call()
    except FreshkeyError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        assert_no_secret(shown, ["canary-refresh"], "a traceback")
