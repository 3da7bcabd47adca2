"""Translates failures of google-auth into freshkey's errors, from the server response and without quoting it.

Google answers in two forms: as an OAuth server (``{"error": "invalid_grant"}``, RFC 6749, section 5.2), and as a Google
API (``google.rpc.Status``), whose ``google.rpc.ErrorInfo`` has a reason from ``google/api/error_reason.proto``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from attrs import frozen

from freshkey.errors import FreshkeyError, LoginRequired, ProtocolError, ProviderRefused, found_here
from freshkey.oauth import MAX_SKEW, clean_code, read_refusal, shown_code
from freshkey.plugin import Response, parse_json_object
from freshkey_vertex.formats import Kind
from freshkey_vertex.transport import Transport


REAUTHENTICATION: Final = frozenset({"invalid_rapt", "rapt_required"})
"""``error_subtype`` of ``invalid_grant`` if the organization requires its users to sign in again periodically."""

INPUT_ERRORS: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    OSError,
    RecursionError,
)
"""What google-auth raises, besides its own errors, for unexpected responses and files. The messages quote both."""


IMPERSONATION: Final = ":generateAccessToken"
"""How the URL of a request to impersonate a service account ends."""

_OAUTH_HINTS: Final[Mapping[tuple[str, str], str]] = {
    ("user", "invalid_client"): "Its OAuth client does not exist any more, or has a new secret. {sign_in}",
    ("user", "deleted_client"): "Its OAuth client was deleted. {sign_in}",
    ("user", "disabled_client"): "Its OAuth client is disabled. {sign_in}",
    ("user", "unauthorized_client"): "Its OAuth client may not do this any more. {sign_in}",
    ("user", "admin_policy_enforced"): "Ask the administrator of your organization to allow this application",
    ("user", "org_internal"): "Ask the administrator of your organization to allow this application",
    ("service account", "invalid_grant"): (
        "Check that the key and the account still exist and are enabled, and that the key belongs to the account"
    ),
    ("federated identity", "invalid_grant"): (
        "Check the identity token: its issuer, audience and subject must be those of the provider in Google Cloud"
    ),
    ("federated identity", "invalid_target"): (
        "Check audience in the credentials file: that identity pool or provider does not exist, or is disabled"
    ),
    ("federated identity", "unauthorized_client"): "Check the attribute condition of the provider in Google Cloud",
}
"""What to do, by the kind of identity and the code of Google's OAuth servers; ``{sign_in}`` is how to sign in again."""

_POLICIES: Final = frozenset(
    {
        *("SECURITY_POLICY_VIOLATED", "ORG_RESTRICTION_VIOLATION", "ORG_RESTRICTION_HEADER_INVALID"),
        *("LOCATION_POLICY_VIOLATED", "LOCATION_ORG_POLICY_VIOLATED", "RESOURCE_USAGE_RESTRICTION_VIOLATED"),
        "VPC_SERVICE_CONTROLS",  # the type of a violation (``google.rpc.PreconditionFailure``)
    }
)
"""Reasons that mean a policy of the organization, such as VPC Service Controls: no role helps."""

_SCOPE: Final = "ACCESS_TOKEN_SCOPE_INSUFFICIENT"

_CLOCK: Final = re.compile(
    r"\biat\b.*\bexp\b|[Tt]oken used too (early|late)|request has expired|Signature (expired|not yet current)"
)
"""In a description: the assertion, identity token or signed request has a time that the server does not accept."""

_KEYS_ENDED: Final = re.compile(r"\bExpiredToken|token included in the request is expired")
"""In a description: AWS's words for keys that ended, which Google repeats."""

_TOKEN_ENDED: Final = re.compile(r"ID Token\b[^.]* (is stale to sign-in|(is|has) expired)")
"""In a description: an identity token that has ended, or was issued too long ago."""

_VPC: Final = "vpcServiceControlsUniqueIdentifier"

_API: Final = re.compile(r"[a-z][a-z0-9-]{1,40}\.googleapis\.com")


@frozen(kw_only=True)
class _Answer:
    oauth: str  # the code of an OAuth server
    subtype: str | None
    status: str  # of a Google API
    reason: str
    api: str
    of_api: bool
    about_time: bool
    keys_ended: bool
    token_ended: bool


@frozen(kw_only=True)
class Attempt:
    """A failed attempt to get a token.

    Attributes:
        kind: Whose token was requested.
        display_name: Name used in messages, such as the email of a service account.
        impersonated: The service account to impersonate, if any.
        sign_in_hint: How the user can sign in again.
    """

    kind: Kind
    display_name: str
    impersonated: str | None
    sign_in_hint: str


def translate_failure(transport: Transport, attempt: Attempt) -> FreshkeyError:
    """Return the error for an attempt that failed in google-auth.

    - Reauthentication required, a user's refresh token not accepted, or the keys or the identity token of a workload
      expired: `LoginRequired`.
    - Anything else that a server refused: `ProviderRefused`, which names the clock if it is wrong, and who refused.
    - No response: `ProviderRefused`, because something on this machine failed.
    """
    response = transport.last
    if response is None:
        message = f"cannot get or use the identity token for {attempt.display_name}"
        hint = "Check credential_source in the credentials file"
        return found_here(ProviderRefused(message, hint=hint, code="vertex-no-identity-token"))
    if response.status < 400:  # noqa: PLR2004  RFC 9110, section 15.5
        return ProtocolError(f"the token response for {attempt.display_name} is invalid")
    return _refused_by_source(response) if transport.of_source else _refused_by_server(transport, response, attempt)


def _refused_by_server(transport: Transport, response: Response, attempt: Attempt) -> FreshkeyError:
    answer = _read(response)
    asked = next((word for word in (answer.subtype, answer.oauth) if word in REAUTHENTICATION), None)
    if asked is not None:
        message = f"Google requires {attempt.display_name} to sign in again ({shown_code(asked)})"
        return LoginRequired(message, hint=attempt.sign_in_hint, code="vertex-reauthentication-required")
    if answer.of_api:
        return _refused_by_api(response, answer, attempt, impersonating=transport.last_url.endswith(IMPERSONATION))
    if transport.of_machine:
        return _refused_by_machine(response, attempt)
    return _refused(response, answer, transport.behind, attempt)


def _refused_by_machine(response: Response, attempt: Attempt) -> FreshkeyError:
    """Return the error for a response of a metadata server, on Google Cloud or, for a federation file, elsewhere."""
    hint = "Check credential_source in the credentials file, and the identity that this machine has"
    if attempt.sign_in_hint.startswith("Check"):
        hint = attempt.sign_in_hint
    message = f"the metadata server has no token for {attempt.display_name}: status {response.status}"
    return found_here(ProviderRefused(message, hint=hint, code="vertex-credentials-refused"))


def _refused_by_source(response: Response) -> FreshkeyError:
    """Return the error for a response of what ``credential_source`` names: an identity service, not Google."""
    message = f"no identity token: credential_source.url answered {read_refusal(response)}"
    hint = "Check credential_source, and that what answers there may give this workload an identity token"
    return found_here(ProviderRefused(message, hint=hint, code="vertex-no-identity-token"))


def _refused(response: Response, answer: _Answer, behind: float | None, attempt: Attempt) -> FreshkeyError:
    """Return the error for a response of an OAuth server."""
    refusal = read_refusal(response)
    if attempt.kind == "user" and answer.oauth == "invalid_grant":
        message = f"the sign-in of {attempt.display_name} has expired or was revoked ({refusal})"
        return LoginRequired(message, hint=attempt.sign_in_hint, code="sign-in-ended")
    message = f"Google refused {attempt.display_name}: {refusal}"
    if attempt.kind == "federated identity" and answer.keys_ended:
        message += "; the AWS keys that confirm the identity have expired"
        hint = "Renew them with the tool that issued them"
        return found_here(LoginRequired(message, hint=hint, code="vertex-aws-keys-expired"))
    if attempt.kind == "federated identity" and answer.token_ended:
        message += "; the identity token has expired, or was issued too long ago"
        hint = "Have its issuer write a new one, or sign in again with the tool that issues it"
        return found_here(LoginRequired(message, hint=hint, code="vertex-credentials-refused"))
    skewed = behind is not None and abs(behind) > MAX_SKEW
    if answer.about_time or skewed:
        if behind is not None and skewed:
            where = "behind" if behind > 0 else "ahead of"
            message += f"; this machine's clock is {abs(behind):.0f} s {where} the server's"
        hint = "Correct this machine's clock: signed requests contain its time"
        return found_here(ProviderRefused(message, hint=hint, code="vertex-clock-skew"))
    usual = "Check the credentials file, and the configuration of that identity in Google Cloud"
    hint = _OAUTH_HINTS.get((attempt.kind, answer.oauth), usual).format(sign_in=attempt.sign_in_hint)
    return ProviderRefused(message, hint=hint, code="vertex-credentials-refused")


# --- Google APIs ------------------------------------------------------------------------------------------------------


def _refused_by_api(response: Response, answer: _Answer, attempt: Attempt, *, impersonating: bool) -> FreshkeyError:
    """Return the error for a response of a Google API: of IAM if it was asked to impersonate, else of another one."""
    said = f"{shown_code(answer.reason or answer.status)} (status {response.status})"
    if answer.reason in {"SERVICE_DISABLED", "BILLING_DISABLED"}:
        return ProviderRefused(
            f"Google refused {attempt.display_name}: an API or billing is disabled in the project: {said}",
            hint=f"Enable it: gcloud services enable {answer.api}" if answer.api else "Enable it in the project",
            code="vertex-api-disabled",
        )
    if answer.reason in {"USER_PROJECT_DENIED", "CONSUMER_INVALID", "CONSUMER_SUSPENDED", "RESOURCE_PROJECT_INVALID"}:
        return ProviderRefused(
            f"{attempt.display_name} may not use the quota project: {said}",
            hint="Set quota_project to a project on which it has roles/serviceusage.serviceUsageConsumer",
            code="vertex-quota-project-refused",
        )
    if answer.status == "UNAUTHENTICATED" or answer.reason in {"ACCESS_TOKEN_EXPIRED", "CREDENTIALS_MISSING"}:
        message = f"Google no longer accepts the credentials of {attempt.display_name}: {said}"
        return LoginRequired(message, hint=attempt.sign_in_hint, code="sign-in-ended")
    if impersonating and answer.reason not in _POLICIES | {_SCOPE}:
        target = attempt.impersonated or "the service account"
        return ProviderRefused(
            f"{attempt.display_name} cannot impersonate {target}: {said}",
            hint=_impersonation_hint(answer.status),
            code="vertex-impersonation-refused",
        )
    return ProviderRefused(
        f"Google denied {attempt.display_name} permission: {said}",
        hint=_permission_hint(answer.reason, attempt),
        code="vertex-permission-denied",
    )


def _impersonation_hint(status: str) -> str:
    if status == "INVALID_ARGUMENT":
        return "Check impersonate_lifetime (over 3600 only if the organization allows it), scopes and the delegates"
    if status == "FAILED_PRECONDITION":
        return "Check that the service account is enabled"
    hint = "Grant it roles/iam.serviceAccountTokenCreator on that account, and enable the IAM Credentials API"
    return f"Check that the service account exists. {hint}" if status == "NOT_FOUND" else hint


def _permission_hint(reason: str, attempt: Attempt) -> str:
    if reason in _POLICIES:
        return "Ask the administrator of the organization: one of its policies forbids this"
    if reason == _SCOPE:
        return f"It lacks the scope https://www.googleapis.com/auth/cloud-platform. {attempt.sign_in_hint}"
    if attempt.kind == "user":
        return f"{attempt.sign_in_hint}; if that does not help, set quota_project to a project that the account may use"
    return "Check the roles of that identity, and the policies of the organization, in Google Cloud"


def _read(response: Response) -> _Answer:
    try:
        members: Mapping[str, Any] = parse_json_object(response.body)
    except ProtocolError:
        members = {}
    error, text = members.get("error"), members.get("error_description")
    info: Mapping[str, Any] = {}
    if isinstance(error, dict):
        text = error.get("message")
        info = _info(error.get("details"), text)
    known = info.get("metadata")
    api = known.get("service") if isinstance(known, dict) else None
    said = text[:1000] if isinstance(text, str) else ""
    return _Answer(
        oauth="" if isinstance(error, dict) else clean_code(error) or "",
        subtype=clean_code(members.get("error_subtype")),
        status=clean_code(error.get("status")) or "" if isinstance(error, dict) else "",
        reason=clean_code(info.get("reason")) or "",
        api=api if isinstance(api, str) and _API.fullmatch(api) else "",
        of_api=isinstance(error, dict),
        about_time=_CLOCK.search(said) is not None,
        keys_ended=_KEYS_ENDED.search(said) is not None,
        token_ended=_TOKEN_ENDED.search(said) is not None,
    )


def _info(details: object, text: object) -> Mapping[str, Any]:
    """Return the detail that has the reason; for VPC Service Controls, it may be only a violation or in the text."""
    found = [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    info = next((one for one in found if isinstance(one.get("reason"), str)), None)
    if info is not None:
        return info
    lists = [one["violations"] for one in found if isinstance(one.get("violations"), list)]
    types = [one.get("type") for violations in lists for one in violations if isinstance(one, dict)]
    policy = next((one for one in types if isinstance(one, str) and one in _POLICIES), None)
    if policy is None and isinstance(text, str) and _VPC in text:
        policy = "VPC_SERVICE_CONTROLS"
    return {"reason": policy} if policy else {}
