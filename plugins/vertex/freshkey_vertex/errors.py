"""What it means when google-auth could not get a token, told from what the server answered and never by quoting it."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from freshkey.errors import FreshkeyError, LoginRequired, ProtocolError, ProviderRefused
from freshkey.oauth import MAX_SKEW, clean_code, read_refusal, shown_code
from freshkey.plugin import Response, parse_json_object
from freshkey_vertex.formats import Kind
from freshkey_vertex.transport import Transport


REAUTHENTICATION: Final = frozenset({"invalid_rapt", "rapt_required"})
"""``error_subtype`` of ``invalid_grant`` where the organization wants its users to sign in again now and then."""

INPUT_ERRORS: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    OSError,
    RecursionError,
)
"""What google-auth trips over, besides its own errors, where an answer or a file is not what it expects. The texts
quote both."""


@frozen(kw_only=True)
class Attempt:
    """What was tried.

    Attributes:
        kind: Whose token was asked for.
        display_name: What messages call it, such as the email of a service account.
        impersonated: The service account that is to be acted as, where there is one.
        sign_in_hint: What the user does to sign in again.
    """

    kind: Kind
    display_name: str
    impersonated: str | None
    sign_in_hint: str


def translate_failure(transport: Transport, attempt: Attempt) -> FreshkeyError:
    """Return the error for an attempt that google-auth gave up.

    - Reauthentication, and a user's refresh token that is not accepted: `LoginRequired`.
    - Everything else that a server refused: `ProviderRefused`; where clocks differ, that is said.
    - No answer of a server: `ProviderRefused`, as something on this machine failed.
    """
    response = transport.last
    if response is None:
        message = f"{attempt.display_name} gave no token: what identifies this machine could not be had or used"
        return ProviderRefused(message, hint="Check what credential_source in its file names")
    if response.status < 400:  # noqa: PLR2004  RFC 9110, section 15.5
        return ProtocolError(f"the answer about {attempt.display_name} is none that google-auth understands")
    code, subtype = _error(response)
    if subtype in REAUTHENTICATION:
        message = f"Google wants {attempt.display_name} to sign in again ({shown_code(subtype)})"
        return LoginRequired(message, hint=attempt.sign_in_hint)
    if "/error/" in code:
        return _refused_by_iam(response, code.removeprefix("/error/"), attempt)
    if attempt.kind == "user" and code == "invalid_grant":
        message = f"the sign-in of {attempt.display_name} has expired or was revoked ({read_refusal(response)})"
        return LoginRequired(message, hint=attempt.sign_in_hint)
    return _refused(response, transport.behind, attempt)


def _refused(response: Response, behind: float | None, attempt: Attempt) -> ProviderRefused:
    message = f"Google refused {attempt.display_name}: {read_refusal(response)}"
    if behind is not None and abs(behind) > MAX_SKEW:
        where = "behind" if behind > 0 else "ahead of"
        message += f"; the clock of this machine is {abs(behind):.0f} s {where} that of the server"
        return ProviderRefused(message, hint="Set the clock: what this machine signs carries its time")
    if attempt.kind == "service account":
        hint = "Its key or the account itself was deleted or disabled, or the key is another account's"
        return ProviderRefused(message, hint=hint)
    return ProviderRefused(message, hint="Check the credentials file, and what Google Cloud says of that identity")


def _refused_by_iam(response: Response, status: str, attempt: Attempt) -> ProviderRefused:
    target = attempt.impersonated or "the service account"
    message = f"{attempt.display_name} may not act as {target}: {shown_code(status)} (status {response.status})"
    hint = "It needs the role roles/iam.serviceAccountTokenCreator there, and the IAM Credentials API has to be on"
    return ProviderRefused(message, hint=hint)


def _error(response: Response) -> tuple[str, str | None]:
    """Return error code and subtype; the code of a Google API (google.rpc.Status) begins with ``/error/``."""
    try:
        members = parse_json_object(response.body)
    except ProtocolError:
        return "", None
    error = members.get("error")
    if isinstance(error, dict):
        return f"/error/{clean_code(error.get('status')) or ''}", None
    return clean_code(error) or "", clean_code(members.get("error_subtype"))
