"""Credentials files in Google's formats: read and checked before google-auth sees them.

A file of the type ``external_account`` can contain any URL and any program, so its URLs must be https, and a program
runs only if Google's own variable allows it. File modes are not checked: containers often mount such files readable by
all users.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import field, frozen

from freshkey.errors import ConfigurationError, ProtocolError
from freshkey.plugin import NotRegularError, TooLongError, checked_url, parse_json_object, read_bounded


EXECUTABLE_VARIABLE: Final = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"
"""Programs of an ``external_account`` run only if this is 1 (google-auth ``pluggable.py``)."""

MAX_BYTES: Final = 256 * 1024
"""Maximum size of a credentials file, in bytes."""

UNIVERSE_DOMAIN: Final = "googleapis.com"
"""The only supported cloud. For others, google-auth would use self-signed tokens of service accounts instead of
requesting tokens from a server."""

LINK_LOCAL_HOSTS: Final = frozenset({"169.254.169.254", "fd00:ec2::254"})
"""Metadata servers of Azure and AWS, which use plain http and are reachable only from the machine itself."""

REQUIRED_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "authorized_user": ("client_id", "client_secret", "refresh_token"),
    "service_account": ("client_email", "private_key", "token_uri"),
    "external_account": ("audience", "subject_token_type", "token_url"),
    "external_account_authorized_user": ("client_id", "client_secret", "refresh_token", "token_url"),
    "impersonated_service_account": ("service_account_impersonation_url",),
}
"""The members of each type that must be strings."""

_MEMBER: Final = re.compile("[a-z][a-z0-9_]{0,31}")

_ADDRESSES: Final = ("token_uri", "token_url", "token_info_url", "service_account_impersonation_url")


class Unloadable(ConfigurationError):
    """A credentials file is missing, unreadable or invalid; the tool that wrote it may be able to write a valid one."""

    code = "vertex-invalid-credentials-file"


@frozen(kw_only=True)
class CredentialsFile:
    """The content of a credentials file.

    Attributes:
        path: Path of the file.
        type: One of `REQUIRED_MEMBERS`.
        info: All members, including secrets.
        hosts: The hosts of its URLs.
        sources: The URLs from which it takes an identity token.
    """

    path: Path
    type: str
    info: Mapping[str, Any] = field(repr=False)
    hosts: frozenset[str]
    sources: frozenset[str] = frozenset()


def read_file(path: Path, *, allow_insecure_loopback: bool = False) -> CredentialsFile:
    """Read and check a credentials file.

    Args:
        path: The file.
        allow_insecure_loopback: Accept http on 127.0.0.1, ::1 and localhost.

    Raises:
        Unloadable: It is missing, unreadable, or lacks members of its type. The message never quotes its content.
        ConfigurationError: It contains a URL that secrets must not be sent to, or is for another cloud.
    """
    info = _parse(read_bytes(path), path)
    kind = _checked_type(info, path)
    hosts = frozenset(_host(name, url, path, allow_insecure_loopback) for name, url in _addresses(info))
    sources = frozenset(url for name, url in _addresses(info) if "credential_source." in name)
    return CredentialsFile(path=path, type=kind, info=info, hosts=hosts, sources=sources)


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, without blocking on pipes or devices.

    Raises:
        Unloadable: It is missing, unreadable, not a regular file, or too large.
    """
    try:
        return read_bounded(path, MAX_BYTES)
    except NotRegularError:
        flaw = Unloadable(f"{path} is not a regular file", hint="Specify a file in Google's JSON format")
    except TooLongError:
        flaw = Unloadable(
            f"{path} is larger than {MAX_BYTES} bytes", hint="Specify a credentials file in Google's JSON format"
        )
    except OSError as error:
        flaw = Unloadable(f"cannot read {path}: {error.strerror}", hint="Check the path and its permissions")
    raise flaw


def _parse(data: bytes, path: Path) -> dict[str, Any]:
    plain = without_byte_order_mark(data)
    try:
        return parse_json_object(plain)
    except ProtocolError:
        flaw = f"{path} {_what_is_wrong(plain)}"
    raise Unloadable(flaw, hint="Download the key again, or sign in again with the tool that wrote it")


def without_byte_order_mark(data: bytes) -> bytes:
    """Return the text as UTF-8 without a byte order mark, which editors and PowerShell for Windows write."""
    marks = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    encoding = next((name for mark, name in marks.items() if data.startswith(mark)), None)
    return data if encoding is None else data.decode(encoding, "replace").encode()


def _what_is_wrong(data: bytes) -> str:
    """Return why data is not a JSON object, as a predicate that quotes nothing of it."""
    if not data.strip():
        return "is empty"
    if data.lstrip().startswith(b"-----BEGIN "):
        return "is a bare private key, not a JSON object"
    if data.startswith(b"\x30\x82"):  # an ASN.1 sequence, as every PKCS #12 file begins
        return "is a PKCS #12 (.p12) file, not a JSON object"
    try:
        twice = _twice(data)
    except json.JSONDecodeError as error:
        return f"is not valid JSON: line {error.lineno}, column {error.colno}"
    except (ValueError, RecursionError):
        return "is not valid JSON"
    return f"contains {twice} twice" if twice else "is not a JSON object"


def _twice(data: bytes) -> str | None:
    """Return a member that a JSON text contains twice, without quoting what is no name."""
    found: list[str] = []

    def notice(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        found.extend(name for name in names if names.count(name) > 1)

    json.loads(data, object_pairs_hook=notice)
    if not found:
        return None
    return f"the member {found[0]!r}" if _MEMBER.fullmatch(found[0]) else "a member"


def _checked_type(info: Mapping[str, Any], path: Path, *, nested: bool = False) -> str:
    kind = info.get("type")
    if nested and kind == "impersonated_service_account":
        # google-auth does not support this either: intermediate accounts are "delegates".
        raise Unloadable(
            f"{path} nests one impersonation in another", hint="List the intermediate service accounts in delegates"
        )
    if not isinstance(kind, str) or kind not in REQUIRED_MEMBERS:
        known = ", ".join(REQUIRED_MEMBERS)
        raise Unloadable(f"unsupported type of credentials file: {path}", hint=f"Supported types: {known}")
    wrong = [name for name in REQUIRED_MEMBERS[kind] if not isinstance(info.get(name), str) or not info[name]]
    source = "source_credentials" if kind == "impersonated_service_account" else "credential_source"
    if kind in {"impersonated_service_account", "external_account"} and not isinstance(info.get(source), dict):
        wrong.append(source)
    if info.get("universe_domain") not in (None, UNIVERSE_DOMAIN):
        message = f"{path} is for a cloud other than Google's public one (universe_domain)"
        hint = "Use credentials of Google's public cloud; others are not supported"
        raise ConfigurationError(message, hint=hint, code="vertex-unsupported-credentials")
    if wrong:
        message = f"{path} (type {kind}) has no valid {' and '.join(wrong)}"
        raise Unloadable(message, hint="Download it again, or sign in again with the tool that wrote it")
    if kind == "impersonated_service_account":
        _checked_type(info[source], path, nested=True)
    return kind


def _addresses(info: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the names and values of all URLs that secrets are sent to or fetched from."""
    for name in _ADDRESSES:
        if info.get(name) is not None:
            yield name, str(info[name])
    for nested in ("source_credentials", "credential_source"):
        inner = info.get(nested)
        if isinstance(inner, dict):
            yield from ((f"{nested}.{name}", url) for name, url in _addresses(inner))
            yield from (
                (f"{nested}.{name}", str(inner[name]))
                for name in ("url", "region_url", "regional_cred_verification_url", "imdsv2_session_token_url")
                if inner.get(name) is not None
            )


def _host(name: str, url: str, path: Path, allow_insecure_loopback: bool) -> str:
    """Return the host of a URL, if requests to it are allowed.

    Raises:
        ConfigurationError: They are not.
    """
    host = _link_local(url)
    if host and name.startswith("credential_source."):
        return host
    try:
        # AWS URLs contain a placeholder for the region.
        checked_url(url.replace("{region}", "region"), allow_insecure_loopback=allow_insecure_loopback)
        return urlsplit(url).hostname or ""
    except ConfigurationError as error:
        flaw, code = f"{path}: {name}: {error.message}", error.code
    hint = "Use the file as Google created it; do not use a file from an untrusted source"
    raise ConfigurationError(flaw, hint=hint, code=code)


def _link_local(url: str) -> str | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return (
        parts.hostname
        if parts.scheme == "http" and parts.hostname in LINK_LOCAL_HOSTS and "@" not in parts.netloc
        else None
    )
