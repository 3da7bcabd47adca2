"""The access portal of IAM Identity Center: credentials of a role for an access token, and the end of a sign-in.

Source: botocore's model ``sso``, 2019-06-10. Requests are unsigned and may be repeated.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from attrs import frozen

from freshkey.errors import (
    FreshkeyError,
    LoginRequired,
    OutcomeUnknown,
    ProtocolError,
    ProviderRefused,
    TransientError,
    frameless,
)
from freshkey.plugin import Request, Response, Secret, Send, is_token, parse_json_object, retry_after


BEARER: Final = "x-amz-sso_bearer_token"

_NOT_ASSIGNED: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})


@frozen(kw_only=True)
class RoleKeys:
    """Credentials of a role.

    Attributes:
        access_key: Access key id.
        secret_key: Secret access key.
        session_token: Session token.
        expires: Their end, in seconds since 1970-01-01T00:00:00Z.
    """

    access_key: str
    secret_key: Secret
    session_token: Secret
    expires: float


@frameless
def role_keys(
    portal: str, access_token: Secret, *, account_id: str, role_name: str, send: Send, now: float
) -> RoleKeys:
    """Return credentials of a role (``GetRoleCredentials``).

    Args:
        portal: Address of the access portal.
        access_token: That of the sign-in.
        account_id: Twelve digits.
        role_name: Name of the permission set, as the access portal shows it.
        send: Does the I/O.
        now: Seconds since 1970-01-01T00:00:00Z, to read a ``Retry-After`` date against.

    Raises:
        LoginRequired: The access token is not accepted any more.
        ProviderRefused: The user has no such role.
        TransientError: Not now; asking again is safe.
        ProtocolError: The answer cannot be read.
    """
    query = urlencode({"role_name": role_name, "account_id": account_id})
    url = f"{portal}/federation/credentials?{query}"
    response = _sent(Request(method="GET", url=url, headers={BEARER: access_token.reveal()}), send)
    if response.status == HTTPStatus.OK:
        return _read(parse_json_object(response.body))
    if response.status in _NOT_ASSIGNED:
        raise ProviderRefused(
            f"IAM Identity Center gives no credentials of role {role_name!r} in account {account_id}"
            f" (status {response.status})",
            hint="Check sso_account_id and sso_role_name; the access portal shows which you have",
        )
    raise _refusal(response, now)


@frameless
def end_session(portal: str, access_token: Secret, *, send: Send, now: float) -> None:
    """End a sign-in (``Logout``), and what came from it; one that is unknown has ended already.

    Raises:
        TransientError: It may still exist.
        ProviderRefused: The portal does not accept the request.
    """
    request = Request(method="POST", url=f"{portal}/logout", headers={BEARER: access_token.reveal()})
    response = _sent(request, send)
    if response.status not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.UNAUTHORIZED}:
        raise _refusal(response, now)


def _sent(request: Request, send: Send) -> Response:
    """Send, and count a lost answer as no answer: nothing here is spent by being sent."""
    try:
        return send(request)
    except OutcomeUnknown as error:
        if isinstance(error, ProtocolError):
            raise
        lost = error.message
    raise TransientError(lost)


def _refusal(response: Response, now: float) -> FreshkeyError:
    if response.status == HTTPStatus.UNAUTHORIZED:
        return LoginRequired("IAM Identity Center does not accept this sign-in any more")
    if response.status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS} or response.status >= 500:  # noqa: PLR2004  RFC 9110, section 15.6
        message = f"the access portal of IAM Identity Center refused for now (status {response.status})"
        return TransientError(message, retry_after=retry_after(response.headers, now))
    return ProviderRefused(f"the access portal of IAM Identity Center refused (status {response.status})")


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
    raise ProtocolError("the access portal's answer has no readable role credentials")
