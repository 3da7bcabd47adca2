"""What carries google-auth's requests, and what is made of its failures."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from freshkey._http.messages import Response
from freshkey.clock import SYSTEM
from freshkey.errors import ConfigurationError, LoginRequired, ProtocolError, ProviderRefused, TransientError
from freshkey.model.profile import Profile
from freshkey_vertex.failures import Attempt, failure
from freshkey_vertex.formats import GoogleCredential, Kind
from freshkey_vertex.hosts import transport
from freshkey_vertex.transport import Transport
from google_cloud import SUBJECT_TOKEN, TARGET, GoogleCloud


MakeProfile = Callable[..., Profile]


def test_an_answer_is_handed_on_and_remembered(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    carrier = transport(make_profile(), clock=SYSTEM)
    answer = carrier(cloud.at("/revoke"), method="POST", body="token=x", headers={"X-One": b"1"})  # type: ignore[dict-item]  # google-auth does so
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert b"invalid_token" in answer.data
    assert carrier.last is not None
    assert carrier.last.body == answer.data
    assert cloud.seen[0].headers["x-one"] == "1"
    assert carrier.behind is not None
    assert abs(carrier.behind) < 2


def test_the_clock_of_the_server_is_read(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    cloud.ahead = 3600
    carrier = transport(make_profile(), clock=SYSTEM)
    carrier(cloud.at("/revoke"), method="POST")
    assert carrier.behind is not None
    assert 3590 < carrier.behind < 3610


def test_hosts_that_nobody_named_are_not_called(make_profile: MakeProfile) -> None:
    with pytest.raises(ProviderRefused, match=r"example\.com is not a host that this provider may call"):
        transport(make_profile(), clock=SYSTEM)("https://example.com/")


def test_plain_http_is_for_metadata_servers(make_profile: MakeProfile) -> None:
    with pytest.raises(ConfigurationError, match="does not use https"):
        transport(make_profile(), clock=SYSTEM, hosts={"example.com"})("http://example.com/")


def test_a_client_certificate_is_not_supported(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    with pytest.raises(ProviderRefused, match="by client certificate is not supported"):
        transport(make_profile(), clock=SYSTEM)(cloud.at("/sts"), cert=("cert", "key"))
    assert cloud.seen == []


def test_a_server_s_wish_is_passed_on(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    cloud.failures["/token"] = [(429, {})] * 2
    for said, seconds in ((None, None), ("7", 7.0)):
        cloud.retry_after = said
        with pytest.raises(TransientError) as caught:
            transport(make_profile(), clock=SYSTEM)(cloud.at("/token"), method="POST")
        assert caught.value.retry_after == seconds


def test_no_library_logs_a_secret(
    cloud: GoogleCloud,
    make_profile: MakeProfile,
    write_file: Callable[..., Path],
    take: Callable[..., GoogleCredential],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    cloud.may_impersonate |= {("ada@example.com", TARGET), ("workload", TARGET)}
    subject = {"file": str(write_file(SUBJECT_TOKEN, "subject"))}
    impersonating = {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": cloud.impersonation_url(),
        "source_credentials": cloud.authorized_user(),
    }
    for members in (
        cloud.authorized_user(),
        cloud.service_account(),
        cloud.external_user(),
        cloud.external_account(subject, service_account_impersonation_url=cloud.impersonation_url()),
        impersonating,
    ):
        take(make_profile(credentials_file=write_file(members)), "credentials-file")
    take(make_profile(credentials_file=write_file(cloud.authorized_user()), impersonate=TARGET), "credentials-file")
    cloud.refresh_tokens.clear()
    with pytest.raises(LoginRequired):
        take(
            make_profile(credentials_file=write_file(cloud.external_user() | {"refresh_token": "canary"})),
            "credentials-file",
        )
    assert "127.0.0.1" in caplog.text
    assert "canary" not in caplog.text
    assert "PRIVATE" not in caplog.text


def attempt(kind: Kind = "user", impersonated: str | None = None) -> Attempt:
    return Attempt(kind=kind, whose="ada@example.com", impersonated=impersonated, sign_in="Run: x")


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
    found = failure(after(body), attempt(kind))
    assert type(found) is error
    assert "canary" not in str(found)


def test_no_answer_at_all_is_this_machine_s_fault() -> None:
    found = failure(Transport(clock=SYSTEM, hosts=()), attempt())
    assert isinstance(found, ProviderRefused)
    assert "could not be had or used" in str(found)


def test_a_success_that_is_none() -> None:
    assert isinstance(failure(after(b"{}", 200), attempt()), ProtocolError)


@pytest.mark.parametrize(
    ("behind", "said"), [(None, False), (30.0, False), (61.0, "61 s behind"), (-61.0, "61 s ahead of")]
)
def test_clocks_that_differ_are_told_of(behind: float | None, said: str | bool) -> None:
    text = str(failure(after(b'{"error": "invalid_grant"}', behind=behind), attempt("service account")))
    assert ("the clock of this machine is" in text) is bool(said)
    assert not said or str(said) in text


def test_who_may_not_act_as_whom() -> None:
    body = b'{"error": {"code": 404, "status": "NOT_FOUND"}}'
    text = str(failure(after(body, 404), attempt(impersonated="robot@example.com")))
    assert text.startswith("ada@example.com may not act as robot@example.com: NOT_FOUND (status 404). It needs")
