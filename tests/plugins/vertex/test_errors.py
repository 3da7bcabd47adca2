"""Translation of google-auth's failures."""

from __future__ import annotations

import pytest

from freshkey._http.messages import Response
from freshkey.clock import SYSTEM
from freshkey.errors import LoginRequired, ProtocolError, ProviderRefused
from freshkey_vertex.errors import Attempt, translate_failure
from freshkey_vertex.formats import Kind
from freshkey_vertex.transport import Transport


def attempt(kind: Kind = "user", impersonated: str | None = None) -> Attempt:
    return Attempt(kind=kind, display_name="ada@example.com", impersonated=impersonated, sign_in_hint="Run: x")


def after(body: bytes, status: int = 400, *, behind: float | None = 0.0) -> Transport:
    carrier = Transport(clock=SYSTEM, hosts=())
    carrier.last = Response(status=status, headers={}, body=body)
    carrier.behind = behind
    return carrier


@pytest.mark.parametrize(
    ("body", "kind", "error", "code"),
    [
        (b'{"error": "invalid_grant"}', "user", LoginRequired, "sign-in-ended"),
        (
            b'{"error": "invalid_grant", "error_subtype": "invalid_rapt"}',
            "user",
            LoginRequired,
            "vertex-reauthentication-required",
        ),
        (b'{"error": "invalid_grant"}', "service account", ProviderRefused, "vertex-credentials-refused"),
        (b'{"error": "invalid_grant"}', "federated identity", ProviderRefused, "vertex-credentials-refused"),
        (b'{"error": "unauthorized_client"}', "user", ProviderRefused, "vertex-credentials-refused"),
        (
            b'{"error": {"code": 403, "status": "PERMISSION_DENIED"}}',
            "user",
            ProviderRefused,
            "vertex-impersonation-refused",
        ),
        (b'{"error": {"code": 403}}', "user", ProviderRefused, "vertex-impersonation-refused"),
        (b"canary", "user", ProviderRefused, "vertex-credentials-refused"),
        (b"[]", "user", ProviderRefused, "vertex-credentials-refused"),
    ],
)
def test_refusals(body: bytes, kind: Kind, error: type[Exception], code: str) -> None:
    found = translate_failure(after(body), attempt(kind))
    assert (type(found), found.code) == (error, code)
    assert "canary" not in str(found)


def test_failure_without_a_response_is_a_missing_identity_token() -> None:
    found = translate_failure(Transport(clock=SYSTEM, hosts=()), attempt())
    assert (type(found), found.code) == (ProviderRefused, "vertex-no-identity-token")


def test_successful_response_that_google_auth_rejects() -> None:
    found = translate_failure(after(b"{}", 200), attempt())
    assert (type(found), found.code) == (ProtocolError, "invalid-response")


@pytest.mark.parametrize(
    ("behind", "code", "fact"),
    [
        (None, "vertex-credentials-refused", ""),
        (30.0, "vertex-credentials-refused", ""),
        (61.0, "vertex-clock-skew", "61 s behind"),
        (-61.0, "vertex-clock-skew", "61 s ahead of"),
    ],
)
def test_clock_skew_is_reported(behind: float | None, code: str, fact: str) -> None:
    found = translate_failure(after(b'{"error": "invalid_grant"}', behind=behind), attempt("service account"))
    assert found.code == code
    assert fact in found.message


def test_refused_impersonation_names_both_identities() -> None:
    body = b'{"error": {"code": 404, "status": "NOT_FOUND"}}'
    found = translate_failure(after(body, 404), attempt(impersonated="robot@example.com"))
    assert found.code == "vertex-impersonation-refused"
    assert found.message.startswith("ada@example.com ")
    assert "robot@example.com: NOT_FOUND (status 404)" in found.message
