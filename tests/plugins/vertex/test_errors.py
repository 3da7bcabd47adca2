"""Translation of google-auth's failures."""

from __future__ import annotations

import json
from typing import Final

import pytest

import example_provider
from freshkey.errors import LoginRequired, ProtocolError, ProviderRefused
from freshkey.model.exchange import Response
from freshkey_vertex.errors import Attempt, translate_failure
from freshkey_vertex.formats import Kind
from freshkey_vertex.transport import Transport


def attempt(kind: Kind = "user", impersonated: str | None = None) -> Attempt:
    return Attempt(kind=kind, display_name="ada@example.com", impersonated=impersonated, sign_in_hint="Run: x")


AWS = "Received invalid AWS response of type"
ENDED = "The security token included in the request is expired"
FEDERATED: Final = "federated identity"
REFUSED = "vertex-credentials-refused"
IAM = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/robot@example.com:generateAccessToken"


def after(body: bytes, status: int = 400, *, behind: float | None = 0.0, url: str = "") -> Transport:
    carrier = Transport(example_provider.profile())
    carrier.last_url = url
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
        (b'{"error": "invalid_rapt"}', "user", LoginRequired, "vertex-reauthentication-required"),
        (b'{"error": {"status": "PERMISSION_DENIED"}}', "user", ProviderRefused, "vertex-permission-denied"),
        (b'{"error": {"code": 403}}', "user", ProviderRefused, "vertex-permission-denied"),
        (b'{"error": {"code": 403}}', "federated identity", ProviderRefused, "vertex-permission-denied"),
        (b'{"error": {"status": "UNAUTHENTICATED"}}', "user", LoginRequired, "sign-in-ended"),
        (b"canary", "user", ProviderRefused, "vertex-credentials-refused"),
        (b"[]", "user", ProviderRefused, "vertex-credentials-refused"),
    ],
)
def test_refusals(body: bytes, kind: Kind, error: type[Exception], code: str) -> None:
    found = translate_failure(after(body), attempt(kind))
    assert (type(found), found.code) == (error, code)
    assert "canary" not in str(found)


def test_failure_without_a_response_is_a_missing_identity_token() -> None:
    found = translate_failure(Transport(example_provider.profile()), attempt())
    assert (type(found), found.code) == (ProviderRefused, "vertex-no-identity-token")
    assert found.found_here


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
    assert found.found_here == (code == "vertex-clock-skew")


def test_refused_impersonation_names_both_identities() -> None:
    body = b'{"error": {"code": 404, "status": "NOT_FOUND"}}'
    found = translate_failure(after(body, 404, url=IAM), attempt(impersonated="robot@example.com"))
    assert found.code == "vertex-impersonation-refused"
    assert found.message.startswith("ada@example.com ")
    assert "robot@example.com: NOT_FOUND (status 404)" in found.message


def test_user_without_permission_is_told_about_sign_in_and_quota_project_and_not_about_impersonation() -> None:
    body = b'{"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "canary"}}'
    found = translate_failure(after(body, 403, url="https://oauth2.googleapis.com/token"), attempt())
    assert found.hint == "Run: x; if that does not help, set quota_project to a project that the account may use"
    assert "PERMISSION_DENIED (status 403)" in found.message
    assert not {"canary", "impersonate", "serviceAccountTokenCreator"} & set(str(found).split())


def of_api(reason: object, service: object = "iamcredentials.googleapis.com") -> bytes:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": {"service": service}}
    return json.dumps({"error": {"code": 403, "status": "PERMISSION_DENIED", "details": [{}, info]}}).encode()


@pytest.mark.parametrize(
    ("reason", "code", "hint"),
    [
        ("SERVICE_DISABLED", "vertex-api-disabled", "gcloud services enable iamcredentials.googleapis.com"),
        ("BILLING_DISABLED", "vertex-api-disabled", "nable"),
        ("USER_PROJECT_DENIED", "vertex-quota-project-refused", "quota_project"),
        ("CONSUMER_INVALID", "vertex-quota-project-refused", "serviceUsageConsumer"),
        ("IAM_PERMISSION_DENIED", "vertex-impersonation-refused", "serviceAccountTokenCreator"),
        ("canary-1234567890", "vertex-impersonation-refused", "serviceAccountTokenCreator"),
        (["canary"], "vertex-impersonation-refused", "serviceAccountTokenCreator"),
    ],
)
def test_reason_of_a_google_api_determines_the_next_step(reason: object, code: str, hint: str) -> None:
    found = translate_failure(after(of_api(reason), 403, url=IAM), attempt(impersonated="robot@example.com"))
    assert found.code == code
    assert hint in str(found.hint)
    assert "canary" not in str(found)


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("SECURITY_POLICY_VIOLATED", "administrator of the organization"),
        ("LOCATION_POLICY_VIOLATED", "administrator of the organization"),
        ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "auth/cloud-platform. Run: x"),
    ],
)
def test_role_is_not_asked_for_if_it_would_not_help(reason: str, hint: str) -> None:
    found = translate_failure(after(of_api(reason), 403, url=IAM), attempt(impersonated="robot@example.com"))
    assert found.code == "vertex-permission-denied"
    assert hint in str(found.hint)


@pytest.mark.parametrize(
    ("message", "details"),
    [
        ("canary", [{}, {"violations": [3, {"type": 3}, {"type": "VPC_SERVICE_CONTROLS", "description": "canary"}]}]),
        ("Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: canary", None),
        ("vpcServiceControlsUniqueIdentifier: canary", [{"violations": "canary"}, {"violations": [{"type": ["x"]}]}]),
    ],
)
def test_perimeter_of_the_organization_is_told_from_a_missing_role(message: str, details: object) -> None:
    error = {"code": 403, "message": message, "status": "PERMISSION_DENIED", "details": details}
    found = translate_failure(after(json.dumps({"error": error}).encode(), 403, url=IAM), attempt(impersonated="r@x"))
    assert found.code == "vertex-permission-denied"
    assert "administrator of the organization" in str(found.hint)
    assert "VPC_SERVICE_CONTROLS (status 403)" in found.message
    assert "canary" not in str(found)


@pytest.mark.parametrize(
    ("said", "status", "hint"),
    [
        ("NOT_FOUND", 404, "service account exists"),
        ("INVALID_ARGUMENT", 400, "impersonate_lifetime"),
        ("FAILED_PRECONDITION", 400, "enabled"),
    ],
)
def test_hint_of_a_failed_impersonation_depends_on_the_status(said: str, status: int, hint: str) -> None:
    body = json.dumps({"error": {"code": status, "status": said}}).encode()
    found = translate_failure(after(body, status, url=IAM), attempt(impersonated="robot@example.com"))
    assert found.code == "vertex-impersonation-refused"
    assert hint in str(found.hint)


def test_metadata_server_is_not_taken_for_google() -> None:
    carrier = Transport(example_provider.profile(), plain_hosts=("169.254.169.254",))
    carrier.last, carrier.last_url = Response(status=403, headers={}, body=b"canary"), "http://169.254.169.254/latest/x"
    found = translate_failure(carrier, attempt("federated identity"))
    assert found.code == "vertex-credentials-refused"
    assert "the metadata server has no token" in found.message
    assert found.found_here
    assert "credential_source" in str(found.hint)


def test_name_of_an_api_is_shown_only_if_it_is_one() -> None:
    found = translate_failure(after(of_api("SERVICE_DISABLED", "$(canary).googleapis.com"), 403), attempt())
    assert (found.code, found.hint) == ("vertex-api-disabled", "Enable it in the project")


@pytest.mark.parametrize(
    "description",
    [
        "Invalid JWT: Token must be a short-lived token (60 minutes). Check your iat and exp values in the JWT claim.",
        "Token used too early, 1764400000 < 1764403600.",
        "Signature expired: 1764400000 is now earlier than 20261129T010000Z (20261129T011500Z - 15 min.)",
        "Signature not yet current: 1764400000 is still later than 20261129T000000Z",
    ],
)
def test_clock_is_named_without_a_date_in_the_response(description: str) -> None:
    body = json.dumps({"error": "invalid_grant", "error_description": description}).encode()
    found = translate_failure(after(body, behind=None), attempt("service account"))
    assert found.code == "vertex-clock-skew"
    assert "1764400000" not in str(found)


@pytest.mark.parametrize(
    ("kind", "code", "hint"),
    [
        ("user", "deleted_client", "Its OAuth client was deleted. Run: x"),
        ("user", "admin_policy_enforced", "administrator"),
        ("federated identity", "invalid_target", "audience"),
        ("federated identity", "unauthorized_client", "attribute condition"),
        ("service account", "invalid_grant", "still exist"),
        ("access token", "invalid_grant", "Check the credentials file"),
    ],
)
def test_hint_depends_on_the_identity_and_the_code(kind: Kind, code: str, hint: str) -> None:
    found = translate_failure(after(json.dumps({"error": code}).encode()), attempt(kind))
    assert (type(found), found.code) == (ProviderRefused, "vertex-credentials-refused")
    assert hint in str(found.hint)


@pytest.mark.parametrize(
    ("description", "kind", "code", "what"),
    [
        (f"{AWS} ExpiredToken with error message: {ENDED}", FEDERATED, "vertex-aws-keys-expired", "AWS keys"),
        (f"ExpiredTokenException: {ENDED}", FEDERATED, "vertex-aws-keys-expired", "AWS keys"),
        ("ID Token issued at 1764400000 is stale to sign-in.", FEDERATED, REFUSED, "identity token"),
        ("The ID Token is expired.", FEDERATED, REFUSED, "identity token"),
    ],
)
@pytest.mark.parametrize("behind", [0.0, 3600.0])
def test_what_ended_behind_a_federation_file_must_be_renewed(
    description: str, kind: Kind, code: str, what: str, behind: float
) -> None:
    body = json.dumps({"error": "invalid_grant", "error_description": description}).encode()
    found = translate_failure(after(body, behind=behind), attempt(kind))
    assert (type(found), found.code) == (LoginRequired, code)
    assert f"the {what}" in found.message
    assert "1764400000" not in str(found)
    assert found.found_here


@pytest.mark.parametrize(
    ("description", "kind"),
    [
        (f"{AWS} InvalidClientTokenId with error message: The security token is invalid.", FEDERATED),
        ("The ID Token is not accepted. The client has expired.", FEDERATED),
        ("The ID Token is expired.", "service account"),
        ("The audience in ID Token [x] does not match the expected audience.", FEDERATED),
        ("The workload identity pool has expired.", FEDERATED),
    ],
)
def test_other_refusals_are_not_taken_for_an_end(description: str, kind: Kind) -> None:
    body = json.dumps({"error": "invalid_grant", "error_description": description}).encode()
    found = translate_failure(after(body), attempt(kind))
    assert (type(found), found.code) == (ProviderRefused, REFUSED)


def test_wrong_clock_does_not_hide_that_a_sign_in_ended() -> None:
    found = translate_failure(after(b'{"error": "invalid_grant"}', behind=3600.0), attempt("user"))
    assert found.code == "sign-in-ended"
