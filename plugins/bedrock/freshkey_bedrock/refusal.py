"""How AWS says that it does not accept the credentials of a request: in an error type, with status 400 or 403.

The type is in a header or in the body, depending on the protocol of the service (Smithy, "AWS protocols"): JSON in
``__type`` or ``code``, XML in ``<Code>``. Gateways drop the header, and Bedrock has no type of its own for an API
key: then only the message tells.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, Final

from freshkey.plugin import ACCEPTED, REFUSED, Answer, Verdict


UNAUTHORIZED: Final = 401
_MAY_BE_REFUSAL: Final = frozenset({400, 403})

_REFUSED: Final = (
    "ExpiredToken",
    "UnrecognizedClient",
    "InvalidClientTokenId",
    # The same, as Amazon S3 calls it.
    "InvalidAccessKeyId",
    "InvalidToken",
    "TokenRefreshRequired",
)
"""Beginnings of error types that are about the credentials; all others are about the request, the permissions or the
clock, and newer credentials would not help."""

_OF_KEYS: Final = re.compile(
    r"The security token included in the request is (expired|invalid)\b"
    r"|The provided token (has expired|is expired|is malformed or otherwise invalid)\b"
)
"""Messages for AWS keys, of most services and of Amazon S3; they count only without a type, which would say more."""

_TYPE_IN_WORDS: Final = re.compile(r"An error occurred \((\w{1,80})\) when calling |(\w{1,80}):\s")
"""How gateways that call AWS themselves pass a type on: as the AWS SDKs put it into an exception, or before a colon."""

_OF_API_KEYS: Final = re.compile(
    r"Bearer Token has expired|Authentication failed: Please make sure your API Key is valid", re.IGNORECASE
)
"""Messages for API keys, as users of Bedrock quote them; AWS does not document them."""

_HEADERS: Final = ("x-amzn-errortype", "x-amzn-query-error")
_XML_CODE: Final = re.compile(r"<Code>\s*([^<\s]+)\s*</Code>")
_JSON_TYPE: Final = re.compile(r'"(?:__type|code|Code)"\s*:\s*"([^"]*)"')
_TYPES: Final = ("__type", "code", "Code")
_MESSAGES: Final = ("message", "Message")
_ENVELOPES: Final = ("Error", "error", "Output")
"""Members that some services put both into."""


def judge(answer: Answer) -> Verdict:
    """Return what a response of AWS means for the credentials that signed the request."""
    status = answer.status
    if status == UNAUTHORIZED:
        return REFUSED
    if status not in _MAY_BE_REFUSAL:
        return ACCEPTED
    if found := _error_type(answer):
        return REFUSED if _name(found).startswith(_REFUSED) else ACCEPTED
    message = _message(answer)
    if named := _TYPE_IN_WORDS.match(message):
        return REFUSED if (named[1] or named[2]).startswith(_REFUSED) else ACCEPTED
    return REFUSED if _OF_KEYS.match(message) else ACCEPTED


def judge_api_key(answer: Answer) -> Verdict:
    """Return what a response of AWS means for the API key in the request."""
    verdict = judge(answer)
    if verdict.refused or answer.status not in _MAY_BE_REFUSAL:
        return verdict
    return REFUSED if _OF_API_KEYS.match(_message(answer)) else ACCEPTED


def _error_type(answer: Answer) -> str:
    """Return the error type, or an empty text."""
    for header in _HEADERS:
        if found := answer.headers.get(header):
            return found
    return _type_in(_beginning(answer))


def _message(answer: Answer) -> str:
    """Return the message in a body of JSON, or a body that is a message itself; otherwise an empty text."""
    beginning = _beginning(answer)
    with suppress(ValueError, RecursionError):
        found = json.loads(beginning)
        return found if isinstance(found, str) else _text_in_json(found, _MESSAGES)
    return "" if beginning.startswith(("<", "{", "[")) else beginning


def _beginning(answer: Answer) -> str:
    return answer.peek().decode("utf-8", "replace").lstrip("\ufeff \t\r\n")


def _type_in(beginning: str) -> str:
    """Return the error type in the beginning of a body, or an empty text; the body may have been cut."""
    if beginning.startswith("<"):
        found = _XML_CODE.search(beginning)
        return found[1] if found else ""
    with suppress(ValueError, RecursionError):
        return _text_in_json(json.loads(beginning), _TYPES)
    found = _JSON_TYPE.search(beginning)
    return found[1] if found else ""


def _text_in_json(value: Any, names: tuple[str, ...]) -> str:  # noqa: ANN401  any JSON value
    if not isinstance(value, dict):
        return ""
    named = (value.get(name) for name in names)
    found = next((name for name in named if isinstance(name, str)), "")
    return found or next((_text_in_json(value[name], names) for name in _ENVELOPES if name in value), "")


def _name(error_type: str) -> str:
    """Return an error type without its namespace, address and fault: ``ns#Name:http://…``, ``Name;Sender``."""
    return re.split(r"[:;,]", error_type.strip())[0].rpartition("#")[2]
