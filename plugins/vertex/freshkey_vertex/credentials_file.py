"""Credentials files in Google's formats: how they are read and judged before google-auth sees them.

A file of the type ``external_account`` can name any address and any program, so its addresses have to be https, and a
program is run only with Google's own permission for it. Modes are not judged: such files are mounted into containers
readable for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import field, frozen

from freshkey.errors import ConfigurationError, ProtocolError
from freshkey.plugin import NotRegularError, TooLongError, checked_url, parse_json_object, read_bounded


EXECUTABLE_VARIABLE: Final = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"
"""Programs of an ``external_account`` are run if this is 1 (google-auth ``pluggable.py``)."""

MAX_BYTES: Final = 256 * 1024
"""Bytes that one of these files may have."""

UNIVERSE_DOMAIN: Final = "googleapis.com"
"""The one cloud that is supported. For another, google-auth would sign a service account's tokens itself, which no
server here takes, and ask no server."""

LINK_LOCAL_HOSTS: Final = frozenset({"169.254.169.254", "fd00:ec2::254"})
"""Metadata servers of Azure and AWS, which speak plain http and cannot be reached from another machine."""

REQUIRED_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "authorized_user": ("client_id", "client_secret", "refresh_token"),
    "service_account": ("client_email", "private_key", "token_uri"),
    "external_account": ("audience", "subject_token_type", "token_url"),
    "external_account_authorized_user": ("client_id", "client_secret", "refresh_token", "token_url"),
    "impersonated_service_account": ("service_account_impersonation_url",),
}
"""The members that are text in each type."""

_ADDRESSES: Final = ("token_uri", "token_url", "token_info_url", "service_account_impersonation_url")


class Unloadable(ConfigurationError):
    """A credentials file is missing, cannot be read, or is none; the tool that wrote it may write a better one."""


@frozen(kw_only=True)
class CredentialsFile:
    """What a file says.

    Attributes:
        path: Where it is.
        type: One of `REQUIRED_MEMBERS`.
        info: All of it, in clear.
        hosts: The hosts that its addresses name.
    """

    path: Path
    type: str
    info: Mapping[str, Any] = field(repr=False)
    hosts: frozenset[str]


def read_file(path: Path, *, allow_insecure_loopback: bool = False) -> CredentialsFile:
    """Return what a credentials file says.

    Args:
        path: The file.
        allow_insecure_loopback: Accept http on 127.0.0.1, ::1 and localhost.

    Raises:
        Unloadable: It is missing, cannot be read, or lacks what its type needs. The message never quotes it.
        ConfigurationError: It names an address that secrets cannot be sent to, or is for another cloud.
    """
    info = _parse(read_bytes(path), path)
    kind = _checked_type(info, path)
    hosts = frozenset(_host(name, url, path, allow_insecure_loopback) for name, url in _addresses(info))
    return CredentialsFile(path=path, type=kind, info=info, hosts=hosts)


def read_bytes(path: Path) -> bytes:
    """Return what a file holds; neither a pipe nor a device is waited for.

    Raises:
        Unloadable: It is missing, cannot be read, is no regular file, or too large.
    """
    try:
        return read_bounded(path, MAX_BYTES)
    except NotRegularError:
        flaw = Unloadable(f"{path} is not a regular file", hint="Name a file in Google's JSON format")
    except TooLongError:
        flaw = Unloadable(f"{path} has more than {MAX_BYTES} bytes", hint="It is no credentials file of Google's")
    except OSError as error:
        flaw = Unloadable(f"{path} cannot be read: {error.strerror}", hint="Check the path and its permissions")
    raise flaw


def _parse(data: bytes, path: Path) -> dict[str, Any]:
    try:
        return parse_json_object(data)
    except ProtocolError:
        flaw = f"{path} does not hold one JSON object"
    raise Unloadable(flaw, hint="Download the key again, or sign in again with the tool that wrote it")


def _checked_type(info: Mapping[str, Any], path: Path, *, nested: bool = False) -> str:
    kind = info.get("type")
    if nested and kind == "impersonated_service_account":
        # google-auth has no such sources either: those between are "delegates".
        raise Unloadable(f"{path} impersonates with another impersonation", hint="Name those between in delegates")
    if not isinstance(kind, str) or kind not in REQUIRED_MEMBERS:
        known = ", ".join(REQUIRED_MEMBERS)
        raise Unloadable(f"{path} is no credentials file of a type that is known here", hint=f"Known are: {known}")
    wrong = [name for name in REQUIRED_MEMBERS[kind] if not isinstance(info.get(name), str) or not info[name]]
    source = "source_credentials" if kind == "impersonated_service_account" else "credential_source"
    if kind in {"impersonated_service_account", "external_account"} and not isinstance(info.get(source), dict):
        wrong.append(source)
    if info.get("universe_domain") not in (None, UNIVERSE_DOMAIN):
        message = f"{path} is for another cloud than Google's public one (universe_domain)"
        raise ConfigurationError(message, hint="Such clouds are not supported")
    if wrong:
        message = f"{path}, of the type {kind}, lacks {' and '.join(wrong)}, or has something else there"
        raise Unloadable(message, hint="Download it again, or sign in again with the tool that wrote it")
    if kind == "impersonated_service_account":
        _checked_type(info[source], path, nested=True)
    return kind


def _addresses(info: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the addresses that secrets are sent to, or fetched from, with what they are called."""
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
    """Return the host of an address, if it may be asked.

    Raises:
        ConfigurationError: It may not.
    """
    host = _link_local(url)
    if host and name.startswith("credential_source."):
        return host
    try:
        # AWS' address has a place for the region in it: {region}.
        checked_url(url.replace("{region}", "region"), allow_insecure_loopback=allow_insecure_loopback)
        return urlsplit(url).hostname or ""
    except ConfigurationError as error:
        flaw = f"{path}: {name}: {error.message}"
    raise ConfigurationError(flaw, hint="Use the file as Google made it; if you did not make it, do not use it")


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
