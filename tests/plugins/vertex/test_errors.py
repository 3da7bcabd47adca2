"""What is made of google-auth's failures."""

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
    ("body", "kind", "error"),
    [
        (b'{"error": "invalid_grant"}', "user", LoginRequired),
        (b'{"error": "invalid_grant", "error_subtype": "invalid_rapt"}', "user", LoginRequired),
        (b'{"error": "invalid_grant"}', "service account", ProviderRefused),
        (b'{"error": "invalid_grant"}', "federated identity", ProviderRefused),
        (b'{"error": "unauthorized_client"}', "user", ProviderRefused),
        (b'{"error": {"code": 403, "status": "PERMISSION_DENIED"}}', "user", ProviderRefused),
        (b'{"error": {"code": 403}}', "user", ProviderRefused),
        (b"canary", "user", ProviderRefused),
        (b"[]", "user", ProviderRefused),
    ],
)
def test_what_a_refusal_means(body: bytes, kind: Kind, error: type[Exception]) -> None:
    found = translate_failure(after(body), attempt(kind))
    assert type(found) is error
    assert "canary" not in str(found)


def test_no_answer_at_all_is_this_machine_s_fault() -> None:
    found = translate_failure(Transport(clock=SYSTEM, hosts=()), attempt())
    assert isinstance(found, ProviderRefused)
    assert "could not be had or used" in str(found)


def test_a_success_that_is_none() -> None:
    assert isinstance(translate_failure(after(b"{}", 200), attempt()), ProtocolError)


@pytest.mark.parametrize(
    ("behind", "said"), [(None, False), (30.0, False), (61.0, "61 s behind"), (-61.0, "61 s ahead of")]
)
def test_clocks_that_differ_are_told_of(behind: float | None, said: str | bool) -> None:
    text = str(translate_failure(after(b'{"error": "invalid_grant"}', behind=behind), attempt("service account")))
    assert ("the clock of this machine is" in text) is bool(said)
    assert not said or str(said) in text


def test_who_may_not_act_as_whom() -> None:
    body = b'{"error": {"code": 404, "status": "NOT_FOUND"}}'
    text = str(translate_failure(after(body, 404), attempt(impersonated="robot@example.com")))
    assert text.startswith("ada@example.com may not act as robot@example.com: NOT_FOUND (status 404). It needs")
