"""The exceptions from the proxy in the settings of Windows: httpx takes only the proxy itself from there."""

from __future__ import annotations

import sys
from fnmatch import fnmatchcase
from typing import Final


_KEY: Final = r"Software\Microsoft\Windows\CurrentVersion\Internet Settings"


def is_direct(host: str) -> bool:
    """Return whether the settings of Windows except a host from their proxy; False on other systems.

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
    return is_excepted(host, exceptions)


def is_excepted(host: str, exceptions: str) -> bool:
    """Return whether a list of Windows has a host: patterns with ``*``, and ``<local>`` for names without a dot.

    Not `urllib.request.proxy_bypass`: in Python 3.11, it looks up each host, and then its name.

    Args:
        host: The host in lower case.
        exceptions: The patterns, separated by semicolons.
    """
    patterns = [one.strip().lower() for one in exceptions.split(";")]
    return ("<local>" in patterns and "." not in host) or any(fnmatchcase(host, one) for one in patterns)
