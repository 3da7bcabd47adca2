"""The access portal of IAM Identity Center: exchanges an access token for role credentials, and ends a session.

Source: botocore's model ``sso``, 2019-06-10. Requests are unsigned and can be repeated safely.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from attrs import frozen

from freshkey.errors import (
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    OutcomeUnknown,
    ProtocolError,
    ProviderRefused,
    TransientError,
    frameless,
)
from freshkey.oauth import read_members, refusal_error, retryable
from freshkey.plugin import Request, Response, Secret, Send, is_token, parse_json_object, retry_after


BEARER: Final = "x-amz-sso_bearer_token"

_NOT_ASSIGNED: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})


@frozen(kw_only=True)
class RoleKeys:
    """Role credentials.

    Attributes:
        access_key: Access key ID.
        secret_key: Secret access key.
        session_token: Session token.
        expires: When they expire, in seconds since 1970-01-01T00:00:00Z.
    """

    access_key: str
    secret_key: Secret
    session_token: Secret
    expires: float


@frameless
def role_keys(
    portal: str, access_token: Secret, *, account_id: str, role_name: str, send: Send, now: float
) -> RoleKeys:
    """Return role credentials (``GetRoleCredentials``).

    Args:
        portal: URL of the access portal.
        access_token: Access token of the session.
        account_id: AWS account, twelve digits.
        role_name: Name of the permission set, as shown in the access portal.
        send: Sends requests.
        now: Seconds since 1970-01-01T00:00:00Z, to interpret a ``Retry-After`` date.

    Raises:
        LoginRequired: The access token is no longer accepted.
        ProviderRefused: The user does not have this role.
        TransientError: Temporary failure; asking again is safe.
        ProtocolError: The response is invalid.
    """
    query = urlencode({"role_name": role_name, "account_id": account_id})
    url = f"{portal}/federation/credentials?{query}"
    response = _sent(Request(method="GET", url=url, headers={BEARER: access_token.reveal()}), send)
    if response.status == HTTPStatus.OK:
        return _read(parse_json_object(response.body))
    if response.status in _NOT_ASSIGNED and read_members(response) is not None:
        raise ProviderRefused(
            f"IAM Identity Center refused credentials for role {role_name!r} in account {account_id}"
            f" (status {response.status})",
            hint="Check sso_account_id and sso_role_name; the access portal lists your accounts and roles",
            code="bedrock-sso-role-refused",
        )
    raise _refusal(response, now)


@frameless
def end_session(portal: str, access_token: Secret, *, send: Send, now: float) -> None:
    """End a session (``Logout``); one that the portal does not recognize has already ended.

    Raises:
        TransientError: The session may still be active.
        ProviderRefused: The portal rejects the request.
    """
    request = Request(method="POST", url=f"{portal}/logout", headers={BEARER: access_token.reveal()})
    response = _sent(request, send)
    if response.status not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.UNAUTHORIZED}:
        raise _refusal(response, now)


def _sent(request: Request, send: Send) -> Response:
    """Send a request; a lost response is only a temporary failure, because nothing here is single-use."""
    try:
        response = send(request)
    except OutcomeUnknown as error:
        if isinstance(error, ProtocolError):
            raise
        lost = error
    else:
        if _is_page(response):
            raise TransientError(
                f"something other than the IAM Identity Center access portal answered (status {response.status})",
                local=True,
                hint="Check the network, the proxy, and any login page of the network",
                code="answered-in-between",
            )
        return response
    raise TransientError(lost.message, code=lost.code)


def _is_page(response: Response) -> bool:
    """Return whether this is a web page: the portal sends JSON or nothing, also if it refuses."""
    return response.status < 500 and response.body.lstrip()[:1] == b"<"  # noqa: PLR2004  RFC 9110, section 15.6


def _refusal(response: Response, now: float) -> FreshkeyError:
    if 400 <= response.status < 500 and read_members(response) is None:  # noqa: PLR2004  RFC 9110, section 15.5
        # AWS's errors are JSON: this is a page of something on the way, and says nothing about the sign-in.
        error = refusal_error(response, now)
        return retryable(error) if isinstance(error, IntermediaryAnswer) else error
    if response.status == HTTPStatus.UNAUTHORIZED:
        return LoginRequired("IAM Identity Center no longer accepts this sign-in", code="sign-in-ended")
    if response.status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS} or response.status >= 500:  # noqa: PLR2004  RFC 9110, section 15.6
        limited = response.status == HTTPStatus.TOO_MANY_REQUESTS
        what = "is limiting the rate of requests" if limited else "is temporarily unavailable"
        message = f"the IAM Identity Center access portal {what} (status {response.status})"
        return TransientError(message, retry_after=retry_after(response.headers, now), code="server-unavailable")
    return ProviderRefused(
        f"the IAM Identity Center access portal refused the request (status {response.status})", code="request-refused"
    )


def _read(facts: dict[str, Any]) -> RoleKeys:
    keys = facts.get("roleCredentials")
    members = keys if isinstance(keys, dict) else {}
    names = ("accessKeyId", "secretAccessKey", "sessionToken")
    texts = [members.get(name) for name in names]
    milliseconds = members.get("expiration")
    if all(map(is_token, texts)) and type(milliseconds) is int and milliseconds > 0:
        access_key, secret_key, session_token = map(str, texts)
        return RoleKeys(
            access_key=access_key,
            secret_key=Secret(secret_key),
            session_token=Secret(session_token),
            expires=milliseconds / 1000,
        )
    raise ProtocolError("the access portal response contains no valid role credentials")
