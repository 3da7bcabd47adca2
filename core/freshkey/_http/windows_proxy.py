"""The exceptions from the proxy in the settings of Windows: httpx takes only the proxy itself from there."""

from __future__ import annotations

import re
import sys
from typing import Final
from urllib.parse import urlsplit


_KEY: Final = r"Software\Microsoft\Windows\CurrentVersion\Internet Settings"

_ENTRY: Final = re.compile(r"(?:([^:/]+)://)?(\[[^\]]*\]|[^:]*|[^:]*:[^:]*:.*)(?::([0-9]+))?/?")
"""A scheme, a host with asterisks, and a port. A host with two colons is an IPv6 address without brackets."""

_PORTS: Final = {"http": 80, "https": 443}


def is_direct(url: str) -> bool:
    """Return whether the settings of Windows except a URL from their proxy; False on other systems.

    Variables such as ``HTTPS_PROXY`` and ``NO_PROXY`` replace the settings, as they do for httpx.
    """
    if sys.platform != "win32":
        return False
    import winreg
    from urllib.request import getproxies_environment

    if getproxies_environment():
        return False

    try:
        with winreg.OpenKey(winreg.HKEY_CURRENT_USER, _KEY) as key:
            exceptions = str(winreg.QueryValueEx(key, "ProxyOverride")[0])
    except OSError:
        return False
    return is_excepted(url, exceptions)


def is_excepted(url: str, exceptions: str) -> bool:
    """Return whether a list of Windows has a URL.

    Its entries are ``[scheme://]host[:port]``, the host with ``*`` for any text, and ``<local>`` for names without a
    period. Microsoft documents semicolons and white space between them (`WINHTTP_PROXY_INFO`); that entries can have a
    scheme and a port, and that then these must be those of the URL, is what Chromium, too, takes from these settings
    (``net/docs/proxy.md``).

    Not `urllib.request.proxy_bypass`: in Python 3.11, it looks up each host, and then its name.

    Args:
        url: A valid URL.
        exceptions: The entries.
    """
    address = urlsplit(url)
    host = address.hostname or ""
    port = address.port or _PORTS.get(address.scheme)
    for entry in re.split(r"[;\s]+", exceptions.lower()):
        if entry == "<local>":
            # An IPv6 address has no period, but is no name.
            if "." not in host and ":" not in host:
                return True
        elif (found := _ENTRY.fullmatch(entry)) and found[1] in {None, address.scheme}:
            pattern = re.escape(found[2].strip("[]")).replace(r"\*", ".*")
            if found[3] in {None, str(port)} and re.fullmatch(pattern, host):
                return True
    return False
