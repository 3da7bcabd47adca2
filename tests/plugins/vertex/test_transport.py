"""The transport for google-auth's requests."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from free_port import free_port
from freshkey.errors import ConfigurationError, LoginRequired, ProviderRefused, TransientError
from freshkey.model.exchange import Response
from freshkey.model.profile import Profile
from freshkey_vertex.formats import GoogleCredential
from freshkey_vertex.transport import Transport, build_transport
from google_cloud import SUBJECT_TOKEN, TARGET, GoogleCloud
from raises_code import raises_code
from sending import scripted


MakeProfile = Callable[..., Profile]


def test_response_is_returned_and_recorded(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    carrier = build_transport(make_profile())
    answer = carrier(cloud.at("/revoke"), method="POST", body="token=x", headers={"X-One": b"1"})  # type: ignore[dict-item]  # google-auth does so
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert b"invalid_token" in answer.data
    assert carrier.last is not None
    assert carrier.last.body == answer.data
    assert cloud.seen[0].headers["x-one"] == "1"
    assert carrier.behind is not None
    assert abs(carrier.behind) < 2


def test_clock_skew_is_measured(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    cloud.ahead = 3600
    carrier = build_transport(make_profile())
    carrier(cloud.at("/revoke"), method="POST")
    assert carrier.behind is not None
    assert 3590 < carrier.behind < 3610


def test_hosts_that_are_not_allowed_are_not_called(make_profile: MakeProfile) -> None:
    with raises_code(ProviderRefused, "host-not-allowed") as caught:
        build_transport(make_profile())("https://example.com/")
    assert "example.com" in str(caught.value)


def test_http_is_allowed_only_for_metadata_servers(make_profile: MakeProfile) -> None:
    with raises_code(ConfigurationError, "invalid-url"):
        build_transport(make_profile(), hosts={"example.com"})("http://example.com/")


def test_client_certificates_are_not_supported(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    with raises_code(ProviderRefused, "vertex-unsupported-credentials"):
        build_transport(make_profile())(cloud.at("/sts"), cert=("cert", "key"))
    assert cloud.seen == []


def test_retry_after_is_passed_on(cloud: GoogleCloud, make_profile: MakeProfile) -> None:
    cloud.failures["/token"] = [(429, {})] * 2
    for said, seconds in ((None, None), ("7", 7.0)):
        cloud.retry_after = said
        with pytest.raises(TransientError) as caught:
            build_transport(make_profile())(cloud.at("/token"), method="POST")
        assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, {"code": 404, "status": "NOT_FOUND"}),
        (403, {"status": "PERMISSION_DENIED"}),
        *((403, code) for code in ("org_internal", "admin_policy_enforced", "deleted_client", "invalid_rapt")),
        *((403, code) for code in ("invalid_grant", "unauthorized_client", "invalid_target")),
        (400, "word_of_tomorrow"),
        (401, "word_of_tomorrow"),
    ],
)
def test_words_of_google_are_its_own_whatever_the_status(
    cloud: GoogleCloud, make_profile: MakeProfile, status: int, error: object
) -> None:
    cloud.failures["/token"] = [(status, {"error": error})]
    assert build_transport(make_profile())(cloud.at("/token"), method="POST").status == status


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((403, "Forbidden"), (404, None), (407, "invalid_grant"), (407, {"status": "PERMISSION_DENIED"})),
        *((403, "blocked"), (404, "route_missing"), (451, "x"), (403, "url_category_denied")),
        *((403, {"status": "blocked"}), (403, {"code": "blocked"}), (404, {"code": 404, "message": "no route"})),
    ],
)
def test_words_of_others_are_of_something_on_the_way(
    cloud: GoogleCloud, make_profile: MakeProfile, status: int, error: object
) -> None:
    cloud.failures["/token"] = [(status, {"error": error})]
    with raises_code(TransientError, "request-blocked"):
        build_transport(make_profile())(cloud.at("/token"), method="POST")


def test_place_of_an_identity_token_on_this_machine_may_not_have_started(
    cloud: GoogleCloud,
    make_profile: MakeProfile,
    write_file: Callable[..., Path],
    take: Callable[..., GoogleCredential],
) -> None:
    path = write_file(cloud.external_account({"url": cloud.at("/subject")}))
    cloud.failures["/subject"] = [(503, {})]
    with raises_code(TransientError, "server-unavailable") as caught:
        take(make_profile(credentials_file=path), "credentials-file")
    assert isinstance(caught.value, TransientError)
    assert (caught.value.local, caught.value.starting) == (True, True)
    cloud.failures["/sts"] = [(503, {})]
    other = write_file(cloud.external_account({"file": str(write_file(SUBJECT_TOKEN, "subject"))}))
    with raises_code(TransientError, "server-unavailable") as caught:
        take(make_profile(credentials_file=other), "credentials-file")
    assert isinstance(caught.value, TransientError)
    assert (caught.value.local, caught.value.starting) == (False, False)


def test_place_that_refuses_connections_may_not_have_started(make_profile: MakeProfile) -> None:
    absent = f"http://127.0.0.1:{free_port()}"
    for sources, starting in ([f"{absent}/subject"], True), ([], False):
        carrier = build_transport(make_profile(), hosts={"127.0.0.1"}, sources=sources)
        with raises_code(TransientError, "connection-failed") as caught:
            carrier(f"{absent}/subject/role")
        assert isinstance(caught.value, TransientError)
        assert caught.value.starting == starting


@pytest.mark.parametrize(
    ("body", "status", "of_the_source"),
    [
        (b'{"message": "canary"}', 401, True),
        (b'{"error": "invalid_request"}', 400, True),
        (b"<html>canary</html>", 403, False),
        (b"", 407, False),
    ],
)
def test_source_elsewhere_refuses_in_json(body: bytes, status: int, of_the_source: bool) -> None:
    answer = Response(status=status, headers={}, body=body)
    carrier = Transport(scripted(lambda _: answer), sources=["https://id.example/token"])
    url = "https://id.example/token?audience=x"
    if of_the_source:
        assert carrier(url).status == status
        assert carrier.of_source
    else:
        with pytest.raises(TransientError) as caught:
            carrier(url)
        assert "canary" not in str(caught.value)


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
    impersonated = {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": cloud.impersonation_url(),
        "source_credentials": cloud.authorized_user(),
    }
    for members in (
        cloud.authorized_user(),
        cloud.service_account(),
        cloud.external_user(),
        cloud.external_account(subject, service_account_impersonation_url=cloud.impersonation_url()),
        impersonated,
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
