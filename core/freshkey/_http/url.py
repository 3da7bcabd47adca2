"""Checks the URLs that secrets are sent to."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from freshkey.errors import ConfigurationError
from freshkey.model.endpoints import LOOPBACK


MAX_URL: Final = 8192
_AUTHORITY: Final = re.compile(r"(?:[0-9A-Za-z.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def checked_url(url: str, *, allow_insecure_loopback: bool = False, setting: str | None = None) -> str:
    """Return `url` if secrets may be sent to it.

    It must be an absolute https URL in ASCII, without spaces, backslashes, control characters, user information or a
    fragment. All URL parsers then agree on its host (RFC 9700, section 4.12; RFC 6749, section 3.2).

    Args:
        url: The URL.
        allow_insecure_loopback: Also accept http to 127.0.0.1, ::1 and localhost, for tests.
        setting: Name of the setting that contains it, for the message.

    Raises:
        ConfigurationError: It breaks one of these rules. The message never quotes the URL, which could contain a
            password.
    """
    flaw = _flaw(url, allow_insecure_loopback=allow_insecure_loopback)
    if flaw:
        named = f"{setting}: " if setting else ""
        message = f"{named}the URL {flaw}"
        raise ConfigurationError(message, hint="Use the form https://host/path", code="invalid-url")
    return url


def _flaw(url: str, *, allow_insecure_loopback: bool) -> str | None:
    if len(url) > MAX_URL or "#" in url:
        return "is too long or has a fragment (#)"
    if "\\" in url or not all("!" <= character <= "~" for character in url):
        return "contains characters that are not allowed in a URL"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # `port` raises for an invalid port
    except ValueError:
        return "cannot be parsed"
    if "@" in parts.netloc or not _AUTHORITY.fullmatch(parts.netloc):
        return "contains a username or has no valid host"
    insecure = parts.scheme == "http" and allow_insecure_loopback and host in LOOPBACK
    return None if parts.scheme == "https" or insecure else "does not use https"
