"""How SSO-OIDC writes OAuth: JSON with names in camel case, in requests and in answers that succeed.

Errors come in the words of RFC 6749 (``{"error": "authorization_pending", …}``), so the OAuth toolkit reads them as
they are. Source: botocore's model ``sso-oidc``, 2019-06-10.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from attrs import evolve

from freshkey.errors import frameless
from freshkey.plugin import Request, Response, Send, json_body, parse_json_object


def encode(url: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> Request:
    """Return a POST of OAuth's fields as SSO-OIDC wants them (an `freshkey.oauth.protocol.Encode`)."""
    return json_body(url, {_camel(name): value for name, value in fields.items()}, headers)


def translated(send: Send) -> Send:
    """Return what sends as `send` does, and hands on answers with the names that OAuth gives their members."""
    return lambda request: _as_oauth(send(request))


@frameless
def _as_oauth(response: Response) -> Response:
    """Rename the members of a success.

    Raises:
        ProtocolError: It is no JSON object.
    """
    if not 200 <= response.status < 300:  # noqa: PLR2004  RFC 9110, section 15.3
        return response
    members = {_snake(name): value for name, value in parse_json_object(response.body).items()}
    return evolve(response, body=json.dumps(members).encode())


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda capital: "_" + capital[0].lower(), name)
