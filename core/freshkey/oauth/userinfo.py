"""Asks an OpenID provider whose access token it is (OpenID Connect Core 1.0, section 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freshkey._http.status import raise_for_status
from freshkey._json import parse_json_object
from freshkey.clock import Clock
from freshkey.errors import ConfigurationError, ProtocolError, frameless
from freshkey.model.exchange import Request, Response
from freshkey.oauth.id_token import subject_flaw
from freshkey.oauth.protocol import NOTHING, Server
from freshkey.secret import Secret


@frameless
def userinfo_request(server: Server, *, access_token: Secret, headers: Mapping[str, str] = NOTHING) -> Request:
    """Return the request for the claims about the user (section 5.3.1).

    Raises:
        ConfigurationError: The server has no userinfo endpoint.
    """
    if server.userinfo_endpoint is None:
        raise ConfigurationError("this authorization server has no userinfo endpoint", code="endpoint-missing")
    authorization = {"Accept": "application/json", "Authorization": f"Bearer {access_token.reveal()}"}
    return Request(method="GET", url=server.userinfo_endpoint, headers={**headers, **authorization})


@frameless
def read_userinfo(request: Request, response: Response, *, clock: Clock, account: str = "sub") -> Mapping[str, Any]:
    """Return the claims in a userinfo response (section 5.3.2). Its ``sub`` must be compared with the known one.

    Args:
        request: The request.
        response: The response to it.
        clock: Used to read ``Retry-After`` dates.
        account: The claim that will be taken for the user's; with another than ``sub``, the server need not be an
            OpenID provider, and any JSON object will do.

    Raises:
        LoginRequired: The access token is not accepted.
        ProviderRefused: The request was rejected; for status 403, the token lacks the scope ``openid``.
        TransientError: The server is temporarily unavailable.
        IntermediaryAnswer: The response is probably not the server's.
        ProtocolError: The response is not a JSON object with ``sub``. A signed or encrypted response
            (``application/jwt``) is not supported.
    """
    raise_for_status(request, response, clock=clock)
    if account != "sub":
        return parse_json_object(response.body)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        signed = "is signed or encrypted, which is not supported" if kind == "application/jwt" else "is not JSON"
        raise ProtocolError(
            f"the userinfo response {signed}",
            hint="Register the client for userinfo responses in JSON",
            code="invalid-userinfo",
        )
    claims = parse_json_object(response.body)
    if subject_flaw(claims):
        raise ProtocolError("the userinfo response has no valid sub", code="invalid-userinfo")
    return claims
