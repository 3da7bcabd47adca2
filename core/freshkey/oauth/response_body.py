"""Reads the members of a response, in any reading that is safe: a token response was paid for with a token.

See docs/decisions.md, "A token response is read liberally".
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

from freshkey._http import json_object
from freshkey._http.json_object import read_object, read_value, start_of, text_of
from freshkey._json import MAX_DEPTH, too_deep
from freshkey.model.exchange import Response


_FORM: Final = re.compile(r"(?:access_token|error)=|[\w.-]{1,64}=[^<>]*&(?:access_token|error)=")
_OBJECT: Final = re.compile(r'"?\{\s*(?:\\?"|$)')
_MAX_FIELDS: Final = 100
_MAX_TEXT: Final = 200


def read_members(response: Response) -> dict[str, Any] | None:
    """Return the members of the JSON object in a response; None if there is none.

    Read whatever its content type is; see `read_object`. A response that some servers write as a form is read too, and
    of an error that is a list, the first object.
    """
    members = read_object(response.body)
    if members is not None:
        return members
    value = read_value(response.body)
    if isinstance(value, list) and value and isinstance(value[0], dict) and response.status >= 400:  # noqa: PLR2004  RFC 9110, section 15.5
        return {name: member for name, member in value[0].items() if not too_deep(member, MAX_DEPTH - 2)}
    if value is not None:
        return None
    text = text_of(response.body)
    text = text[start_of(text) :]
    return _form(text) if _FORM.match(text) else None


def plain_text(response: Response) -> str:
    """Return the text of an error that is nothing but a short text, as such or as a JSON string; else empty."""
    if not 400 <= response.status < 500 or is_page(response):  # noqa: PLR2004  RFC 9110, section 15.5
        return ""
    value = read_value(response.body)
    text = text_of(response.body) if value is None else value
    return text.strip() if isinstance(text, str) and len(text) <= _MAX_TEXT and "<" not in text else ""


def is_page(response: Response) -> bool:
    """Return whether the body is HTML or XML, which no token endpoint sends."""
    return json_object.is_page(response.body)


def is_cut_off(response: Response) -> bool:
    """Return whether the body is the beginning of a JSON object, so that the rest was lost on the way.

    It is not if the brace is that of a script or of a sentence: then nothing of a server's answer is missing. Of a
    success, what a program writes before its answer is a beginning, too.
    """
    if 200 <= response.status < 300 and json_object.is_before_an_answer(response.body):  # noqa: PLR2004  RFC 9110, section 15.3
        return read_members(response) is None
    text = text_of(response.body)
    return bool(_OBJECT.match(text, start_of(text))) and read_members(response) is None


def _form(text: str) -> dict[str, Any] | None:
    try:
        return dict(parse_qsl(text.strip(), max_num_fields=_MAX_FIELDS))
    except ValueError:
        return None
