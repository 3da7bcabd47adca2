"""Reads identity tokens for workload identity federation, from a file or a response, and says what is wrong with one.

google-auth sends a byte order mark and a line break along, and does not say what it could not read.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from freshkey.errors import ConfigurationError, ProtocolError, found_here, frameless
from freshkey.plugin import is_jwt, parse_json_object, path_flaw, shown_path
from freshkey_vertex.credentials_file import Unloadable, read_bytes, without_byte_order_mark
from freshkey_vertex.identity import shown_text


JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
SAML: Final = "urn:ietf:params:oauth:token-type:saml2"


class TokenSupplier:
    """Takes the place of google-auth's own supplier (``google.auth.identity_pool.SubjectTokenSupplier``).

    Args:
        source: The ``credential_source``, with a ``file`` or a ``url``.
        kind: The ``subject_token_type``.

    Raises:
        ConfigurationError: The file cannot be read, or contains no token.
    """

    def __init__(self, source: Mapping[str, Any], kind: str = JWT) -> None:
        self._source = source
        self._kind = kind
        # Read here: google-auth would block on a pipe, or read a device endlessly.
        self._token = self._checked(_of_file(source, source["file"])) if source.get("file") else None

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
        return self._checked(_token(answer.data, self._source, "the response of credential_source.url"))

    def _checked(self, token: str) -> str:
        ensure_identity_token(token, self._kind)
        return token


@frameless
def ensure_identity_token(token: str, kind: str) -> None:
    """Raise unless a token looks like one of its kind, so that no other secret is sent in its place.

    Args:
        token: The token.
        kind: The ``subject_token_type``: SAML assertions are XML, mostly in Base64; everything else is a JWT.

    Raises:
        ConfigurationError: It does not. The message never quotes it.
    """
    if _is_xml(token) if kind == SAML else is_jwt(token):
        return
    form = "a SAML assertion" if kind == SAML else "an identity token (a JSON Web Token)"
    raise found_here(
        ConfigurationError(
            f"what credential_source names is not {form}, so it was not sent",
            hint="Check credential_source, subject_token_type, and that the platform writes the identity token there",
            code="vertex-no-identity-token",
        )
    )


def _is_xml(token: str) -> bool:
    if token.startswith("<"):
        return True
    with suppress(binascii.Error, ValueError):
        plain = token.translate(str.maketrans("-_", "+/", "\r\n ="))
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).lstrip().startswith(b"<")
    return False


def _of_file(source: Mapping[str, Any], path: str) -> str:
    try:
        data = read_bytes(Path(path), "credential_source.file")
    except Unloadable as error:
        written = path_flaw(path)
        flaw = f"no identity token: {f'the path in credential_source.file {written}' if written else error.message}"
    else:
        return _token(data, source, shown_path(path) or "credential_source.file")
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
