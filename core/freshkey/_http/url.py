"""Addresses that secrets may be sent to."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from freshkey.errors import ConfigurationError


MAX_URL: Final = 8192
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_AUTHORITY: Final = re.compile(r"(?:[0-9A-Za-z.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def checked_url(url: str, *, allow_insecure_loopback: bool = False, setting: str | None = None) -> str:
    """Return `url` if secrets may be sent to it.

    It must be absolute, https, ASCII without spaces, backslashes or control characters, and have neither user
    information nor a fragment; different parsers then agree on its host (RFC 9700, section 4.12; RFC 6749, 3.2).

    Args:
        url: The address.
        allow_insecure_loopback: Also accept http to 127.0.0.1, ::1 and localhost, for tests.
        setting: The setting that holds it, for the message.

    Raises:
        ConfigurationError: It breaks one of these rules. The message never quotes the URL, which could hold a
            password.
    """
    flaw = _flaw(url, allow_insecure_loopback=allow_insecure_loopback)
    if flaw:
        named = f"{setting}: " if setting else ""
        message = f"{named}an address that secrets would be sent to {flaw}"
        raise ConfigurationError(message, hint="Write it as https://host/path")
    return url


def _flaw(url: str, *, allow_insecure_loopback: bool) -> str | None:
    if len(url) > MAX_URL or "#" in url:
        return "is too long, or has a fragment"
    if "\\" in url or not all("!" <= character <= "~" for character in url):
        return "has a character that no address may have"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # `port` raises for a port that is no port
    except ValueError:
        return "cannot be read"
    if "@" in parts.netloc or not _AUTHORITY.fullmatch(parts.netloc):
        return "has a user name in it, or no valid host"
    insecure = parts.scheme == "http" and allow_insecure_loopback and host in LOOPBACK
    return None if parts.scheme == "https" or insecure else "does not use https"
