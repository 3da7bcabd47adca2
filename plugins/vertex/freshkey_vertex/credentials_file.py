"""Credentials files in Google's formats: read and checked before google-auth sees them.

A file of the type ``external_account`` can contain any URL and any program, so its URLs must be https, and a program
runs only if Google's own variable allows it. No other user may be able to change it. Others may read it: containers
often mount such files readable by all users.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import field, frozen

from freshkey.errors import ConfigurationError, ProtocolError
from freshkey.plugin import NotRegularError, TooLongError, checked_url, parse_json_object, read_unchangeable, unmarked
from freshkey_vertex.file_flaws import flaw_of, with_escaped_breaks


EXECUTABLE_VARIABLE: Final = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"
"""Programs of an ``external_account`` run only if this is 1 (google-auth ``pluggable.py``)."""

MAX_BYTES: Final = 256 * 1024
"""Maximum size of a credentials file, in bytes."""

UNIVERSE_DOMAIN: Final = "googleapis.com"
"""The only supported cloud. For others, google-auth would use self-signed tokens of service accounts instead of
requesting tokens from a server."""

NAMED_BY: Final = "credentials_file or GOOGLE_APPLICATION_CREDENTIALS"
"""What usually names a credentials file, for messages."""

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

_TYPE: Final = re.compile("[a-z_]{1,40}")

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


def uses_aws(info: Mapping[str, Any]) -> bool:
    """Return whether the identity in a file is that of AWS keys, which come from AWS's own files and variables."""
    source = info.get("credential_source") or (info.get("source_credentials") or {}).get("credential_source") or {}
    return str(source.get("environment_id", "")).startswith("aws")


def read_bytes(path: Path, named_by: str = NAMED_BY) -> bytes:
    """Return the content of a file, without blocking on pipes or devices.

    Raises:
        Unloadable: It is missing, unreadable, not a regular file, or too large.
        ConfigurationError: Another user can change it, and so choose an identity or where secrets go (``unsafe-file``).
    """
    try:
        return read_unchangeable(named_by, path, MAX_BYTES)
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
    for text in (plain, with_escaped_breaks(plain)):
        with contextlib.suppress(ProtocolError):
            return parse_json_object(text)
    flaw = f"{path} {flaw_of(plain)}"
    raise Unloadable(flaw, hint="Download the key again, or sign in again with the tool that wrote it")


def without_byte_order_mark(data: bytes) -> bytes:
    """Return the text as UTF-8 without a byte order mark, which editors and PowerShell for Windows write."""
    text, encoding = unmarked(data)
    return text if encoding == "utf-8" else text.decode(encoding, "replace").encode()


def _checked_type(info: Mapping[str, Any], path: Path, *, nested: bool = False) -> str:
    kind = info.get("type")
    if nested and kind == "impersonated_service_account":
        # google-auth does not support this either: intermediate accounts are "delegates".
        raise Unloadable(
            f"{path} nests one impersonation in another", hint="List the intermediate service accounts in delegates"
        )
    if not isinstance(kind, str) or kind not in REQUIRED_MEMBERS:
        raise _unsupported(info, path)
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


def _unsupported(info: Mapping[str, Any], path: Path) -> Unloadable:
    kind, hint = info.get("type"), f"Supported types: {', '.join(REQUIRED_MEMBERS)}"
    if isinstance(info.get("installed"), dict) or isinstance(info.get("web"), dict):
        hint = "Set client_id and client_secret in the profile to what it contains, then sign in"
        return Unloadable(f"{path} describes an OAuth client, and contains no credentials", hint=hint)
    if kind is None:
        return Unloadable(f"{path} does not say what type of credentials it contains", hint=hint)
    named = f" {kind!r}" if isinstance(kind, str) and _TYPE.fullmatch(kind) else ""
    return Unloadable(f"unsupported type{named} of credentials file: {path}", hint=hint)


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
    if host and "credential_source." in name:
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
