"""Finds settings with an unencrypted URL of this machine, which only the user's permission allows."""

from __future__ import annotations

from urllib.parse import urlsplit

import attrs

from freshkey.model.endpoints import LOOPBACK


def insecure_setting(settings: object) -> str | None:
    """Return the name of a setting that has an http URL of this machine; None if there is none.

    Providers accept such a URL, because only the core knows whether the user permits it. It would be refused anyway
    when something is sent there; this is earlier, and names the line. What the provider itself chose is not looked at,
    nor what it marks as none of its endpoints (``metadata={"bound": False}``).
    """
    kind: type = type(settings)
    if not attrs.has(kind):
        return None
    for each in attrs.fields(kind):
        value = getattr(settings, each.name)
        if each.metadata.get("bound", True) and each.init and value != each.default and _is_insecure(value):
            name: str = each.alias or each.name
            return name
    return None


def _is_insecure(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value.strip())
        host = parts.hostname
    except ValueError:  # the provider refuses what cannot be parsed
        return False
    return parts.scheme == "http" and host in LOOPBACK
