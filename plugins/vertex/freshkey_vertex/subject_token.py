"""Reads identity tokens for workload identity federation, from a file or a response, and says what is wrong with one.

google-auth sends a byte order mark and a line break along, and does not say what it could not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from freshkey.errors import ConfigurationError, ProtocolError, found_here, frameless
from freshkey.plugin import parse_json_object, path_flaw
from freshkey_vertex.credentials_file import Unloadable, read_bytes, without_byte_order_mark
from freshkey_vertex.identity import shown_text


class TokenSupplier:
    """Takes the place of google-auth's own supplier (``google.auth.identity_pool.SubjectTokenSupplier``).

    Args:
        source: The ``credential_source``, with a ``file`` or a ``url``.

    Raises:
        ConfigurationError: The file cannot be read, or contains no token.
    """

    def __init__(self, source: Mapping[str, Any]) -> None:
        self._source = source
        # Read here: google-auth would block on a pipe, or read a device endlessly.
        self._token = _of_file(source, source["file"]) if source.get("file") else None

    @frameless
    def get_subject_token(self, context: object, request: Callable[..., Any]) -> str:  # noqa: ARG002  google-auth's signature
        """Return the token.

        Raises:
            ConfigurationError: The response contains none.
            ValueError: The response is a refusal, which `freshkey_vertex.errors` explains.
        """
        if self._token is not None:
            return self._token
        answer = request(url=self._source["url"], method="GET", headers=self._source.get("headers"))
        if answer.status != HTTPStatus.OK:
            raise ValueError(answer.status)
        return _token(answer.data, self._source, "the response of credential_source.url")


def _of_file(source: Mapping[str, Any], path: str) -> str:
    try:
        data = read_bytes(Path(path))
    except Unloadable as error:
        written = path_flaw(path)
        flaw = f"no identity token: {f'the path in credential_source.file {written}' if written else error.message}"
    else:
        return _token(data, source, shown_text(path) or "credential_source.file")
    hint = "Check credential_source.file, and that the platform provides this file"
    raise found_here(ConfigurationError(flaw, hint=hint, code="vertex-no-identity-token"))


@frameless
def _token(data: bytes, source: Mapping[str, Any], where: str) -> str:
    form = source.get("format")
    member = form.get("subject_token_field_name") if isinstance(form, dict) and form.get("type") == "json" else None
    text = without_byte_order_mark(data)
    token: object = None
    try:
        token = text.decode().strip() if member is None else parse_json_object(text).get(member)
        flaw = "is empty" if member is None else f"has no text as {shown_text(member) or 'subject_token_field_name'}"
    except UnicodeDecodeError:
        flaw = "is not text"
    except ProtocolError:
        flaw = "is not a JSON object: it is empty, cut short or damaged" if text.strip() else "is empty"
    if isinstance(token, str) and token.strip():
        return token.strip()
    hint = "Check credential_source, and that the platform writes the identity token there"
    message = f"no identity token: {where} {flaw}"
    raise found_here(ConfigurationError(message, hint=hint, code="vertex-no-identity-token"))
