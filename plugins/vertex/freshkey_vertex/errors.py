"""Translates failures of google-auth into freshkey's errors, from the server response and without quoting it."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from freshkey.errors import FreshkeyError, LoginRequired, ProtocolError, ProviderRefused
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

    - Reauthentication required, or a user's refresh token not accepted: `LoginRequired`.
    - Anything else that a server refused: `ProviderRefused`, which mentions the clock if it is wrong.
    - No response: `ProviderRefused`, because something on this machine failed.
    """
    response = transport.last
    if response is None:
        message = f"cannot get or use the identity token for {attempt.display_name}"
        hint = "Check credential_source in the credentials file"
        return ProviderRefused(message, hint=hint, code="vertex-no-identity-token")
    if response.status < 400:  # noqa: PLR2004  RFC 9110, section 15.5
        return ProtocolError(f"the token response for {attempt.display_name} is invalid")
    code, subtype = _error(response)
    if subtype in REAUTHENTICATION:
        message = f"Google requires {attempt.display_name} to sign in again ({shown_code(subtype)})"
        return LoginRequired(message, hint=attempt.sign_in_hint, code="vertex-reauthentication-required")
    if "/error/" in code:
        return _refused_by_iam(response, code.removeprefix("/error/"), attempt)
    if attempt.kind == "user" and code == "invalid_grant":
        message = f"the sign-in of {attempt.display_name} has expired or was revoked ({read_refusal(response)})"
        return LoginRequired(message, hint=attempt.sign_in_hint, code="sign-in-ended")
    return _refused(response, transport.behind, attempt)


def _refused(response: Response, behind: float | None, attempt: Attempt) -> ProviderRefused:
    message = f"Google refused {attempt.display_name}: {read_refusal(response)}"
    if behind is not None and abs(behind) > MAX_SKEW:
        where = "behind" if behind > 0 else "ahead of"
        message += f"; this machine's clock is {abs(behind):.0f} s {where} the server's"
        hint = "Correct this machine's clock: signed requests contain its time"
        return ProviderRefused(message, hint=hint, code="vertex-clock-skew")
    hint = "Check the credentials file, and the configuration of that identity in Google Cloud"
    if attempt.kind == "service account":
        hint = "Check that the key and the account still exist and are enabled, and that the key belongs to the account"
    return ProviderRefused(message, hint=hint, code="vertex-credentials-refused")


def _refused_by_iam(response: Response, status: str, attempt: Attempt) -> ProviderRefused:
    target = attempt.impersonated or "the service account"
    refusal = f"{shown_code(status)} (status {response.status})"
    message = f"{attempt.display_name} is not allowed to impersonate {target}: {refusal}"
    hint = "Grant it roles/iam.serviceAccountTokenCreator on that account, and enable the IAM Credentials API"
    return ProviderRefused(message, hint=hint, code="vertex-impersonation-refused")


def _error(response: Response) -> tuple[str, str | None]:
    """Return the error code and subtype; the code of a Google API (google.rpc.Status) starts with ``/error/``."""
    try:
        members = parse_json_object(response.body)
    except ProtocolError:
        return "", None
    error = members.get("error")
    if isinstance(error, dict):
        return f"/error/{clean_code(error.get('status')) or ''}", None
    return clean_code(error) or "", clean_code(members.get("error_subtype"))
