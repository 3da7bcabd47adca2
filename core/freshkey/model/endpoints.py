"""Hosts: their names, those of this machine, those that a credential is bound to, and a profile that may call them."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from freshkey.model.credential import Credential
from freshkey.model.profile import Profile
from freshkey.secret import looks_secret


LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
"""Names of this machine."""


_SHOWN: Final = re.compile(r"[\w.*:/\[\]-]{1,255}", re.ASCII)


def host_flaw(text: str) -> str | None:
    """Return why a text is not just the name of a host, with what to write instead; None if it is.

    For settings that name hosts, and for `Description.hosts`. Names are compared with the host of a URL, without its
    port; there are no wildcards, because any name could be below one.

    Returns:
        A fragment to follow the name of the setting, such as ``has 'api.example:8443', which has a port: write
        'api.example'``. A text that may contain a secret is not quoted.
    """
    if not text or _is_address(text):
        return None  # no host is empty: that of a URL that has none, which is refused where it is used
    shown = repr(text) if _SHOWN.fullmatch(text) and not looks_secret(text) else "an entry (not shown)"
    what = _what_else(text)
    if what is None:
        return None
    host = host_of(text if "://" in text else f"//{text.lstrip('/')}")
    plain = host is not None and _what_else(host) is None and not looks_secret(host)
    instead = f"write {host!r}" if plain and host else "write the name of each host, such as 'api.example'"
    return f"has {shown}, which {what}: {instead}"


def _what_else(text: str) -> str | None:
    """Return what a text has that no name of a host has."""
    if _is_address(text):
        return None
    flaws = (
        ("is a URL", "://" in text or text.startswith("//")),
        ("has a wildcard, which is not supported", "*" in text or text.startswith(".")),
        ("has a user", "@" in text),
        ("has a path", any(mark in text for mark in "/?#\\")),
        ("has brackets", text.startswith("[") and text.endswith("]")),
        ("has a port", ":" in text),
        ("has a space or a control character", not text.isprintable() or any(map(str.isspace, text))),
    )
    return next((flaw for flaw, found in flaws if found), None)


def _is_address(text: str) -> bool:
    with suppress(ValueError):
        ipaddress.ip_address(text)
        return True
    return False


def for_credential(profile: Profile, credential: object) -> Profile:
    """Return a profile that also sends to the endpoints that a credential is bound to.

    A sign-in whose endpoints came from an issuer's metadata is renewed, revoked and asked about there, whether or not
    anybody has asked that issuer since this process started.
    """
    return profile.with_hosts(hosts_of(credential)) if isinstance(credential, Credential) else profile


def hosts_of(credential: Credential) -> list[str]:
    """Return the hosts of the endpoints that a credential is bound to, in lower case."""
    others = (getattr(credential, name, None) for name in ("revocation_endpoint", "userinfo_endpoint"))
    urls = (*credential.binding.values(), *others)
    return [host for url in urls if isinstance(url, str) and (host := host_of(url))]


def host_of(url: str) -> str | None:
    """Return the host of a URL in lower case; None if it has none, such as a client ID, or cannot be parsed."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
