"""The OAuth dialect of SSO-OIDC: JSON with camel-case names, in requests and in successful responses.

Errors have the format of RFC 6749 (``{"error": "authorization_pending", …}``), so the OAuth toolkit reads them
unchanged. Source: botocore's model ``sso-oidc``, 2019-06-10.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from attrs import evolve

from freshkey.errors import frameless
from freshkey.oauth import Fields, read_members
from freshkey.plugin import Request, Response, Send, json_body


def encode(url: str, fields: Fields, headers: Mapping[str, str]) -> Request:
    """Return a POST of OAuth fields in the format of SSO-OIDC (a `freshkey.oauth.protocol.Encode`)."""
    return json_body(url, {_camel(name): value for name, value in fields.items()}, headers)


def translated(send: Send) -> Send:
    """Wrap `send` so that it returns responses with OAuth's member names."""
    return lambda request: _as_oauth(send(request))


@frameless
def _as_oauth(response: Response) -> Response:
    """Rename the members of a successful response; anything else is left for the OAuth toolkit to classify."""
    members = read_members(response) if 200 <= response.status < 300 else None  # noqa: PLR2004  RFC 9110, section 15.3
    if members is None:
        return response
    renamed = {_snake(name): value for name, value in members.items()}
    return evolve(response, body=json.dumps(renamed).encode())


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda capital: "_" + capital[0].lower(), name)
